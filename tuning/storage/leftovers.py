"""Files that a killed process was about to rename: `.result.json.1234.tmp`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

from tuning.storage.processes import process_lives

_NAME = re.compile(r"\..+\.(\d+)\.tmp")

WRITING_S = 60.0
"""A younger one is left alone: its process may run on another machine that shares the disk."""


def leftovers(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder that dead processes were writing, in no order.

    Their content is what a result would have been, cut anywhere: nobody reads it.
    """
    for parent, _, names in os.walk(folder):
        for name in names:
            found = _NAME.fullmatch(name)
            if found is None or process_lives(int(found[1])):
                continue
            path = Path(parent, name)
            if _age_s(path) > WRITING_S:
                yield path


def sweep(folder: Path) -> int:
    """Delete the leftovers below a folder; return how many there were."""
    count = 0
    for path in leftovers(folder):
        path.unlink(missing_ok=True)
        count += 1
    return count


def _age_s(path: Path) -> float:
    try:
        return time.time() - path.lstat().st_mtime
    except FileNotFoundError:  # renamed just now
        return 0.0
