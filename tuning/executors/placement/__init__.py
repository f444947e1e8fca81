"""Where a trial runs: what trials cost on a CPU core and on a GPU, and who is given which."""
