"""`ComputeBudget`: `--gpu-hours` and `--cpu-hours`.

A trial is admitted where it can end within what is left, as far as those that have ended tell.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from tuning.errors import StudyError
from tuning.executors.devices.slot import Slot
from tuning.ledger.search import SearchFiles
from tuning.ledger.usage import Usage, gpus_of
from tuning.reports.texts import seconds_text
from tuning.trial import Proposal, Status, TrialResult

_NOTHING = Usage()
_TELLING = (Status.COMPLETED, Status.PRUNED)
_QUANTILE = 0.75
"""Of what an epoch has taken: three of four trials that are admitted take less."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How much a search may use; None: as much as it takes.

    Attributes:
        cpu_s: Processor time of its trials, in seconds.
        gpu_s: Time of its trials on GPUs, in seconds, times the GPUs of each.
    """

    cpu_s: float | None = None
    gpu_s: float | None = None

    @classmethod
    def of_hours(cls, *, cpu: float | None, gpu: float | None) -> Self:
        """Return the limits that hours make."""
        return cls(
            cpu_s=None if cpu is None else 3600 * cpu,
            gpu_s=None if gpu is None else 3600 * gpu,
        )

    @property
    def named(self) -> dict[str, float]:
        """Return those that there are, by what they limit."""
        both = {"cpu_s": self.cpu_s, "gpu_s": self.gpu_s}
        return {name: limit for name, limit in both.items() if limit is not None}


def require_gpus(limits: Limits, slots: Sequence[Slot], devices: str, executor: str) -> None:
    """Refuse a budget of GPU-hours where no trial can use any.

    Args:
        limits: The budget.
        slots: On which trials run.
        devices, executor: As the command line names them.

    Raises:
        StudyError: GPU-hours are limited, and no slot is a GPU.
    """
    # On a cluster the devices are known when its actors have begun.
    if limits.gpu_s is None or executor != "local":
        return
    if all(slot.kind == "cpu" for slot in slots):
        raise StudyError(
            f"--gpu-hours {limits.gpu_s / 3600:g}: no slot of --devices {devices} is a GPU; "
            "use --cpu-hours, or other devices"
        )


_WORDS = {"cpu_s": "--cpu-hours", "gpu_s": "--gpu-hours"}


class Running(Protocol):
    """What is asked of an open trial; `OpenTrial` has it."""

    @property
    def proposal(self) -> Proposal:
        """What is trained."""

    @property
    def attempt(self) -> int:
        """The one that is under way."""

    @property
    def job(self) -> str:
        """Names trial and attempt."""

    @property
    def slot(self) -> str:
        """Where it runs; "" until it has started."""

    @property
    def running_s(self) -> float:
        """How long the attempt has had its slot."""


class ComputeBudget:
    """Keeps account of one search, those of its runs before included.

    What a trial will use is the three-quarter quantile of what trials have used for each epoch that
    was planned for them, times the epochs planned for this one: so trials that stop early, or are
    pruned, and rungs that go on from another trial count as what they are. Before the first trial
    has ended nothing is known, and each slot is given one.

    Attributes:
        refused: Why the search ends, in words; "": there is budget left.

    Args:
        limits: The budget.
        n_slots: Returns how many trials run at once.
        result_of: Reads how a trial ended, by its number.
        used_before: Returns what the attempts at an open trial before the current one have used.
        already: Used of the same budget by others than these trials.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        n_slots: Callable[[], int],
        result_of: Callable[[int], TrialResult | None],
        used_before: Callable[[Running], Usage],
        already: Usage = _NOTHING,
    ) -> None:
        self.refused = ""
        self._limits = limits.named
        self._n_slots = n_slots
        self._result_of = result_of
        self._used_before = used_before

        self._spent = {name: getattr(already, name) for name in self._limits}
        self._rates: dict[str, list[float]] = {name: [] for name in self._limits}
        self._seen: set[int] = set()
        self._earlier: dict[str, Usage] = {}  # by job, of the attempts before it

    @classmethod
    def of(
        cls,
        limits: Limits,
        files: SearchFiles,
        n_slots: Callable[[], int],
        already: Usage = _NOTHING,
    ) -> Self:
        """Return the account of a search.

        Args:
            limits: The budget.
            files: Of the search.
            n_slots: Returns how many trials run at once.
            already: As above.
        """
        return cls(
            limits,
            n_slots=n_slots,
            result_of=files.result,
            used_before=lambda trial: files.used(trial.proposal.number, trial.attempt - 1),
            already=already,
        )

    def see(self, ended: Iterable[int], proposals: Mapping[int, Proposal]) -> None:
        """Take in what the trials that have ended since the last time have used.

        Args:
            ended: Numbers of all that have.
            proposals: By number; looked up for new ones alone.
        """
        for number in ended:
            if number in self._seen:
                continue
            self._seen.add(number)
            result = self._result_of(number)
            if result is not None:
                self._enter(result, planned_epochs(proposals[number], proposals))

    def _enter(self, result: TrialResult, n_epochs: int) -> None:
        for name in self._limits:
            used = getattr(result, name)
            self._spent[name] += used
            if result.trained and result.status in _TELLING:
                self._rates[name].append(used / n_epochs)

    def admits(
        self,
        proposal: Proposal,
        proposals: Mapping[int, Proposal],
        open_trials: Iterable[Running],
    ) -> bool:
        """Whether a trial can end within what is left, beside those that are open.

        Where nothing is open and it cannot, the budget is used up: see `refused`.
        """
        running = list(open_trials)
        n_epochs = planned_epochs(proposal, proposals)
        for name, limit in self._limits.items():
            committed = self._spent[name]
            for trial in running:
                expected = self._expected(name, planned_epochs(trial.proposal, proposals))
                committed += max(self._used_by(trial, name), expected or 0.0)

            expected = self._expected(name, n_epochs)
            if expected is None:
                fits = committed < limit and len(running) < self._n_slots()
            else:
                fits = committed + expected <= limit
            if not fits:
                if not running:
                    self.refused = _used_up(name, committed, limit, expected)
                return False
        return True

    def is_exceeded(self, open_trials: Iterable[Running]) -> bool:
        """Whether more is used than there is: then the open trials are let go, too."""
        running = list(open_trials)
        for name, limit in self._limits.items():
            used = self._spent[name] + sum(self._used_by(trial, name) for trial in running)
            if used >= limit and running:
                self.refused = _used_up(name, used, limit, None)
        return bool(self.refused)

    def _used_by(self, trial: Running, name: str) -> float:
        """Return what an open trial has used: the driver sees its wall time alone."""
        if trial.job not in self._earlier:
            self._earlier[trial.job] = self._used_before(trial)
        earlier: float = getattr(self._earlier[trial.job], name)
        width = gpus_of(trial.slot) if name == "gpu_s" else 1
        return earlier + trial.running_s * width

    def _expected(self, name: str, n_epochs: int) -> float | None:
        """Return what so many epochs will use; None where no trial has told."""
        rates = sorted(self._rates[name])
        if not rates:
            return None
        return rates[math.ceil(_QUANTILE * len(rates)) - 1] * n_epochs


def planned_epochs(proposal: Proposal, proposals: Mapping[int, Proposal]) -> int:
    """Return the epochs that a trial was to train itself, those of its parent not counted."""
    if proposal.parent is None or not proposal.continued:
        return max(1, proposal.epochs)
    parent = proposals.get(proposal.parent)
    return max(1, proposal.epochs - (0 if parent is None else parent.epochs))


def _used_up(name: str, used: float, limit: float, expected: float | None) -> str:
    words = f"{_WORDS[name]}: {seconds_text(used)} of {seconds_text(limit)} are used"
    if expected is None:
        return f"{words}: no further trial is begun"
    return f"{words}, and the next trial would take about {seconds_text(expected)}"
