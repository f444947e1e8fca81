"""What `tuning new` writes: one file a kind of study."""
