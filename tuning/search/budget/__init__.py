"""Budgets that are counted in what trials use."""
