"""From the ledger's files to one store: what is there, what is missing, when to try again."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Protocol

from tuning.errors import TrialError
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.ledger.winner import FinalistOutcome
from tuning.schema import Json, refuse_damaged
from tuning.space.space import Space
from tuning.storage.durable import read_json
from tuning.tracking.mlflow_text import without_secrets
from tuning.trial import Proposal, Status, TrialResult

_LOG = logging.getLogger(__name__)
_FIRST_WAIT_S = 0.25  # after a failure; twice as long after the next
_LONGEST_WAIT_S = 30.0


class FinishedTrial(NamedTuple):
    """A trial that has ended; the folds of its result stay on disk."""

    proposal: Proposal
    result: TrialResult


class FinalistRank(NamedTuple):
    """A finalist: a trial's number and the index of the fresh seed."""

    number: int
    seed_index: int


class LedgerView:
    """What the files of a search hold; `poll` looks for what is new. Curves stay on disk.

    Attributes:
        finished: Every trial that has ended, by number.
        finalists: The re-runs on fresh seeds of the last version of the study.
        replaced: The folder has become another search's (`--fresh`): nothing more is read or
            written.
        version: Of the study, from 1; a search that is gone on with under a changed study has
            several.
    """

    def __init__(self, folder: Path) -> None:
        self.files = SearchFiles(folder)
        self.finished: dict[int, FinishedTrial] = {}
        self.finalists: dict[FinalistRank, TrialResult] = {}
        self.version = 0
        self.replaced = False
        self._open: dict[int, Proposal] = {}
        self._next = 0  # number of the first trial that was not asked for when last seen
        self._space = Space({})
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
            # Those of the version before were set aside; the same trials may be finalists again.
            self._space = header.space
            self.version = len(header.versions)
            self.finalists.clear()
        self._read_trials()
        self._read_finalists()

    def _read_trials(self) -> None:
        for proposal in self._new_proposals():
            self._open[proposal.number] = proposal
        for number, proposal in list(self._open.items()):
            result = self.files.result(number)
            if result is not None:
                self.finished[number] = FinishedTrial(proposal, replace(result, folds=()))
                del self._open[number]

    def _new_proposals(self) -> Iterator[Proposal]:
        while True:
            path = self.files.trial_folder(self._next) / "spec.json"
            stored = read_json(path)
            if stored is None:
                return
            with refuse_damaged(path):
                proposal = _proposal(stored, self._space)
            yield proposal
            self._next += 1

    def _read_finalists(self) -> None:
        for path in self.files.folder.glob("finalists/*/*.json"):
            rank = FinalistRank(int(path.parent.name), int(path.stem))
            if rank in self.finalists:
                continue
            outcome = self.files.finalist(rank.number, rank.seed_index)
            if outcome is not None:
                self.finalists[rank] = finalist_result(outcome)


class Sink(Protocol):
    """A store that is open; see `tuning.tracking.base.TrialSink`."""

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Add one finished trial, unless it is there."""


def _no_rest(ending: bool) -> None:
    """Write nothing but trials."""


@dataclass(kw_only=True)
class Feed:
    """One store and how far it is behind.

    Attributes:
        name: As the user reads it.
        view: What there is to be written.
        connect: Opens the store, creating it where needed, and finds the search in it.
        write_rest: Writes what is more than trials; called when all trials are there, with True at
            the end of the search.
        fault: Why the last try failed; "" where it did not.
        refused: Trials that the store will never take, in words.
        done: Numbers of the trials that it has, or has refused.
        ended: Whether it has everything, the end of the search included.
    """

    name: str
    view: LedgerView
    connect: Callable[[SearchHeader], Sink]
    write_rest: Callable[[bool], None] = _no_rest
    fault: str = ""
    refused: list[str] = field(default_factory=list)
    done: set[int] = field(default_factory=set)
    ended: bool = False
    _sink: Sink | None = None
    _wait_s: float = _FIRST_WAIT_S
    _next_try: float = 0.0

    @property
    def behind(self) -> int:
        """Finished trials that are not in the store."""
        return len(self.view.finished.keys() - self.done)

    def step(self, ending: bool, until: float) -> None:
        """Write what is missing, unless the last failure is too fresh.

        Args:
            ending: The search has ended; its end is written too.
            until: When to stop, on the monotonic clock.
        """
        self.ended = self.ended or self.view.replaced
        if self.ended or time.monotonic() < self._next_try:
            return

        try:
            self._write(ending, until)
        except Exception as error:  # whatever a store or its driver raises: told, and tried again
            self._failed(error)
        else:
            self.fault = ""
            self._wait_s = _FIRST_WAIT_S

    def warnings(self) -> list[str]:
        """Return what the user should know when this is the end."""
        warnings = list(self.refused)
        if not self.ended:
            why = self.fault or "there was no time left"
            missing = f"{self.behind} trials and the end of the search are not written ({why})"
            warnings.append(f"{self.name}: {missing}; nothing is lost, `tuning sync` writes them")
        return warnings

    def _write(self, ending: bool, until: float) -> None:
        if self._sink is None:
            self._sink = self.connect(self.view.files.require_header())

        for number in sorted(self.view.finished.keys() - self.done):
            if time.monotonic() >= until:
                return
            result = self.view.files.result(number)  # with its folds
            if result is not None:
                self._record(self._sink, self.view.finished[number].proposal, result)
            self.done.add(number)

        self.write_rest(ending)
        self.ended = ending

    def _record(self, sink: Sink, proposal: Proposal, result: TrialResult) -> None:
        try:
            sink.record_trial(proposal, result)
        except TrialError as error:
            self.refused.append(without_secrets(f"{self.name} takes no {error}"))
            _LOG.warning("%s", self.refused[-1])

    def _failed(self, error: Exception) -> None:
        """Close the store and wait, each time twice as long."""
        _LOG.warning("%s: %s", self.name, error, exc_info=error)
        first_line = without_secrets(f"{type(error).__name__}: {error}").split("\n")[0]
        self.fault = first_line[:300]
        self._sink = None
        self._next_try = time.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)


def _proposal(stored: Json, space: Space) -> Proposal:
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
