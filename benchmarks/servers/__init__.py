"""Searches that write to a tracking server while that is killed: `python -m benchmarks.servers`."""
