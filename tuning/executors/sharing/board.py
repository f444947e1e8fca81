"""`Board`: where the searches of a cluster say how many slots they have and want."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Literal, Protocol
from uuid import uuid4

_PREFIX = "search-"
_STALE_S = 15.0
"""A note that has not changed for so long is of a search that was killed."""


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a search says of itself.

    Attributes:
        label: The study's name.
        who: User and machine.
        kind: Of its slots.
        per_slot: CPUs or GPUs of one.
        n_up: Slots that it has.
        n_wanted: That it was told to use; None: as many as there are.
    """

    label: str
    who: str
    kind: Literal["cpu", "gpu"]
    per_slot: int
    n_up: int
    n_wanted: int | None

    def words(self) -> str:
        """Return it for people: `housing of ann@box1 (4 slots)`."""
        slots = f"{self.n_up} slot{'' if self.n_up == 1 else 's'}"
        return f"{self.label or 'a command'} of {self.who} ({slots})"


class Store(Protocol):
    """What keeps the notes: a store of the cluster's head."""

    def put(self, key: str, value: bytes) -> None:
        """Write an entry."""

    def entries(self, prefix: str) -> Mapping[str, bytes]:
        """Return the entries whose keys begin so."""

    def remove(self, key: str) -> None:
        """Remove an entry."""


class Board:
    """One search's place on the board.

    Args:
        store: Keeps the notes.
        clock: In seconds. Whether a note is stale is seen by our own clock: those of other machines
            may go wrong.
    """

    def __init__(self, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._key = f"{_PREFIX}{uuid4().hex}"
        self._beat = 0
        self._changed: dict[str, tuple[bytes, float]] = {}  # by key: the note, and since when

    def exchange(self, own: Note | None) -> list[Note]:
        """Write our own note; return those of the others.

        Args:
            own: None: what we want is not known yet.
        """
        if own is not None:
            self._beat += 1
            content = {**asdict(own), "beat": self._beat}
            self._store.put(self._key, json.dumps(content).encode())
        now = self._clock()
        others = []
        for key, value in self._store.entries(_PREFIX).items():
            if key == self._key:
                continue
            known, since = self._changed.get(key, (b"", now))
            if value != known:
                since = now
            self._changed[key] = (value, since)
            if now - since > _STALE_S:
                self._store.remove(key)
                continue
            note = _read(value)
            if note is not None:
                others.append(note)
        return others

    def leave(self) -> None:
        """Take our note away."""
        self._store.remove(self._key)


def _read(value: bytes) -> Note | None:
    """Return a note; None where another release has written it in another form."""
    try:
        content = json.loads(value)
        content.pop("beat")
        return Note(**content)
    except (ValueError, KeyError, TypeError):
        return None
