"""Trials on the nodes of a Ray cluster; also what is imported on the nodes."""
