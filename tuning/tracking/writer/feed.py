"""From the ledger's files to one store: what is there, what is missing, when to try again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tuning.errors import TrialError
from tuning.ledger.records import FinalistOutcome, SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.storage.durable import read_json
from tuning.study.space import Space
from tuning.tracking.mlflow_records import without_secrets
from tuning.trial import Proposal, Status, TrialResult

_LOG = logging.getLogger(__name__)
_LONGEST_WAIT_S = 30.0


class LedgerView:
    """What the files of a search hold; `poll` looks for what is new. Curves stay on disk.

    Attributes:
        finished: Proposal and result (without its folds) of every trial that has ended.
        finalists: The re-runs on fresh seeds of the last version of the study, by trial and index
            of the seed.
        replaced: The folder has become another search's (`--fresh`): nothing more is read or
            written.
        version: Of the study, from 1; a search that is gone on with under a changed study has
            several.
    """

    def __init__(self, folder: Path) -> None:
        self.files = SearchFiles(folder)
        self.finished: dict[int, tuple[Proposal, TrialResult]] = {}
        self.finalists: dict[tuple[int, int], TrialResult] = {}
        self._open: dict[int, Proposal] = {}
        self._next = 0
        self._space = Space({})
        self.version = 0
        self.replaced = False
        self._id: str | None = None

    def poll(self) -> None:
        """Read what has been written since the last time."""
        header = self.files.header
        current = None if header is None else header.id
        self._id = self._id or current
        self.replaced = current != self._id
        if self.replaced or header is None:
            return
        if len(header.versions) != self.version:
            self._space = header.space
            self.version = len(header.versions)
            self.finalists.clear()
        for entry in self._new_entries():
            self._open[entry.number] = entry
        for number, proposal in list(self._open.items()):
            if (result := self.files.result(number)) is not None:
                self.finished[number] = proposal, replace(result, folds=())
                del self._open[number]
        for path in self.files.folder.glob("finalists/*/*.json"):
            rank = int(path.parent.name), int(path.stem)
            outcome = None if rank in self.finalists else self.files.finalist(*rank)
            if outcome is not None:
                self.finalists[rank] = finalist_result(outcome)

    def _new_entries(self) -> Iterator[Proposal]:
        while (stored := read_json(self.files.trial_folder(self._next) / "spec.json")) is not None:
            yield _proposal(stored, self._space)
            self._next += 1


class Sink(Protocol):
    """A store that is open; see `tuning.tracking.base.TrialSink`."""

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Add one finished trial, unless it is there."""


@dataclass
class Feed:
    """One store and how far it is behind.

    Attributes:
        name: As told to the user.
        view: What there is to be written.
        connect: Opens the store, creating it where needed, and finds the search in it.
        rest: Writes what is more than trials; called when all trials are there, with `ending` at
            the end.
        fault: Why the last try failed; "" where it did not.
    """

    name: str
    view: LedgerView
    connect: Callable[[SearchHeader], Sink]
    rest: Callable[[LedgerView, bool], None] = lambda view, ending: None
    fault: str = ""
    refused: list[str] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    ended: bool = False
    _sink: Sink | None = None
    _wait_s: float = 0.25
    _next_try: float = 0.0

    @property
    def behind(self) -> int:
        """Finished trials that are not in the store."""
        return len(self.view.finished.keys() - self.done)

    def step(self, ending: bool, until: float) -> None:
        """Write what is missing, unless the last failure is too fresh; stop at `until` (monotonic
        clock).
        """
        self.ended = self.ended or self.view.replaced
        if time.monotonic() < self._next_try or self.ended:
            return
        try:
            self._write(ending, until)
        except (
            Exception
        ) as error:  # whatever a store or its driver raises: told to the user, and tried again
            _LOG.warning("%s: %s", self.name, error, exc_info=True)
            self.fault = without_secrets(f"{type(error).__name__}: {error}").split("\n")[0][:300]
            self._sink = None
            self._next_try = time.monotonic() + self._wait_s
            self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)
        else:
            self.fault, self._wait_s = "", 0.25

    def warnings(self) -> Iterator[str]:
        """Yield what the user should know when this is the end."""
        yield from self.refused
        if not self.ended:
            why = self.fault or "there was no time left"
            missing = f"{self.behind} trials and the end of the search are not written ({why})"
            yield f"{self.name}: {missing}; nothing is lost, `tuning sync` writes them"

    def _write(self, ending: bool, until: float) -> None:
        if self._sink is None:
            self._sink = self.connect(self.view.files.require_header())
        for number in sorted(self.view.finished.keys() - self.done):
            if time.monotonic() >= until:
                return
            result = self.view.files.result(number)
            if result is not None:
                self._record(self._sink, self.view.finished[number][0], result)
            self.done.add(number)
        self.rest(self.view, ending)
        self.ended = ending

    def _record(self, sink: Sink, proposal: Proposal, result: TrialResult) -> None:
        try:
            sink.record_trial(proposal, result)
        except TrialError as error:
            self.refused.append(without_secrets(f"{self.name} takes no {error}"))
            _LOG.warning("%s", self.refused[-1])


def _proposal(stored: Mapping[str, Any], space: Space) -> Proposal:
    """Return an ask; a parameter that an earlier version of the space knew stays as JSON has it."""
    plain = Proposal.from_json(stored, {})
    return replace(plain, params=space.decode_known(stored["params"]))


def finalist_result(outcome: FinalistOutcome) -> TrialResult:
    """Return what came of a finalist as a result; its `value` is None where it diverged."""
    return TrialResult(
        number=outcome.number,
        status=Status.DIVERGED if outcome.value is None else Status.COMPLETED,
        value=outcome.value,
        epochs=outcome.epochs,
        seed=outcome.seed,
        seconds=outcome.seconds,
        training_s=outcome.training_s,
        slot=outcome.slot,
        started_at=outcome.started_at,
        ended_at=outcome.ended_at,
    )
