"""What may be wrong with a state folder, and how `tuning doctor --fix` mends it."""
