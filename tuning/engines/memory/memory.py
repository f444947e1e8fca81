"""`Remembering`: an engine that a new process can continue without asking everything again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, TypeAlias

Entries: TypeAlias = Mapping[str, bytes]
"""What an engine knows, in parts of which few change from one call to the next; the driver keeps
the newest of each and looks into none.
"""


class Remembering(Protocol):
    """What an engine has besides `Engine` where asking it anew would take long.

    Contract: a fresh engine of the same study that is given all entries proposes from then on
    exactly what this one would. Reports since the last entries are not in them.
    """

    def memory(self) -> Entries | None:
        """Return the entries that have changed since the last call; None: it has no memory."""

    def restore(self, entries: Entries) -> None:
        """Know what the entries say; called before the first ask."""


def memory_of(engine: Any) -> Entries | None:
    """Return the changed entries of any engine; None where it has no memory."""
    remember = getattr(engine, "memory", None)
    if remember is None:
        return None
    entries: Entries | None = remember()
    return entries


def restore(engine: Any, entries: Entries) -> None:
    """Have an engine that has a memory know what another process's knew."""
    engine.restore(entries)
