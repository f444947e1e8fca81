"""Benchmarks: which engine finds better models, with the same data, seeds and budget."""
