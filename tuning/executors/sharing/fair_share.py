"""`FairShare`: how many slots a search may have while others want some, too."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from tuning.executors.sharing.board import Note

_LOOKS = 3
"""So often in a row another search must be seen without its part before slots are given up: what
has just been asked for may be on its way."""


_LONG = 10
"""Looks within which a slot that was given somewhere begins to serve."""


class FairShare:
    """Watches over the parts of the searches that use as many slots as there are.

    A search that was told a number keeps what it has got. The others share the rest evenly; each
    has one slot at least.
    """

    def __init__(self) -> None:
        self._looks = 0
        self._unknown: deque[int] = deque(maxlen=_LONG)

    def most(self, own: Note, others: Sequence[Note], n_total: int, n_free: int) -> int | None:
        """Return how many slots we may have at most; None: as many as there are.

        Args:
            own: Of ourselves.
            others: Of the other searches.
            n_total: CPUs or GPUs of the cluster.
            n_free: Those that nobody has.
        """
        kin = [note for note in (own, *others) if note.kind == own.kind]
        # Whose it is nobody says: of a search's slot that comes or goes, or of another program.
        # Only what stays so for long is no slot's.
        self._unknown.append(n_total - n_free - sum(note.n_up * note.per_slot for note in kin))
        rivals = [note for note in others if note.kind == own.kind and note.n_wanted != 0]
        if own.n_wanted is not None or not rivals:
            self._looks = 0
            return None

        total = n_total - max(0, min(self._unknown))
        even = total // (len(rivals) + 1)
        parts = [_part(note, even) for note in rivals]
        lacking = sum(
            max(0, part - note.n_up * note.per_slot)
            for part, note in zip(parts, rivals, strict=True)
        )
        most = max(1, (total - sum(parts)) // own.per_slot)
        if lacking <= n_free:
            self._looks = 0
            return max(most, own.n_up)
        self._looks += 1
        return most if self._looks >= _LOOKS else max(most, own.n_up)


def _part(note: Note, even: int) -> int:
    """Return the CPUs or GPUs that are another search's: no more than it wants, one slot at least.

    Args:
        note: Of the search.
        even: An even part of all.
    """
    has = note.n_up * note.per_slot
    if note.n_wanted is None:
        return max(even, note.per_slot)
    return max(has, min(max(even, note.per_slot), note.n_wanted * note.per_slot))
