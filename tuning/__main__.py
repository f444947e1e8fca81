"""`python -m tuning`."""

from __future__ import annotations

import sys

from tuning.cli.main import main

if __name__ == "__main__":  # workers import the main module anew
    sys.exit(main())
