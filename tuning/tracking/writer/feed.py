"""From the ledger's files to one store: what is there, what is missing, when to try again."""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from tuning.errors import DamagedFileError, NewerFileError, TrialError
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.ledger.stamps import numbered
from tuning.ledger.winner import FinalistOutcome
from tuning.space.space import Space
from tuning.tracking.mlflow_text import without_secrets
from tuning.trial import Proposal, Status, TrialResult

_LOG = logging.getLogger(__name__)
_FIRST_WAIT_S = 0.25  # after a failure; twice as long after the next
_LONGEST_WAIT_S = 30.0
_MOST_RECENT = 1000
"""Trials that are kept in memory for the stores, with their curves: some 50 MB."""


class FinishedTrial(NamedTuple):
    """A trial that has ended, with the folds of its result."""

    proposal: Proposal
    result: TrialResult


class EndedTrial(NamedTuple):
    """What is kept in memory of a trial that has ended; the rest stays on disk."""

    number: int
    attempt: int
    status: Status
    value: float | None
    ended_at: float
    cpu_s: float
    gpu_s: float


class FinalistRank(NamedTuple):
    """A finalist: a trial's number and the index of the fresh seed."""

    number: int
    seed_index: int


class LedgerView:
    """What the files of a search hold; `poll` looks for what is new.

    Trials stay on disk, but for those that were read last: whoever writes them into a store soon
    finds them in memory, and no file is read twice. One thread polls, others read: `order` is only
    ever appended to.

    Attributes:
        finished: Every trial that has ended, by number.
        order: Their numbers in the order in which they were seen.
        complete: The last poll left nothing unread.
        damage: What is wrong with an ask, behind which nothing can be read; "": nothing.
        finalists: The re-runs on fresh seeds of the last version of the study.
        replaced: The folder has become another search's (`--fresh`): nothing more is read or
            written.
        version: Of the study, from 1; a search that is gone on with under a changed study has
            several.
    """

    def __init__(self, folder: Path) -> None:
        self.files = SearchFiles(folder)
        self.finished: dict[int, EndedTrial] = {}
        self.order: list[int] = []
        self.complete = False
        self.damage = ""
        self.finalists: dict[FinalistRank, TrialResult] = {}
        self.version = 0
        self.replaced = False
        self._open: set[int] = set()  # asked for and not ended
        self._recent: dict[int, FinishedTrial] = {}  # the oldest first, at most `_MOST_RECENT`
        self._next = 0  # number of the first trial that was not asked for when last seen
        self._space = Space({})
        self._id: str | None = None

    def poll(self, most: int | None = None) -> int:
        """Read what has been written since the last time; return how many trials that were.

        Args:
            most: Trials that are read now; the next poll goes on.
        """
        header = self.files.header
        current = None if header is None else header.id
        self._id = self._id or current
        self.replaced = current != self._id
        if self.replaced or header is None:
            return 0

        if len(header.versions) != self.version:
            # Those of the version before were set aside; the same trials may be finalists again.
            self._space = header.space
            self.version = len(header.versions)
            self.finalists.clear()
            self._recent.clear()  # their parameters are those of the space as it was
        n_seen = self._read_trials(most)
        self._read_finalists()
        return n_seen

    def trial(self, number: int) -> FinishedTrial | None:
        """Return a trial as it was read last, else as its files have it; None: torn or gone."""
        recent = self._recent.get(number)
        if recent is not None:
            return recent
        try:
            proposal = self.files.known_proposal(number, self._space)
        except DamagedFileError:
            return None
        result = None if proposal is None else self.files.result(number, proposal.digest)
        if proposal is None or result is None:
            return None
        return FinishedTrial(proposal, result)

    @property
    def n_recent(self) -> int:
        """How many trials are in memory."""
        return len(self._recent)

    def forget(self, n_taken: int) -> None:
        """Drop trials from memory that everybody has taken; only for who polls.

        Args:
            n_taken: The first entries of `order`.
        """
        # Those in memory are the last entries of `order`.
        n_gone = len(self.order) - len(self._recent)
        for number in self.order[n_gone:n_taken]:
            del self._recent[number]

    def count_unread(self) -> int:
        """Return how many trials have ended that no poll has come to."""
        folder = self.files.folder / "trials"
        unread = [name for name in numbered(folder) if int(name) >= self._next]
        return sum((folder / name / "result.json").exists() for name in unread)

    def _read_trials(self, most: int | None) -> int:
        n_before = len(self.order)
        self.complete = False
        self.damage = ""
        for number in sorted(self._open):
            # Read again: an ask that was lost may have become another one.
            proposal = self._asked(number)
            if proposal is not None:
                self._read_result(proposal)

        while most is None or len(self.order) - n_before < most:
            proposal = self._asked(self._next)
            if proposal is None:
                self.complete = True
                break
            self._read_result(proposal)
            self._next += 1
        return len(self.order) - n_before

    def _asked(self, number: int) -> Proposal | None:
        """Return what was asked for; of a damaged ask nobody can say what that was."""
        try:
            return self.files.known_proposal(number, self._space)
        except DamagedFileError as error:
            self.damage = str(error)
            return None

    def _read_result(self, proposal: Proposal) -> None:
        number = proposal.number
        result = self.files.result(number, proposal.digest)
        if result is None:
            self._open.add(number)
            return
        self._open.discard(number)
        self._recent[number] = FinishedTrial(proposal, result)
        if len(self._recent) > _MOST_RECENT:
            del self._recent[next(iter(self._recent))]
        self.finished[number] = EndedTrial(
            number=number,
            attempt=result.attempt,
            status=result.status,
            value=result.value,
            ended_at=result.ended_at,
            cpu_s=result.cpu_s,
            gpu_s=result.gpu_s,
        )
        self.order.append(number)

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

    @property
    def batch_size(self) -> int:
        """Trials that are best given to `record_trials` at once."""

    def has(self, number: int, attempt: int) -> bool:
        """Whether this attempt at a trial is there, whole, and no other one."""

    def record_trials(self, trials: Sequence[tuple[Proposal, TrialResult]]) -> list[TrialError]:
        """Add the finished trials that are not there; return why some will never be."""

    def close(self) -> None:
        """Close its connections."""


def _no_rest(ending: bool) -> None:
    """Write nothing but trials."""


@dataclass(kw_only=True)
class Feed:
    """One store and how far it is behind; each has a thread, so that none waits for another.

    Attributes:
        name: As the user reads it.
        view: What there is to be written.
        connect: Opens the store, creating it where needed, and finds the search in it.
        write_rest: Writes what is more than trials; called when all trials are there, with True at
            the end of the search.
        fault: Why the last try failed; "" where it did not.
        refused: Trials that the store will never take, by number, in words.
        cursor: How many entries of `view.order` it has, or has refused.
        ended: Whether it has everything, the end of the search included.
        stopped: Nothing more is to be begun.
        newer: A file of the search was written by a later release: trying again is of no use.
    """

    name: str
    view: LedgerView
    connect: Callable[[SearchHeader], Sink]
    write_rest: Callable[[bool], None] = _no_rest
    fault: str = ""
    refused: dict[str, None] = field(default_factory=dict)
    cursor: int = 0
    ended: bool = False
    stopped: bool = False
    newer: NewerFileError | None = None
    _sink: Sink | None = None
    _wait_s: float = _FIRST_WAIT_S
    _next_try: float = 0.0

    @property
    def behind(self) -> int:
        """Finished trials that are not in the store."""
        return len(self.view.order) - self.cursor

    @property
    def is_open(self) -> bool:
        """Whether the store is connected."""
        return self._sink is not None

    @property
    def pause_s(self) -> float:
        """How long the next step is not worth it, in seconds; 0 while something is to be written.

        Without a failure and with nothing to write: infinity.
        """
        if self.fault:
            return max(self._next_try - time.monotonic(), 0.0)
        return 0.0 if self.behind else math.inf

    def step(self, ending: bool, until: float = math.inf) -> None:
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
        except NewerFileError as error:
            self.newer = error
            self.stopped = True
            self._failed(error)
        except Exception as error:  # whatever a store or its driver raises: told, and tried again
            self._failed(error)
        else:
            self.fault = ""
            self._wait_s = _FIRST_WAIT_S

    def hurry(self) -> None:
        """Try again at once after a failure: the end of the search is waited for."""
        self._next_try = 0.0
        self._wait_s = _FIRST_WAIT_S

    def warnings(self, pid: int = 0) -> list[str]:
        """Return what the user should know when this is the end.

        Args:
            pid: Of the writer that goes on in the background; 0: none does.
        """
        warnings = list(self.refused)
        if self.ended:
            return warnings

        why = self.fault or "there was no time left"
        n_unread = self.view.count_unread()
        n_ended = len(self.view.order) + n_unread
        count = f"{self.behind + n_unread} of {n_ended} trials and the end of the search"
        if pid:
            warnings.append(
                f"{self.name}: {count} are not written yet ({why}); a writer goes on in the "
                f"background (pid {pid}), `tuning doctor` shows how far it is"
            )
        else:
            warnings.append(
                f"{self.name}: {count} are not written ({why}); nothing is lost, `tuning sync` "
                "writes them"
            )
        return warnings

    def _write(self, ending: bool, until: float) -> None:
        # Before the trials are looked at: what is read meanwhile is written by the next step.
        is_all = self.view.complete
        if self._sink is None:
            self._sink = self.connect(self.view.files.require_header())
            self.cursor = 0  # the store may be another one, made anew

        while self.behind:
            if self.stopped or time.monotonic() >= until:
                return
            self._write_batch(self._sink)
        self.write_rest(ending)
        if ending and is_all:
            self._sink.close()
            self.ended = True

    def _write_batch(self, sink: Sink) -> None:
        """Write the next trials that the store has not, and move the cursor behind them."""
        missing: list[int] = []
        cursor = self.cursor
        while cursor < len(self.view.order) and len(missing) < sink.batch_size:
            trial = self.view.finished[self.view.order[cursor]]
            if not sink.has(trial.number, trial.attempt):
                missing.append(trial.number)
            cursor += 1

        trials = [self.view.trial(number) for number in missing]
        for refusal in sink.record_trials([trial for trial in trials if trial is not None]):
            words = without_secrets(f"{self.name} takes no {refusal}")
            self.refused[words] = None
            _LOG.warning("%s", words)
        self.cursor = cursor

    def _failed(self, error: Exception) -> None:
        """Close the store and wait, each time twice as long."""
        _LOG.warning("%s: %s", self.name, error, exc_info=error)
        first_line = without_secrets(f"{type(error).__name__}: {error}").split("\n")[0]
        self.fault = first_line[:300]
        if self._sink is not None:
            with contextlib.suppress(Exception):  # of a store that has just failed
                self._sink.close()
        self._sink = None
        self._next_try = time.monotonic() + self._wait_s
        self._wait_s = min(2 * self._wait_s, _LONGEST_WAIT_S)


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
        cpu_s=outcome.cpu_s,
        gpu_s=outcome.gpu_s,
    )
