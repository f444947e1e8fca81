"""Verbs that use what a search has found."""
