"""The frozen records that pass between rooms: `Proposal` in, `EpochReport` on the way,
`TrialResult` out.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol, Self


class Status(enum.StrEnum):
    """How a trial ended. Only COMPLETED and PRUNED carry a value that an engine may believe."""

    COMPLETED = "completed"
    PRUNED = "pruned"  # stopped early by a pruner; the value is that of the last epoch
    FAILED = "failed"  # an error in the builder or a worker that died on every attempt
    DIVERGED = "diverged"  # loss or objective not finite
    INFEASIBLE = "infeasible"  # out of memory


class Answer(enum.StrEnum):
    """What the driver says to an epoch's report."""

    CONTINUE = "continue"
    PRUNE = "prune"  # the trial ends here, and its value counts
    STOP = "stop"  # end at this epoch; nothing is decided about the trial


@dataclass(frozen=True)
class Proposal:
    """One point to try, as an engine asked for it.

    Attributes:
        number: Rank of the ask, from 0, without gaps.
        params: The searched parameters that exist here, builder arguments and fit settings
            together.
        epochs: Train until this many epochs are done in all, those of the parent included.
        parent: The trial whose checkpoint this one continues, or None to start fresh.
        continued: False where the parent is only named (scikit-learn's halving trains each rung
            from zero).
        call: What scikit-learn wants run, opaque to everybody but the engine and the worker's
            runner; never stored.
    """

    number: int
    params: Mapping[str, Any]
    epochs: int
    parent: int | None = None
    continued: bool = True
    call: bytes | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "number": self.number,
            "params": dict(self.params),
            "epochs": self.epochs,
            "parent": self.parent,
            "continued": self.continued,
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any], params: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json`; `params` are those stored, in their own types (`Space.decode`)."""
        return cls(
            stored["number"], params, stored["epochs"], stored["parent"], stored["continued"]
        )


class Pause(enum.Enum):
    """What an engine answers where it has no proposal."""

    WAIT = "wait"  # tell me a result first
    EXHAUSTED = "exhausted"  # there is nothing left to propose: a good end


@dataclass(frozen=True)
class EpochReport:
    """One trained epoch. `metrics` are as Keras names them (`loss`, `val_loss`, …) plus the
    objective.

    Attributes:
        number: The trial.
        epoch: From 1; a continued trial starts above its parent's.
        value: The objective after this epoch, the mean over folds with `--cv`.
        seconds: Wall time since this attempt began.
        fits: How many fits trained this epoch: with a pruner and `--cv` those folds that have not
            stopped.
    """

    number: int
    epoch: int
    value: float
    metrics: Mapping[str, float]
    seconds: float
    fits: int = 1


class Context(Protocol):
    """What a job is given by the worker it runs in."""

    slot: str
    """The lease it runs on."""

    def report(self, report: EpochReport) -> str:
        """Pass an epoch to the driver; return "continue", "prune" or "stop" (end at this epoch,
        nothing decided).
        """

    def retire(self) -> None:
        """Have the worker replaced after this job."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a trained network.

    Attributes:
        name: `dead_relus`, `vanishing_gradients`, `exploding_gradients`, `lr_too_high`,
            `lr_too_low`, `epochs_too_few`, `overfitting`, `underfitting` or `not_looked_into`.
        severity: "note": may be improved; "warning": learns badly; "serious": does not learn.
        words: The figures that led to it and what to try, one line.
    """

    name: str
    severity: Literal["note", "warning", "serious"]
    words: str


@dataclass(frozen=True)
class FoldResult:
    """One fit of a trial; without `--cv` there is one, fold 0.

    Attributes:
        curve: One mapping an epoch, as in `EpochReport.metrics`, with `epoch` (from 1) among the
            keys.
        best_epoch: The epoch (from 1) of the weights kept: the best where patience is set, else the
            last.
        diagnosis: What is wrong with the network of this fit.
        scores: What scikit-learn's own `_fit_and_score` returned, JSON types only; empty for other
            engines.
    """

    fold: int
    value: float
    metrics: Mapping[str, float]
    curve: tuple[Mapping[str, float], ...]
    best_epoch: int
    seconds: float
    seed: int
    diagnosis: tuple[Finding, ...] = ()
    scores: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from `dataclasses.asdict` through JSON."""
        floats = {key: float(value) for key, value in stored["metrics"].items()}
        curve = tuple({key: float(value) for key, value in row.items()} for row in stored["curve"])
        verdicts = _findings(stored)
        return cls(
            **{
                **stored,
                "value": float(stored["value"]),
                "metrics": floats,
                "curve": curve,
                "diagnosis": verdicts,
            }
        )


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended, as told to the engine and kept for ever in `result.json`.

    Attributes:
        value: The objective of the weights kept, the mean over folds; None unless completed or
            pruned.
        metrics: Final validation metrics of the weights kept, means over folds.
        folds: One entry for each fit that was finished.
        epochs: Epochs trained in this trial, over all folds, those of a parent not counted.
        attempt: From 1; how often the trial was begun.
        error: `"Class: message"` where it failed, else "".
        notes: What the reader of the trial should know (a fall-back with its reason, half batch
            after OOM …).
        diagnosis: What is wrong with the network, causes first: what most folds share; empty where
            it is healthy.
        copied_from: The earlier trial of equal parameters whose result this is; nothing was
            trained.
        seconds: Wall time of the attempt that ended it.
        training_s: The part of it spent in training and validation passes.
        slot: The lease it ran on, e.g. `cpu:0` or a GPU's UUID.
        started_at, ended_at: Seconds since the epoch (Unix), for display only; nothing is decided
            by them.
        rss_mb: Resident memory of the worker at the end, in MiB.
        batch_size: Rows a step where memory made them fewer than were asked for, else None.
        reported: (epoch, value) of each epoch that a pruner was told, in its order; None: there is
            no pruner.
    """

    number: int
    status: Status
    value: float | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    folds: tuple[FoldResult, ...] = ()
    epochs: int = 0
    attempt: int = 1
    seed: int = 0
    error: str = ""
    notes: tuple[str, ...] = ()
    diagnosis: tuple[Finding, ...] = ()
    copied_from: int | None = None
    seconds: float = 0.0
    training_s: float = 0.0
    slot: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    rss_mb: float = 0.0
    batch_size: int | None = None
    reported: tuple[tuple[int, float], ...] | None = None

    @property
    def curve(self) -> tuple[dict[str, float], ...]:
        """Per-epoch metrics, the mean over the folds; one that has stopped before counts with its
        last epoch.
        """
        by_epoch = [{row["epoch"]: row for row in fold.curve} for fold in self.folds]
        last: list[Mapping[str, float]] = [{} for _ in by_epoch]
        means = []
        for epoch in sorted({epoch for rows in by_epoch for epoch in rows}):
            last = [rows.get(epoch, before) for rows, before in zip(by_epoch, last, strict=True)]
            means.append({**_mean([row for row in last if row]), "epoch": epoch})
        return tuple(means)

    def told(self, metric: str) -> tuple[tuple[int, float], ...]:
        """Return `reported`; of a result that does not say, its whole curve."""
        if self.reported is not None:
            return self.reported
        return tuple((int(row["epoch"]), row.get(metric, math.nan)) for row in self.curve)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return asdict(self)

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> Self:
        """Rebuild from `to_json` through JSON."""
        return cls(
            **{
                **stored,
                "status": Status(stored["status"]),
                "value": None if stored["value"] is None else float(stored["value"]),
                "metrics": {key: float(value) for key, value in stored["metrics"].items()},
                "folds": tuple(FoldResult.from_json(fold) for fold in stored["folds"]),
                "reported": _pairs(stored.get("reported")),
                "notes": tuple(stored["notes"]),
                "diagnosis": _findings(stored),
            }
        )


def _pairs(stored: list[Any] | None) -> tuple[tuple[int, float], ...] | None:
    return None if stored is None else tuple((epoch, float(value)) for epoch, value in stored)


def _findings(stored: Mapping[str, Any]) -> tuple[Finding, ...]:
    """Return the diagnosis stored; results of earlier versions have none."""
    return tuple(Finding(**verdict) for verdict in stored.get("diagnosis", ()))


def _mean(rows: list[Mapping[str, float]]) -> dict[str, float]:
    return {
        key: sum(row[key] for row in rows if key in row) / sum(key in row for row in rows)
        for key in rows[0]
    }
