"""The reference pages of `docs/reference/`, written from the code they are about.

`make reference` writes them; `tests/docs/test_reference.py` says which one is out of date.
"""
