"""Who proposes: one file for each foreign library."""
