"""What every tracker does with a search: show it, its trials and its winner to a person. It is
never asked for truth.

A tracker is a projection of the ledger. Every method may be called again with the same records,
after a crash or by `tuning sync`, and nothing is doubled.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

from tuning.ledger.records import SearchHeader, WinnerRecord
from tuning.trial import Proposal, Status, TrialResult


@dataclass(frozen=True)
class SearchRecord:
    """What is shown of a search before its first trial; made from `search.json`.

    Attributes:
        id: Unique in the world; the name under which the search is found again.
        metric: The objective as the study names it, e.g. `val_rmse`.
        params: What the study fixes (budget, epochs, seed …) and its space (`space.lr`), as text.
        tags: What identifies it: engine, git commit, study hash, data digest.
        dataset: Name, digest, source and shape of the data; empty where not known.
        study_file: The file that defines the study, or None.
    """

    id: str
    study: str
    engine: str
    metric: str
    direction: str
    created_at: float
    params: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset: Mapping[str, Any] = field(default_factory=dict)
    study_file: Path | None = None

    @classmethod
    def from_header(cls, header: SearchHeader) -> Self:
        """Return what is shown of a search: of its study the version that holds."""
        tags = {
            "git_commit": header.git_commit,
            "study_hash": header.study_hash,
            **{f"version.{name}": version for name, version in header.versions_of.items()},
            "data_digest": header.data.digest,
        }
        return cls(
            id=header.id,
            study=header.study,
            engine=header.engine,
            metric=header.objective.metric,
            direction=header.objective.direction,
            created_at=header.created_at,
            params=dict(_study_params({**header.definition, "trials": header.trials})),
            tags={name: value for name, value in tags.items() if value},
            dataset=header.data.to_json(),
            study_file=Path(header.study_file) if header.study_file else None,
        )

    def better(self, a: float, b: float) -> bool:
        """Whether `a` beats `b`."""
        return a < b if self.direction == "minimize" else a > b


@dataclass(frozen=True)
class Progress:
    """How far a search was when `finished` trials had ended.

    Attributes:
        best: The best value of a completed trial so far, with its number; None before the first.
        counts: Trials by outcome: completed, pruned, failed, infeasible.
        at: When the last of them ended, seconds since the epoch.
    """

    finished: int
    best: tuple[float, int] | None
    counts: Mapping[str, int]
    at: float


class TrialSink(Protocol):
    """Whatever takes finished trials; MLflow and Optuna's storage are both written through it."""

    def begin(self, search: SearchRecord) -> None:
        """Create or find the place of a search, mark it as running, look up which trials are there
        already.
        """

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Add one finished trial, unless it is there.

        Raises:
            TrialError: The store will never take this trial; any other error is worth another try.
        """


class Tracker(TrialSink, Protocol):
    """A sink that also shows the search as a whole."""

    def record_progress(self, points: Sequence[Progress]) -> None:
        """Add points of the anytime curve; those at or below the last one that is there are left
        out.
        """

    def record_finalist(
        self, proposal: Proposal, index: int, result: TrialResult, version: int = 1
    ) -> None:
        """Add one of the best trials as a version of the study trained it on fresh seed number
        `index`, once.
        """

    def record_winner(self, winner: WinnerRecord, model: Path | None) -> None:
        """Show `winner.json` and the model saved with it."""

    def keep_files(self, path: Path) -> None:
        """Show a file, or every file of a folder; one of the same name is replaced."""

    def end(self, status: str, at: float) -> None:
        """Mark the search as ended: "completed", "interrupted", "terminated" or "failed"; `at` in
        Unix seconds.
        """


def progress_points(search: SearchRecord, results: Sequence[TrialResult]) -> list[Progress]:
    """Return one point a finished trial, in the order in which they ended."""
    points: list[Progress] = []
    best: tuple[float, int] | None = None
    counts = {"completed": 0, "pruned": 0, "failed": 0, "infeasible": 0}
    for result in sorted(results, key=lambda r: (r.ended_at, r.number)):
        counts["failed" if result.status is Status.DIVERGED else result.status.value] += 1
        if (
            result.status is Status.COMPLETED
            and result.value is not None
            and math.isfinite(result.value)
        ):
            better = best is None or search.better(result.value, best[0])
            best = (result.value, result.number) if better else best
        points.append(Progress(len(points) + 1, best, dict(counts), result.ended_at))
    return points


def _study_params(fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in fields.items():
        if name in ("name", "builder", "data", "data_digest"):
            continue
        if isinstance(value, Mapping):
            yield from ((f"{name}.{key}", _domain_text(str(item))) for key, item in value.items())
        elif value is not None:
            yield (
                f"study.{name}",
                str(value),
            )  # not `batch_size`: a trial has a parameter of that name


def _domain_text(text: str) -> str:
    """Return a domain as a study file would have it: its conditions are told once, behind `when`."""
    return re.sub(r"^(Int|Float)\(conditions=\(.*?\), (?=low=)", r"\1(", text)
