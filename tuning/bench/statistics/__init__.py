"""What the figures of a benchmark support."""
