"""Where trials run: leases on devices, and workers."""
