"""Data beyond one array in memory: images in folders, windows of a series, streams."""
