"""The plan of a search on a box with CPU cores and GPUs: begun, told, kept."""
