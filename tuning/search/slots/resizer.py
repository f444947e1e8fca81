"""`Resizer`: has a running search work on the slots that it is told to."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, TypeAlias

from tuning.errors import TuningError, first_line
from tuning.executors.devices.slot import Slot
from tuning.ledger.records import write_record
from tuning.search.slots.requests import (
    ANSWER_FILE,
    NO_SLOTS,
    ONLY_LOOK,
    Request,
    Requests,
    SlotAnswer,
)
from tuning.search.slots.sharing import Sharing, is_auto, with_shares
from tuning.search.slots.yielding import Yielding

Parse: TypeAlias = Callable[[str], Sequence[Slot]]
"""Returns the slots that the words of `--devices` ask for."""


class Resizable(Protocol):
    """What is needed of an executor."""

    @property
    def held(self) -> tuple[Slot, ...]:
        """The slots worked on; takes none that it has not."""

    @property
    def leaving(self) -> tuple[Slot, ...]:
        """The slots that are being given up."""

    def resize(self, slots: Sequence[Slot]) -> None:
        """Work on these slots from now on."""


class Resizer:
    """Takes up requests for other slots, and leaves GPUs to other processes where it is to.

    Args:
        executor: Whose slots they are.
        folder: Of the search, in which requests are written.
        devices: As `--devices` names the slots at the beginning.
        slots: Those.
        parse: Reads the devices of a request.
        begun_ns: When the run began, Unix nanoseconds.
        notice: Told in words what changes.
        yielding: Which GPUs are left to others; None: none.
    """

    def __init__(
        self,
        executor: Resizable,
        *,
        folder: Path,
        devices: str,
        slots: Sequence[Slot],
        parse: Parse,
        begun_ns: int,
        notice: Callable[[str], None],
        yielding: Yielding | None = None,
    ) -> None:
        self._executor = executor
        self._folder = folder
        self._devices = devices
        self._wanted = list(slots)
        self._parse = parse
        self._notice = notice
        self._yielding = yielding

        self._requests = Requests(folder, begun_ns)
        self._n_looks = 0
        self._request: Request | None = None
        self._error = ""
        self._told: SlotAnswer | None = None
        self._sharing: Sharing | None = None
        self._shares = 1

    def share_by(self, sharing: Sharing) -> None:
        """Have trials share GPUs as `sharing` says, where `--devices` leaves that to us."""
        self._sharing = sharing

    def look(self, n_looks: int = 0) -> None:
        """Do what was asked for since the last look; called several times a second.

        Args:
            n_looks: How often a signal has said that there is something to be read.
        """
        again = n_looks != self._n_looks
        self._n_looks = n_looks
        request = self._requests.new(again=again)
        if request is not None:
            self._take_up(request)

        self._look_at_shares()
        if self._yielding is not None and self._yielding.look(self._wanted):
            self._notice(self._yielding.words)
            self._resize()
        if self._request is not None:
            self._answer(self._request)

    def _take_up(self, request: Request) -> None:
        self._request = request
        self._error = ""
        if request.devices == ONLY_LOOK:
            return

        before = self._wanted
        try:
            self._wanted = list(self._slots_of(request.devices))
            self._resize()
        except TuningError as error:  # the search goes on as it was
            self._wanted = before
            self._error = str(error)
            self._notice(f"slots stay as they are: {first_line(error)}")
            return
        self._devices = request.devices
        self._notice(f"slots from now on: {_names(self._wanted)}")

    def _slots_of(self, devices: str) -> Sequence[Slot]:
        if devices == NO_SLOTS:
            return ()
        return self._parse(with_shares(devices, self._shares) if is_auto(devices) else devices)

    def _look_at_shares(self) -> None:
        """Share GPUs among as many trials as have room there, as far as is known by now."""
        if self._sharing is None or not is_auto(self._devices):
            return
        shares = self._sharing.shares(self._wanted)
        if shares == self._shares:
            return
        self._shares = shares
        self._wanted = list(self._slots_of(self._devices))
        self._resize()
        self._notice(f"trials at once on each GPU from now on: {shares} ({self._sharing.words})")

    def _resize(self) -> None:
        yielded = () if self._yielding is None else self._yielding.yielded
        self._executor.resize([slot for slot in self._wanted if slot.name not in yielded])

    def _answer(self, request: Request) -> None:
        """Write which slots there are, where that is not what stands there."""
        held = [slot.name for slot in self._executor.held]
        leaving = [slot.name for slot in self._executor.leaving]
        yielded = () if self._yielding is None else self._yielding.yielded
        wanted = [slot.name for slot in self._wanted if slot.name not in yielded]
        # A cluster gives its slots names of its own: they are counted.
        n_missing = max(0, len(wanted) - len(held))
        answer = SlotAnswer(
            request=request.id,
            pid=os.getpid(),
            devices=self._devices,
            slots=tuple(held),
            leaving=tuple(leaving),
            missing=tuple([name for name in wanted if name not in held][:n_missing]),
            yielded=tuple(sorted(yielded)),
            error=self._error,
        )
        if answer != self._told:
            self._told = answer
            write_record(self._folder / ANSWER_FILE, answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._requests.forget()


def _names(slots: Sequence[Slot]) -> str:
    if not slots:
        return "none; the search waits until there are some again"
    return ", ".join(slot.name for slot in slots)
