"""The two files through which a running search is told of other slots, and says what it has.

`slots.request`, a line of text as `--devices` takes it, is written by `tuning slots` or by hand;
`slots.json` is the answer. Both lie in the search's folder while it runs, and only once somebody
has asked.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tuning.schema import SCHEMA, Json, JsonObject, check_schema
from tuning.storage.durable import write_bytes

REQUEST_FILE = "slots.request"
ANSWER_FILE = "slots.json"
NO_SLOTS = "none"
"""In place of devices: give all slots up, and wait for others."""
ONLY_LOOK = "?"
"""In place of devices: change nothing, say which there are."""
_MOST_BYTES = 10_000
"""Of a request: the UUIDs of some hundred GPUs."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a running search was asked for.

    Attributes:
        id: Another one for each request.
        devices: As `--devices` takes them, `NO_SLOTS` or `ONLY_LOOK`.
    """

    id: int
    devices: str


@dataclass(frozen=True, kw_only=True)
class SlotAnswer:
    """Which slots a running search has; the names are those of their leases.

    Attributes:
        request: The last one that was taken up, by its id.
        pid: Of the search.
        devices: What it works on, as `--devices` takes it.
        slots: Where it begins trials.
        leaving: Given up; a trial there reaches the end of its epoch first.
        missing: Wanted, and not free.
        yielded: Left to other processes until those are gone.
        error: Why the request was refused, in words; "": it was not.
    """

    request: int
    pid: int
    devices: str
    slots: tuple[str, ...] = ()
    leaving: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    yielded: tuple[str, ...] = ()
    error: str = ""

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "request": self.request,
            "pid": self.pid,
            "devices": self.devices,
            "slots": list(self.slots),
            "leaving": list(self.leaving),
            "missing": list(self.missing),
            "yielded": list(self.yielded),
            "error": self.error,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        check_schema(stored, ANSWER_FILE)
        return cls(
            request=stored["request"],
            pid=stored["pid"],
            devices=stored["devices"],
            slots=tuple(stored["slots"]),
            leaving=tuple(stored["leaving"]),
            missing=tuple(stored["missing"]),
            yielded=tuple(stored["yielded"]),
            error=stored["error"],
        )


def write_request(folder: Path, devices: str) -> int:
    """Ask the search that runs in `folder`; return the request's id.

    Raises:
        StorageError: The disk is full, read-only or failing.
    """
    path = folder / REQUEST_FILE
    write_bytes(path, f"{devices}\n".encode())
    return path.stat().st_mtime_ns


class Requests:
    """The requests to one running search, as it sees them.

    Args:
        folder: Of the search.
        begun_ns: When its run began, Unix nanoseconds: what was asked of an earlier one is no
            longer meant.
    """

    def __init__(self, folder: Path, begun_ns: int) -> None:
        self._path = folder / REQUEST_FILE
        self._answer = folder / ANSWER_FILE
        self._seen = 0
        with suppress(FileNotFoundError):
            if self._path.stat().st_mtime_ns < begun_ns:
                self.forget()

    def new(self, *, again: bool = False) -> Request | None:
        """Return what is asked and was not returned before; 2 µs where there is nothing.

        Args:
            again: Return what is asked, whether or not it was returned before.
        """
        try:
            id = self._path.stat().st_mtime_ns
            if id == self._seen and not again:
                return None
            with open(self._path, "rb") as file:
                text = file.read(_MOST_BYTES).decode(errors="replace")
        except FileNotFoundError:
            return None
        except OSError as error:  # a folder, or one of another user's: told in place of devices
            text = f"({REQUEST_FILE} cannot be read: {error.strerror})"
        self._seen = id
        return Request(id=id, devices=text.strip())

    def forget(self) -> None:
        """Remove both files: they were for this run."""
        for path in (self._path, self._answer):
            with suppress(OSError):
                path.unlink()
