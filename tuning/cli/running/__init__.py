"""Verbs about searches that run."""
