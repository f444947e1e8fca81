"""Loaders, seeded splits, and scalers fitted on the training part only."""
