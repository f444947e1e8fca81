"""Studies that need no network: one that a CPU core trains faster, one that a GPU does."""
