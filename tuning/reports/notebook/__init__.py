"""What a notebook shows while a search runs."""
