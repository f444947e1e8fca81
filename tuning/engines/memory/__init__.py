"""What an engine knows, held by the driver while it runs: a new process is given it at once."""
