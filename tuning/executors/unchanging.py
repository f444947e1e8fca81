"""`Unchanging`: a file that never changes, named by its content."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Unchanging(NamedTuple):
    """A file among a job's arguments that travels once a node, however many jobs name it.

    Attributes:
        name: Of its content: a digest.
        path: Where it lies; on a node it is another.
    """

    name: str
    path: Path
