"""`make perf`: our trainer and driver against the plain libraries, pair by pair on the same cores.

A benchmark, never a timed test. Each part is a file here; the programs of the plain libraries,
written as their users write them, are in `plain/`.
"""
