"""A search's writer: who holds it, and what one in the background says of itself.

<search>/.writer.lock        held by the process that writes the search
<search>/.writer.handover    somebody else wants to: a writer in the background ends
<search>/writer.json         not everything is written; left by a writer in the background
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Self

from tuning.errors import BusyError
from tuning.ledger.records import read_record, write_record
from tuning.schema import SCHEMA, Json, JsonObject
from tuning.storage.locks import STOPPED_S, end_stopped_writers, is_locked, locked

_NOTE = "writer.json"
_LOCK = ".writer.lock"
_HANDOVER = ".writer.handover"
_TURN_S = 0.1


@dataclass(frozen=True, kw_only=True)
class WriterNote:
    """How far a writer in the background is.

    Attributes:
        pid: Its process.
        trials: Of the search that have ended.
        behind: By store, how many of them it has not.
        faults: By store, why the last try failed.
        at: When this was so, Unix seconds.
    """

    pid: int
    trials: int
    at: float
    behind: Mapping[str, int] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "pid": self.pid,
            "trials": self.trials,
            "behind": dict(self.behind),
            "faults": dict(self.faults),
            "at": self.at,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        return cls(
            pid=int(stored["pid"]),
            trials=int(stored["trials"]),
            behind=stored["behind"],
            faults=stored["faults"],
            at=float(stored["at"]),
        )

    @property
    def words(self) -> str:
        """What is missing where, and why."""
        parts = []
        for store, behind in self.behind.items():
            fault = self.faults.get(store, "")
            why = f" ({fault})" if fault else ""
            parts.append(f"{store}: {behind} of {self.trials} trials and the end{why}")
        return "; ".join(parts)


class Unwritten(NamedTuple):
    """A search that is not wholly in MLflow or Optuna's storage.

    Attributes:
        search: `<study>/<key>`.
        is_written: Whether a writer is at it now.
    """

    search: str
    note: WriterNote
    is_written: bool


def unwritten(home: Path) -> list[Unwritten]:
    """Return the searches of a state folder that writers in the background have left, by name."""
    found = []
    for path in sorted(home.glob(f"ledger/*/*/{_NOTE}")):
        note = read_record(WriterNote, path)
        if note is not None:
            name = f"{path.parent.parent.name}/{path.parent.name}"
            found.append(Unwritten(name, note, is_locked(path.parent / _LOCK)))
    return found


def leave_note(folder: Path, note: WriterNote) -> None:
    """Say how far the writer is."""
    write_record(folder / _NOTE, note)


def remove_note(folder: Path) -> None:
    """Everything is written."""
    (folder / _NOTE).unlink(missing_ok=True)


def is_wanted(folder: Path) -> bool:
    """Whether somebody else waits for this writer's end."""
    return (folder / _HANDOVER).exists()


@contextmanager
def writing(
    folder: Path,
    *,
    timeout_s: float | None = None,
    while_waiting: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """Be the writer of the search in `folder`; one in the background ends for it.

    Args:
        folder: The search's.
        timeout_s: How long to wait for another writer's end; None: as long as it takes.
        while_waiting: Called some ten times a second.

    Raises:
        BusyError: The other writer has not ended.
    """
    until = None if timeout_s is None else time.monotonic() + timeout_s
    look_at = time.monotonic() + STOPPED_S
    with ExitStack() as stack:
        while True:
            try:
                stack.enter_context(locked(folder / _LOCK, wait=False))
                break
            except BusyError:
                if until is not None and time.monotonic() >= until:
                    raise
            (folder / _HANDOVER).touch(mode=0o600)
            if time.monotonic() >= look_at:
                end_stopped_writers(folder / _LOCK)
                look_at = time.monotonic() + STOPPED_S
            while_waiting()
            time.sleep(_TURN_S)

        (folder / _HANDOVER).unlink(missing_ok=True)
        yield
