"""`python -m tuning`."""

from __future__ import annotations

import sys

from tuning.storage.interpreter import import_path

# `-m` puts the current folder first: a file there would stand in for a library.
sys.path[:] = import_path()

if __name__ == "__main__":  # workers import the main module anew
    from tuning.cli.main import main

    sys.exit(main())
