"""Benchmarks of this project: how fast it is (`perf`)."""
