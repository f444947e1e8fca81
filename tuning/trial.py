"""The frozen records that pass between rooms.

An engine gives a `Proposal`, a worker sends an `EpochReport` after each epoch and is given an
`Answer`, and in the end there is a `TrialResult`.
"""

from __future__ import annotations

import enum
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from typing import Any, Literal, Protocol, Self, TypeAlias

from tuning.schema import SCHEMA, Json, JsonObject, check_schema, number

Params: TypeAlias = Mapping[str, Any]
"""One point: values by the names of their parameters."""
Metrics: TypeAlias = Mapping[str, float]
"""Figures by name, e.g. `val_rmse`."""
WARNING = "warning: "
"""How a notice of a result begins that is for all of the search; the driver says it once."""


class Status(enum.StrEnum):
    """How a trial ended. Only COMPLETED and PRUNED carry a value that an engine may believe."""

    COMPLETED = "completed"
    PRUNED = "pruned"  # stopped early by a pruner; the value is that of the last epoch
    FAILED = "failed"  # an error in the builder or a worker that died on every attempt
    DIVERGED = "diverged"  # loss or objective not finite
    INFEASIBLE = "infeasible"  # out of memory, or a constraint of the study is broken


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
        tells: Numbers of the results that the engine was told since the ask before, in order. The
            driver enters them: with them the files hold everything that has led to this ask.
        study: The definition, with its seed, and the data that it was asked under
            (`StudyInfo.pinned`); "": not known.
        digest: Of the ask as its file has it; "" where it has none. Its result carries it.
    """

    number: int
    params: Params
    epochs: int
    parent: int | None = None
    _: KW_ONLY
    continued: bool = True
    call: bytes | None = field(default=None, repr=False, compare=False)
    tells: tuple[int, ...] = field(default=(), repr=False)
    study: str = field(default="", repr=False, compare=False)
    digest: str = field(default="", repr=False, compare=False)

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "number": self.number,
            "params": dict(self.params),
            "epochs": self.epochs,
            "parent": self.parent,
            "continued": self.continued,
            "tells": list(self.tells),
            # Left out where it is not known, as in the files of earlier versions.
            **({"study": self.study} if self.study else {}),
        }

    @classmethod
    def from_json(cls, stored: Json, params: Params) -> Self:
        """Rebuild from `to_json`; `params` are those stored, in their own types."""
        check_schema(stored, "spec.json")
        return cls(
            stored["number"],
            params,
            stored["epochs"],
            stored["parent"],
            continued=stored["continued"],
            tells=tuple(stored["tells"]),
            study=stored.get("study", ""),
        )


class Pause(enum.Enum):
    """What an engine answers where it has no proposal."""

    WAIT = "wait"  # tell me a result first
    EXHAUSTED = "exhausted"  # there is nothing left to propose: a good end


@dataclass(frozen=True)
class EpochReport:
    """One trained epoch.

    Attributes:
        metrics: As Keras names them (`loss`, `val_loss`, …), and the objective.
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
    metrics: Metrics
    seconds: float
    fits: int = 1


class Context(Protocol):
    """What a job is given by the worker it runs in."""

    slot: str
    """The lease it runs on."""

    def report(self, report: EpochReport) -> Answer:
        """Pass an epoch to the driver and return what it says."""

    def retire(self) -> None:
        """Have the worker replaced after this job."""


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with a trained network.

    Attributes:
        name: That of a rule in `diagnosis/rules.py`, e.g. `dead_relus`, or `not_looked_into`.
        severity: "note": may be improved; "warning": learns badly; "serious": does not learn.
        words: The figures that led to it and what to try, one line.
    """

    name: str
    severity: Literal["note", "warning", "serious"]
    words: str

    def to_json(self) -> dict[str, str]:
        """Return plain JSON types."""
        return {"name": self.name, "severity": self.severity, "words": self.words}

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        return cls(stored["name"], stored["severity"], stored["words"])


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
    metrics: Metrics
    curve: tuple[Metrics, ...]
    _: KW_ONLY
    best_epoch: int
    seconds: float
    seed: int
    diagnosis: tuple[Finding, ...] = ()
    scores: Json = field(default_factory=dict)

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "fold": self.fold,
            "value": self.value,
            "metrics": dict(self.metrics),
            "curve": [dict(row) for row in self.curve],
            "best_epoch": self.best_epoch,
            "seconds": self.seconds,
            "seed": self.seed,
            "diagnosis": [finding.to_json() for finding in self.diagnosis],
            "scores": dict(self.scores),
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json` through JSON."""
        return cls(
            stored["fold"],
            number(stored["value"]),
            _floats(stored["metrics"]),
            tuple(_floats(row) for row in stored["curve"]),
            best_epoch=stored["best_epoch"],
            seconds=stored["seconds"],
            seed=stored["seed"],
            diagnosis=_findings(stored),
            scores=stored.get("scores", {}),
        )


@dataclass(frozen=True)
class TrialResult:
    """How a trial ended, as told to the engine and kept for ever in `result.json`.

    Attributes:
        value: The objective of the weights kept, the mean over folds; None unless completed or
            pruned, or trained and then found to break a constraint.
        metrics: Final validation metrics of the weights kept, means over folds.
        folds: One entry for each fit that was finished.
        epochs: Epochs trained in this trial, over all folds, those of a parent not counted.
        attempt: From 1; how often the trial was begun.
        error: `"Class: message"` where it failed, else "".
        notices: What the reader of the trial should know (a fall-back with its reason, half batch
            after OOM …).
        diagnosis: What is wrong with the network, causes first: what most folds share; empty where
            it is healthy.
        copied_from: The earlier trial of equal parameters whose result this is; nothing was
            trained.
        from_search: The trial of another search whose result this is, `id#number`; nothing was
            trained. "": it is this search's own.
        seconds: Wall time of the attempt that ended it.
        training_s: The part of it spent in training and validation passes.
        slot: The lease it ran on, e.g. `cpu:0` or a GPU's UUID.
        started_at, ended_at: Seconds since the epoch (Unix), for display only; nothing is decided
            by them.
        rss_mb: Resident memory of the worker at the end, in MiB.
        gpu_mb: The most that TensorFlow has had of a GPU while it trained, in MiB; 0: not measured.
        batch_size: Rows a step where memory made them fewer than were asked for, else None.
        reported: (epoch, value) of each epoch that a pruner was told, in its order; None: there is
            no pruner.
        data_digest: `Dataset.digest` of its data, where their arguments are searched; else "".
        values: Of several objectives each, in the study's order, `value` first; None where there is
            one, or no value.
        violations: Of the study's constraints that could be looked at how far each is broken (see
            `Constraint.violation`), above 0 where it is, by its text.
        proposal_digest: `Proposal.digest` of what it is the result of; "": a file of an earlier
            version. Whoever reads the file compares.
        cpu_s: Processor time of all its attempts, over all cores; 0: not measured.
        gpu_s: Wall time of all its attempts on their GPUs, times the GPUs leased.
        samples: What the worker saw of itself and of its own GPUs every few seconds of the attempt
            that ended it, by the names that MLflow has for them below `system/`, with `at`.
    """

    number: int
    status: Status
    value: float | None = None
    metrics: Metrics = field(default_factory=dict)
    folds: tuple[FoldResult, ...] = ()
    _: KW_ONLY
    epochs: int = 0
    attempt: int = 1
    seed: int = 0
    error: str = ""
    notices: tuple[str, ...] = ()
    diagnosis: tuple[Finding, ...] = ()
    copied_from: int | None = None
    seconds: float = 0.0
    training_s: float = 0.0
    slot: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    rss_mb: float = 0.0
    gpu_mb: float = field(default=0.0, compare=False)
    batch_size: int | None = None
    reported: tuple[tuple[int, float], ...] | None = None
    data_digest: str = ""
    values: tuple[float, ...] | None = None
    violations: Metrics = field(default_factory=dict)
    from_search: str = ""
    proposal_digest: str = field(default="", repr=False, compare=False)
    # No part of what a trial came to: equal trials use more and less.
    cpu_s: float = field(default=0.0, compare=False)
    gpu_s: float = field(default=0.0, compare=False)
    samples: tuple[Metrics, ...] = field(default=(), repr=False, compare=False)

    @property
    def breaks_constraint(self) -> bool:
        """Whether a constraint of the study is broken."""
        return any(violation > 0 for violation in self.violations.values())

    @property
    def never_trained(self) -> bool:
        """Whether the built model broke a constraint: the trial has cost nothing."""
        untrained = self.status is Status.INFEASIBLE and self.value is None
        return untrained and self.breaks_constraint

    @property
    def trained(self) -> bool:
        """Whether it was trained for this trial, not taken over from an equal one."""
        return self.copied_from is None and not self.from_search

    @property
    def curve(self) -> tuple[dict[str, float], ...]:
        """Per-epoch metrics, the mean over the folds.

        A fold that has stopped before the others counts with its last epoch.
        """
        by_epoch = [{row["epoch"]: row for row in fold.curve} for fold in self.folds]
        epochs = sorted({epoch for rows in by_epoch for epoch in rows})

        latest: list[Metrics] = [{} for _ in by_epoch]
        means = []
        for epoch in epochs:
            latest = [
                rows.get(epoch, before) for rows, before in zip(by_epoch, latest, strict=True)
            ]
            # A fold that was taken up later has no row yet.
            begun = [row for row in latest if row]
            means.append({**_mean(begun), "epoch": epoch})

        return tuple(means)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation of the objective over the seeds of repeats.

        None where all fits had one seed, or one has no finite value.
        """
        by_seed: dict[int, list[float]] = {}
        for fold in self.folds:
            by_seed.setdefault(fold.seed, []).append(fold.value)
        means = [math.fsum(values) / len(values) for values in by_seed.values()]
        if len(means) < 2 or not all(map(math.isfinite, means)):
            return None
        return statistics.stdev(means)

    def without_curves(self) -> Self:
        """Return the result without what is large; of its folds what `spread` needs is left."""
        if self.spread is None:
            return replace(self, folds=(), samples=())
        slim = (replace(fold, curve=(), metrics={}, diagnosis=(), scores={}) for fold in self.folds)
        return replace(self, folds=tuple(slim), samples=())

    def reports_of(self, metric: str) -> tuple[tuple[int, float], ...]:
        """Return `reported`; of a result that does not say, its whole curve of `metric`."""
        if self.reported is not None:
            return self.reported
        return tuple((int(row["epoch"]), row.get(metric, math.nan)) for row in self.curve)

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        reported = None if self.reported is None else [list(pair) for pair in self.reported]
        # Only where it says something: other files are as they were before there was such a field.
        optional = {
            "data_digest": self.data_digest,
            "from_search": self.from_search,
            "proposal_digest": self.proposal_digest,
        }

        return {
            "schema": SCHEMA,
            "number": self.number,
            "status": self.status.value,
            "value": self.value,
            "metrics": dict(self.metrics),
            "folds": [fold.to_json() for fold in self.folds],
            "epochs": self.epochs,
            "attempt": self.attempt,
            "seed": self.seed,
            "error": self.error,
            "notices": list(self.notices),
            "diagnosis": [finding.to_json() for finding in self.diagnosis],
            "copied_from": self.copied_from,
            "seconds": self.seconds,
            "training_s": self.training_s,
            "slot": self.slot,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "rss_mb": self.rss_mb,
            "batch_size": self.batch_size,
            "reported": reported,
            **{name: text for name, text in optional.items() if text},
            **self._of_several(),
            **self._used(),
        }

    def _used(self) -> JsonObject:
        """Return what was measured of it; nothing where nothing was."""
        used: JsonObject = {"cpu_s": self.cpu_s, "gpu_s": self.gpu_s, "gpu_mb": self.gpu_mb}
        used["samples"] = [dict(sample) for sample in self.samples]
        return {name: value for name, value in used.items() if value}

    def _of_several(self) -> JsonObject:
        """Return what a study of one objective and without constraints has not."""
        several: JsonObject = {}
        if self.values is not None:
            several["values"] = list(self.values)
        if self.violations:
            several["violations"] = dict(self.violations)
        return several

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json` through JSON, or from a file of release 0.1."""
        check_schema(stored, "result.json")
        value = stored["value"]
        # Release 0.1 called notices "notes", and went without any field that has a default.
        notices = stored.get("notices", stored.get("notes", ()))

        return cls(
            stored["number"],
            Status(stored["status"]),
            None if value is None else number(value),
            _floats(stored["metrics"]),
            tuple(FoldResult.from_json(fold) for fold in stored["folds"]),
            epochs=stored.get("epochs", 0),
            attempt=stored.get("attempt", 1),
            seed=stored.get("seed", 0),
            error=stored.get("error", ""),
            notices=tuple(notices),
            diagnosis=_findings(stored),
            copied_from=stored.get("copied_from"),
            seconds=stored.get("seconds", 0.0),
            training_s=stored.get("training_s", 0.0),
            slot=stored.get("slot", ""),
            started_at=stored.get("started_at", 0.0),
            ended_at=stored.get("ended_at", 0.0),
            rss_mb=stored.get("rss_mb", 0.0),
            gpu_mb=number(stored.get("gpu_mb", 0.0)),
            batch_size=stored.get("batch_size"),
            reported=_pairs(stored.get("reported")),
            data_digest=stored.get("data_digest", ""),
            values=_values(stored.get("values")),
            violations=_floats(stored.get("violations", {})),
            from_search=stored.get("from_search", ""),
            proposal_digest=stored.get("proposal_digest", ""),
            cpu_s=number(stored.get("cpu_s", 0.0)),
            gpu_s=number(stored.get("gpu_s", 0.0)),
            samples=tuple(_floats(sample) for sample in stored.get("samples", ())),
        )


def _floats(stored: Json) -> dict[str, float]:
    """Return figures read from JSON: whole numbers and "nan" become floats."""
    return {name: number(value) for name, value in stored.items()}


def _pairs(stored: Sequence[Any] | None) -> tuple[tuple[int, float], ...] | None:
    if stored is None:
        return None
    return tuple((epoch, number(value)) for epoch, value in stored)


def _values(stored: Sequence[Any] | None) -> tuple[float, ...] | None:
    return None if stored is None else tuple(number(value) for value in stored)


def _findings(stored: Json) -> tuple[Finding, ...]:
    """Return the diagnosis stored; results of earlier versions have none."""
    return tuple(Finding.from_json(finding) for finding in stored.get("diagnosis", ()))


def _mean(rows: Sequence[Metrics]) -> dict[str, float]:
    """Return the mean of each metric of the first row, over the rows that have it."""
    means = {}
    for name in rows[0]:
        values = [row[name] for row in rows if name in row]
        means[name] = sum(values) / len(values)
    return means
