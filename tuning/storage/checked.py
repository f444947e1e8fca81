"""Reading a small JSON file that is no record of the ledger's: parsed, or told as damaged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from tuning.schema import check_schema, refuse_damaged
from tuning.storage.durable import load_json

T = TypeVar("T")


def load_checked(path: Path, parse: Callable[[dict[str, Any]], T]) -> T | None:
    """Return what `parse` makes of the object in a file; None where there is no file.

    Args:
        path: Of the file.
        parse: May raise what wrong JSON makes it raise; see `tuning.schema.WRONG_SHAPE`.

    Raises:
        DamagedFileError: It holds no object, or not what `parse` reads.
        NewerFileError: A later release wrote it.
    """
    stored = load_json(path)
    if stored is None:
        return None
    with refuse_damaged(path):
        if not isinstance(stored, dict):
            raise TypeError(f"it holds {stored!r:.60}, no object")
        check_schema(stored, path)
        return parse(stored)
