"""Plain networks trained in machine code."""
