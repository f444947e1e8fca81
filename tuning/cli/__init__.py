"""Verbs of the command line: parse, one call, print, exit code."""
