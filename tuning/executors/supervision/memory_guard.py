"""`MemoryGuard`: which trial is ended for lack of memory before the kernel has to end something.

Each search has a guard of its own and ends trials of its own only. All of a box see the same
shortage, so that each would end a trial for it: only one at a time may, and keeps that right until
the memory of the trial has come free. Then the next one looks again, and mostly finds enough.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tuning.executors.supervision.memory import (
    available_bytes,
    family_bytes,
    gigabytes,
    limiting_groups,
    oom_kills,
    total_bytes,
)

_LOOK_S = 0.5
_FAR_LOOK_S = 1.0
"""Between two looks while there is plenty: 5 GB a second then take less than that."""
_PLENTY = 16 << 30
_CLOSE_LOOK_S = 0.05
"""Between two looks while memory runs short; 5 GB a second then take 0.25 GB."""
_MOST_KEPT_FREE = 512 << 20
_WORTH_ENDING = 64 << 20
_MOST_WAIT_S = 5.0
"""A killed process gives its memory back within milliseconds; who takes longer is stopped."""


class Turn(Protocol):
    """The right to end a trial for lack of memory."""

    def release(self) -> None:
        """Let the next guard have it."""


class _TurnOfOne:
    """The turn of a guard that is alone."""

    def release(self) -> None:
        """Nobody waits for it."""


@dataclass(frozen=True)
class Excess:
    """A worker that has to be ended for what its trial uses.

    Attributes:
        pid: The worker.
        detail: Why, in words and figures.
    """

    pid: int
    detail: str


class MemoryGuard:
    """Says which worker to end for lack of memory.

    Whoever ends it says so by `ended` once the worker has gone.

    Attributes:
        look_at: On the monotonic clock, when to look again.

    Args:
        per_slot: Bytes that the trial of a slot may use; None: what there is.
        root: Of the file system; another one in tests.
        take_turn: Takes the turn of this box, None where another guard has it. It is a lock of the
            kernel's, so that it ends with the process that has it.
    """

    def __init__(
        self,
        per_slot: int | None = None,
        root: Path = Path("/"),
        *,
        take_turn: Callable[[], Turn | None] = _TurnOfOne,
    ) -> None:
        self.look_at = 0.0
        self._per_slot = per_slot
        self._root = root
        self._take_turn = take_turn
        self._turn: Turn | None = None  # while a worker is being ended
        self._ending = 0
        self._refused_since: float | None = None
        # Looked up once: to read all of them takes as long as all else that an epoch costs.
        self._groups = limiting_groups(root)
        self._kept_free = min(_MOST_KEPT_FREE, total_bytes(root) // 20)
        self._n_kills = oom_kills(root)

    def look(self, allowances: Mapping[int, int], *, freeing: bool = False) -> Excess | None:
        """Look once; return the worker that has to be ended, if any.

        Args:
            allowances: For each worker with a trial, by process id: of how many slots it may use
                the memory.
            freeing: A worker is being ended already: its memory is about to come free.
        """
        free = self._free()
        is_plenty = free > _PLENTY and self._per_slot is None
        self.look_at = time.monotonic() + (_FAR_LOOK_S if is_plenty else _LOOK_S)
        if free < 4 * self._kept_free:
            self.look_at = time.monotonic() + _CLOSE_LOOK_S
        is_short = free < self._kept_free
        if not is_short:
            self._refused_since = None
        if freeing or not allowances or not (is_short or self._per_slot):
            return None

        used = family_bytes(allowances, self._root)
        if self._per_slot is not None:
            excess = self._over_its_slot(used, allowances)
            if excess is not None:  # that is its own fault, whatever others do
                return excess
        return self._for_all(used, free) if is_short else None

    def ended(self, pid: int | None) -> None:
        """Take in that a worker has gone: where it was ended for a shortage, others may look."""
        if self._turn is not None and pid == self._ending:
            self._turn.release()
            self._turn = None

    def close(self) -> None:
        """Let others have the turn, whatever has become of the worker."""
        self.ended(self._ending)

    def was_out_of_memory(self) -> bool:
        """Whether the kernel has ended a process for lack of memory since this was asked last."""
        before = self._n_kills
        self._n_kills = oom_kills(self._root)
        return self._n_kills > before

    def _free(self) -> int:
        return available_bytes(self._root, self._groups)

    def _over_its_slot(
        self, used: Mapping[int, int], allowances: Mapping[int, int]
    ) -> Excess | None:
        per_slot = self._per_slot or 0
        for pid, n_bytes in used.items():
            allowed = per_slot * allowances[pid]
            if n_bytes > allowed:
                return Excess(
                    pid,
                    f"the trial used {gigabytes(n_bytes)} of the {gigabytes(allowed)} that it may "
                    "(--memory-per-slot)",
                )
            if n_bytes > allowed / 2:
                self.look_at = time.monotonic() + _CLOSE_LOOK_S
        return None

    def _for_all(self, used: Mapping[int, int], free: int) -> Excess | None:
        """Return the largest trial, where ending it would help and it is this guard's turn."""
        excess = self._largest(used, free)
        if excess is None or not self._may_end():
            return None
        # What was read before the turn was ours may be of before another guard's trial was gone.
        if self._turn is not None and self._free() >= self._kept_free:
            self._turn.release()
            self._turn = None
            return None
        self._ending = excess.pid
        return excess

    def _may_end(self) -> bool:
        if self._turn is not None:
            return False  # the last one that was ended has not gone yet
        self._turn = self._take_turn()
        if self._turn is not None:
            self._refused_since = None
            return True

        now = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now
        if now - self._refused_since < _MOST_WAIT_S:
            return False
        # Whoever has it is stopped, or what it ended does not end: the kernel would not wait.
        self._refused_since = None
        return True

    def _largest(self, used: Mapping[int, int], free: int) -> Excess | None:
        pid = max(used, key=lambda each: used[each])
        # Where another program takes it all, the end of a small trial helps nobody.
        if used[pid] < max(_WORTH_ENDING, self._kept_free - free):
            return None
        return Excess(
            pid,
            f"memory was running out, {gigabytes(free)} were left: the largest trial, of "
            f"{gigabytes(used[pid])}, was ended before the kernel ends a process",
        )
