"""JSON files of ours: what they hold, and the number that says in which shape.

Release 0.1 wrote no number: such files count as shape 1, and are read. A file of a later shape is
refused in words and left as it is, for reading half of it would lose the other half.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from tuning.errors import NewerFileError, StorageError

Json: TypeAlias = Mapping[str, Any]
"""An object of a JSON file, as it is read."""
JsonObject: TypeAlias = dict[str, Any]
"""An object of a JSON file, as it is made."""

SCHEMA = 2
"""The shape that this release writes."""


def check_schema(stored: Json, file: Path | str) -> None:
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


@contextmanager
def refuse_damaged(path: Path) -> Iterator[None]:
    """Say in words that a file is whole JSON, but not what we write: somebody has changed it.

    Raises:
        StorageError: For what the block raises when it reads such a file.
    """
    try:
        yield
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise StorageError(f"{path} is damaged ({error!r}); put it back from a copy") from error
