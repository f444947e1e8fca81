"""What every tracker does with a search: show it, its trials and its winner to a person.

It is never asked for truth. A tracker is a projection of the ledger: every method may be called
again with the same records, after a crash or by `tuning sync`, and nothing is doubled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol, Self

from tuning.errors import TrialError
from tuning.ledger.placement import PlanRecord
from tuning.ledger.records import SearchHeader
from tuning.ledger.usage import Usage
from tuning.ledger.winner import WinnerRecord
from tuning.schema import Json
from tuning.study.info import DatasetFacts
from tuning.trial import Proposal, Status, TrialResult


@dataclass(frozen=True, kw_only=True)
class SearchRecord:
    """What is shown of a search before its first trial; made from `search.json`.

    Attributes:
        id: Unique in the world; the name under which the search is found again.
        metric: The objective as the study names it, e.g. `val_rmse`.
        direction: "minimize" or "maximize".
        created_at: Unix seconds.
        params: What the study fixes (budget, epochs, seed …) and its space (`space.lr`), as text.
        tags: What identifies it: git commit, study hash, data digest, versions of libraries.
        dataset: What the data set is; None where not known.
        study_file: The file that defines the study, or None.
        other_metrics: Of several objectives those after the first.
    """

    id: str
    study: str
    engine: str
    metric: str
    direction: str
    created_at: float
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: DatasetFacts | None = None
    study_file: Path | None = None
    other_metrics: tuple[str, ...] = ()

    @classmethod
    def from_header(cls, header: SearchHeader) -> Self:
        """Return what is shown of a search: of its study the version that holds."""
        return cls(
            id=header.id,
            study=header.study,
            engine=header.engine,
            metric=header.objective.metric,
            direction=header.objective.direction,
            created_at=header.created_at,
            params=_study_params({**header.definition, "trials": header.trials}),
            tags=_identity(header),
            dataset=header.data,
            study_file=Path(header.study_file) if header.study_file else None,
            other_metrics=tuple(objective.metric for objective in header.objectives[1:]),
        )

    def better(self, a: float, b: float) -> bool:
        """Whether `a` beats `b`."""
        return a < b if self.direction == "minimize" else a > b


class Best(NamedTuple):
    """The best value of a completed trial, and that trial's number."""

    value: float
    number: int


@dataclass(frozen=True)
class Progress:
    """How far a search was when `finished` trials had ended.

    Attributes:
        best: Of the completed trials so far; None before the first.
        counts: Trials by outcome: completed, pruned, failed, infeasible.
        at: When the last of them ended, seconds since the epoch.
        cpu_s, gpu_s: What these trials have used, as in `TrialResult`.
    """

    finished: int
    best: Best | None
    counts: Mapping[str, int]
    at: float
    cpu_s: float = 0.0
    gpu_s: float = 0.0


class TrialSink(Protocol):
    """Whatever takes finished trials; MLflow and Optuna's storage are both written through it."""

    def begin(self, search: SearchRecord) -> None:
        """Create or find the place of a search, mark it as running, look up its trials there."""

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Add one finished trial, unless it is there.

        What is there of another attempt at it is superseded: it does not show as a trial any more.

        Raises:
            TrialError: The store will never take this trial; any other error is worth another try.
        """

    def record_trials(self, trials: Sequence[tuple[Proposal, TrialResult]]) -> list[TrialError]:
        """Add finished trials as `record_trial` does, in as few transactions as the store allows.

        Returns:
            Why the store will never take some of them.
        """


class Tracker(TrialSink, Protocol):
    """A sink that also shows the search as a whole."""

    def record_progress(self, points: Sequence[Progress]) -> None:
        """Add points of the anytime curve that are above the last one there."""

    def record_finalist(
        self, proposal: Proposal, index: int, result: TrialResult, version: int = 1
    ) -> None:
        """Add one of the best trials as trained again on fresh seed number `index`, once.

        Args:
            version: Of the study, from 1; a search that went on under a changed study has several.
        """

    def record_winner(self, winner: WinnerRecord, model: Path | None) -> None:
        """Show `winner.json` and the model saved with it."""

    def record_front(self, front: Json) -> None:
        """Show the Pareto front of several objectives, as `pareto.json` has it."""

    def record_plan(self, plan: PlanRecord) -> None:
        """Show which trials ran on CPU cores and which on GPUs, and why."""

    def record_used(self, used: Usage, at: float) -> None:
        """Show what the search has used in all; once more where that has grown.

        Args:
            at: When it ended, in Unix seconds.
        """

    def keep_files(self, path: Path) -> None:
        """Show a file, or every file of a folder; one of the same name is replaced."""

    def end(self, status: str, at: float) -> None:
        """Mark the search as ended: "completed", "interrupted", "terminated" or "failed".

        Args:
            at: When, in Unix seconds.
        """


class Ended(Protocol):
    """What the anytime curve needs of a finished trial; `TrialResult` has it."""

    @property
    def number(self) -> int:
        """Of the trial."""

    @property
    def status(self) -> Status:
        """How it ended."""

    @property
    def value(self) -> float | None:
        """Of the objective."""

    @property
    def ended_at(self) -> float:
        """Seconds since the epoch."""

    @property
    def cpu_s(self) -> float:
        """Processor time."""

    @property
    def gpu_s(self) -> float:
        """Time on GPUs."""


def progress_points(search: SearchRecord, results: Sequence[Ended]) -> list[Progress]:
    """Return one point a finished trial, in the order in which they ended."""
    points: list[Progress] = []
    best: Best | None = None
    cpu_s = 0.0
    gpu_s = 0.0
    counts = {"completed": 0, "pruned": 0, "failed": 0, "infeasible": 0}

    for result in sorted(results, key=lambda r: (r.ended_at, r.number)):
        # As the command line counts: whoever diverged has failed.
        counted = Status.FAILED if result.status is Status.DIVERGED else result.status
        counts[counted.value] += 1

        value = _believable(result)
        if value is not None and (best is None or search.better(value, best.value)):
            best = Best(value, result.number)

        cpu_s += result.cpu_s
        gpu_s += result.gpu_s
        points.append(
            Progress(
                finished=len(points) + 1,
                best=best,
                counts=dict(counts),
                at=result.ended_at,
                cpu_s=cpu_s,
                gpu_s=gpu_s,
            )
        )
    return points


def _believable(result: Ended) -> float | None:
    """Return the value of a completed trial, None of any other."""
    if result.status is not Status.COMPLETED or result.value is None:
        return None
    return result.value if math.isfinite(result.value) else None


_NOT_SHOWN = ("name", "builder", "data", "data_digest")  # tags and the data set say it


def _study_params(definition: Json) -> dict[str, str]:
    """Return a definition as parameters: `study.epochs`, `space.lr`, …"""
    params = {}
    for name, value in definition.items():
        if name in _NOT_SHOWN or value is None:
            continue

        if isinstance(value, Mapping):
            for key, item in value.items():
                params[f"{name}.{key}"] = _domain_text(str(item))
        else:
            # Not `batch_size`: a trial has a parameter of that name.
            params[f"study.{name}"] = str(value)
    return params


def _identity(header: SearchHeader) -> dict[str, str]:
    tags = {
        "git_commit": header.git_commit,
        "study_hash": header.study_hash,
        "from_search": header.source,
    }
    for library, version in header.versions_of.items():
        tags[f"version.{library}"] = version
    tags["data_digest"] = header.data.digest
    return {name: value for name, value in tags.items() if value}


def _domain_text(text: str) -> str:
    """Return a domain as a study file has it: its conditions are shown once, behind `when`."""
    return re.sub(r"^(Int|Float)\(conditions=\(.*?\), (?=low=)", r"\1(", text)
