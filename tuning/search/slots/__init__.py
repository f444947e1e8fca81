"""Which slots a running search works on: told from outside, given up to others, until a moment."""
