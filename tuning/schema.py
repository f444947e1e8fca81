"""The number that says in which shape a JSON file of ours was written.

Release 0.1 wrote no number: such files count as shape 1, and are read. A file of a later shape is
refused in words and left as it is, for reading half of it would lose the other half.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuning.errors import NewerFileError

SCHEMA = 2
"""The shape that this release writes."""


def check_schema(stored: Mapping[str, Any], file: Path | str) -> None:
    """Refuse what a later release wrote.

    Args:
        stored: What the file holds.
        file: Its path, or its name where the path is not known.

    Raises:
        NewerFileError: Its `schema` is above ours.
    """
    schema = stored.get("schema", 1)
    if schema > SCHEMA:
        raise NewerFileError(
            f"it was written by a newer release (schema {schema}, this one reads up to {SCHEMA}); "
            "update tuning to read it. Nothing was changed.",
            where=str(file),
        )
