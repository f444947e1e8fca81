"""What the JSON files of one search hold, a frozen record for each.

`to_json` returns plain JSON types with the number of the files' shape; `from_json` reads that, and
the files of release 0.1, which have no number. Keys are those of release 0.1 where there was no
reason to change them. Figures that are not finite stand in the files as "nan", "inf" and "-inf".

    search.json                 SearchHeader
    trials/…/died.json          Death
    finalists/00007/0.json      FinalistOutcome
    evaluation.json             Evaluation
    winner.json                 WinnerRecord, made of Standing and Evaluation
    status.json                 SearchStatus
    intervals.json              LRIntervals, beside a benchmark's searches
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias, TypeVar

from tuning.errors import StorageError
from tuning.ledger.spaces import space_of
from tuning.schema import SCHEMA, Json, JsonObject, check_schema
from tuning.storage.durable import read_json, write_json
from tuning.study.info import DatasetFacts
from tuning.study.objective import Objective
from tuning.study.space import Space
from tuning.trial import Metrics, Params

Definition: TypeAlias = Json
"""`Study.definition()`: compared field by field, and shown."""


class Record(Protocol):
    """What every record of a file can do."""

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""


_NO_DATA = DatasetFacts(name="")
R = TypeVar("R", bound=Record)


def read_record(kind: type[R], path: Path) -> R | None:
    """Return what a file holds; None where there is none or it is torn.

    Raises:
        NewerFileError: A later release wrote it.
        StorageError: It is whole, but lacks something: somebody has changed it.
    """
    stored = read_json(path)
    if not isinstance(stored, dict):
        return None
    check_schema(stored, path)
    try:
        return kind.from_json(stored)
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path} is damaged ({error!r}); put it back from a copy") from error


def write_record(path: Path, record: Record) -> None:
    """Write a record, durably.

    Raises:
        StorageError: The disk is full, read-only or failing; nothing was changed.
    """
    write_json(path, record.to_json())


@dataclass(frozen=True, kw_only=True)
class SearchHeader:
    """What is searched, since when, under which definitions, on what.

    Attributes:
        id: Unique in the world; "" until the search has begun.
        created_at: Unix seconds.
        versions: Every definition the search has gone on under; the last one holds.
        begins: Of each version the number of its first trial.
        variant: What the command line changed of the study.
        study_hash: Over the definition that holds.
        spaces_json: Of each version its space, as `Space.to_json` has it; empty in release 0.1,
            whose spaces are read from the texts in their definitions.
        data: What the data set is.
        trials: The budget; None: none in trials.
        study_file: "" for a study made in a notebook.
        git_commit: Of the folder the search was begun in; "" outside a repository.
        versions_of: Libraries and their versions.
        intervals: Learning rates' bounds that a range test found, by parameter.
        recovered: The header was damaged and is written anew; the trials are older than it.
    """

    study: str
    engine: str
    objective: Objective
    versions: tuple[Definition, ...]
    pruner: str = "none"
    id: str = ""
    created_at: float = 0.0
    begins: tuple[int, ...] = (0,)
    variant: Json = field(default_factory=dict)
    study_hash: str = ""
    spaces_json: tuple[Json, ...] = ()
    data: DatasetFacts = _NO_DATA
    seed: int = 0
    trials: int | None = None
    study_file: str = ""
    git_commit: str = ""
    versions_of: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    recovered: bool = False

    @property
    def definition(self) -> Definition:
        """The study as it is searched now."""
        return self.versions[-1]

    @property
    def space(self) -> Space:
        """The space as it is searched now.

        Raises:
            StudyError: It cannot be read.
        """
        return self.spaces[-1]

    @property
    def spaces(self) -> tuple[Space, ...]:
        """The space of each version.

        Raises:
            StudyError: One cannot be read.
        """
        if self.spaces_json:
            return tuple(Space.from_json(stored) for stored in self.spaces_json)
        return tuple(space_of(definition) for definition in self.versions)

    @property
    def engine_name(self) -> str:
        """Engine and pruner in a word: `optuna:tpe+asha`."""
        return self.engine if self.pruner == "none" else f"{self.engine}+{self.pruner}"

    def gone_on_as(self, other: SearchHeader, first_trial: int) -> SearchHeader:
        """Return the header of this search under another definition from a trial on."""
        return replace(
            other,
            id=self.id,
            created_at=self.created_at,
            versions=(*self.versions, other.definition),
            spaces_json=tuple(space.to_json() for space in (*self.spaces, other.space)),
            begins=(*self.begins, first_trial),
            recovered=self.recovered,
        )

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "study": self.study,
            "engine": self.engine,
            "pruner": self.pruner,
            "variant": dict(self.variant),
            "definition": dict(self.definition),
            "study_hash": self.study_hash,
            "data": self.data.to_json(),
            "objective": {
                "metric": self.objective.metric,
                "direction": self.objective.direction,
            },
            "seed": self.seed,
            "trials": self.trials,
            "study_file": self.study_file,
            "git_commit": self.git_commit,
            "versions_of": dict(self.versions_of),
            "intervals": dict(self.intervals),
            "id": self.id,
            "created_at": self.created_at,
            "versions": [dict(version) for version in self.versions],
            "begins": list(self.begins),
            "spaces": [dict(space) for space in self.spaces_json],
            "recovered": self.recovered,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "search.json")
        versions = tuple(stored["versions"])
        return cls(
            study=stored["study"],
            engine=stored["engine"],
            objective=Objective(**stored["objective"]),
            versions=versions,
            pruner=stored["pruner"],
            id=stored["id"],
            created_at=float(stored["created_at"]),
            # Release 0.1 wrote no first numbers until there was a second version.
            begins=tuple(stored.get("begins", (0,))),
            variant=stored["variant"],
            study_hash=stored["study_hash"],
            spaces_json=tuple(stored.get("spaces", ())),
            data=DatasetFacts.from_json(stored["data"]),
            seed=stored["seed"],
            trials=stored["trials"],
            study_file=stored["study_file"],
            git_commit=stored["git_commit"],
            versions_of=stored["versions_of"],
            intervals=stored.get("intervals", {}),
            recovered=stored.get("recovered", False),
        )


@dataclass(frozen=True, kw_only=True)
class Death:
    """How an attempt lost its worker.

    Attributes:
        cause: In a word: `crashed`, `killed`, `timeout`, `no_progress`, `lost`.
        detail: In words.
        slot: Where it ran; "" where that is not known.
    """

    cause: str
    detail: str = ""
    slot: str = ""

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {"schema": SCHEMA, "cause": self.cause, "detail": self.detail, "slot": self.slot}

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "died.json")
        return cls(
            cause=stored["cause"],
            detail=stored.get("detail", ""),
            slot=stored.get("slot", ""),
        )


@dataclass(frozen=True, kw_only=True)
class FinalistOutcome:
    """What came of one of the best trials' parameters on a fresh seed; with `--cv` also of a fold.

    Attributes:
        number: The trial the parameters come from.
        index: Which of the study's fresh seeds.
        value: The objective, with `--cv` the mean over folds; None where it diverged.
        epochs: Of the weights that were kept.
        weights: Name of their file, which lies beside; None where none were kept.
        training_s: Seconds of it spent in training.
        seconds: Wall time.
        started_at, ended_at: Unix seconds, for display only.
    """

    number: int
    index: int
    seed: int
    value: float | None
    epochs: int
    weights: str | None = None
    training_s: float = 0.0
    seconds: float = 0.0
    slot: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "number": self.number,
            "index": self.index,
            "seed": self.seed,
            "weights": self.weights,
            "value": _plain(self.value),
            "epochs": self.epochs,
            "training_s": self.training_s,
            "seconds": self.seconds,
            "slot": self.slot,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "the outcome of a finalist")
        return cls(
            number=stored["number"],
            index=stored["index"],
            seed=stored["seed"],
            value=_number(stored["value"]),
            epochs=stored["epochs"],
            weights=stored["weights"],
            training_s=stored["training_s"],
            seconds=stored["seconds"],
            slot=stored["slot"],
            started_at=stored["started_at"],
            ended_at=stored["ended_at"],
        )


@dataclass(frozen=True, kw_only=True)
class Margin:
    """By how much a winner beats its linear baseline, above 0 where it is better.

    Attributes:
        difference: In the metric's unit.
        standard_error: Of the difference.
    """

    difference: float
    standard_error: float

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "difference": _plain(self.difference),
            "standard_error": _plain(self.standard_error),
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        return cls(
            difference=float(stored["difference"]),
            standard_error=float(stored["standard_error"]),
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The winner's one look at the test part.

    Attributes:
        test: Its scores.
        baseline: Those of the baselines, by name: `dummy`, `linear`.
        margin: Over the linear one; None where there is none.
        model: Path of the saved model; None where a study trains none.
        sha256: Of that file.
        parameters: How many the model has.
        reload_error: Largest difference between the predictions of the model and of its file, read
            back; None where Keras rightly refuses to read it, for it holds code.
    """

    test: Metrics
    baseline: Mapping[str, Metrics] = field(default_factory=dict)
    margin: Margin | None = None
    model: str | None = None
    sha256: str | None = None
    parameters: int | None = None
    reload_error: float | None = None

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        baseline = {name: _plain_metrics(scores) for name, scores in self.baseline.items()}
        return {
            "schema": SCHEMA,
            "test": _plain_metrics(self.test),
            "baseline": baseline,
            "margin": None if self.margin is None else self.margin.to_json(),
            "model": self.model,
            "sha256": self.sha256,
            "parameters": self.parameters,
            "reload_error": _plain(self.reload_error),
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "evaluation.json")
        margin = stored.get("margin")
        baseline = {name: _scores(scores) for name, scores in stored["baseline"].items()}
        return cls(
            test=_scores(stored["test"]),
            baseline=baseline,
            margin=None if margin is None else Margin.from_json(margin),
            model=stored["model"],
            # A study that trains nothing had none of these in release 0.1.
            sha256=stored.get("sha256"),
            parameters=stored.get("parameters"),
            reload_error=_number(stored.get("reload_error")),
        )


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How one of the best trials did on its fresh seeds.

    Attributes:
        number: The trial.
        params: As they were trained: with the batch size that memory had left.
        epochs: The study's, whatever part of them the search gave the trial.
        seeds: The fresh training seeds; None where training failed.
        weights: Of each seed the name of its weights' file.
        values: Of each seed the validation objective; None where it diverged or failed.
    """

    number: int
    params: Params
    epochs: int
    seeds: tuple[int | None, ...]
    weights: tuple[str | None, ...]
    values: tuple[float | None, ...]

    @property
    def mean(self) -> float | None:
        """The mean over the seeds; None where it diverged or failed on one: it is out."""
        finite = self._finite_values
        return None if finite is None else statistics.fmean(finite)

    @property
    def std(self) -> float | None:
        """Sample standard deviation over the seeds, 0 for one seed; None where it is out."""
        finite = self._finite_values
        if finite is None:
            return None
        return statistics.stdev(finite) if len(finite) > 1 else 0.0

    @property
    def _finite_values(self) -> list[float] | None:
        finite = [value for value in self.values if value is not None and math.isfinite(value)]
        return finite if len(finite) == len(self.values) else None

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "number": self.number,
            "params": dict(self.params),
            "epochs": self.epochs,
            "seeds": list(self.seeds),
            "weights": list(self.weights),
            "validation": {
                "mean": self.mean,
                "std": self.std,
                "values": [_plain(value) for value in self.values],
            },
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`; parameters stay in JSON's types."""
        return cls(
            number=stored["number"],
            params=stored["params"],
            epochs=stored["epochs"],
            seeds=tuple(stored["seeds"]),
            weights=tuple(stored["weights"]),
            values=tuple(_number(value) for value in stored["validation"]["values"]),
        )


@dataclass(frozen=True, kw_only=True)
class WinnerRecord:
    """The honest winner.

    Attributes:
        standing: On fresh seeds, where its mean was the best.
        finalists: The standings of all that were looked at, in the order of the ranking.
        evaluation: On the test part.
        seed: The median one of its seeds, whose model is kept.
        at: When it was chosen, Unix seconds.
    """

    standing: Standing
    finalists: tuple[Standing, ...]
    evaluation: Evaluation
    seed: int
    at: float

    @property
    def number(self) -> int:
        """The trial it comes from."""
        return self.standing.number

    @property
    def params(self) -> Params:
        """What it was trained with."""
        return self.standing.params

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            **self.standing.to_json(),
            "finalists": [standing.to_json() for standing in self.finalists],
            **self.evaluation.to_json(),
            "seed": self.seed,
            "at": self.at,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "winner.json")
        return cls(
            standing=Standing.from_json(stored),
            finalists=tuple(Standing.from_json(one) for one in stored["finalists"]),
            evaluation=Evaluation.from_json(stored),
            seed=stored["seed"],
            at=float(stored["at"]),
        )


@dataclass(frozen=True, kw_only=True)
class SearchStatus:
    """How the last run of a search ended, or that it runs.

    Attributes:
        status: "running", "completed", "exhausted", "timeout", "interrupted", "terminated" or
            "failed".
        counts: Trials by outcome.
        error: Why it failed, else "".
        at: When this was so, Unix seconds.
    """

    status: str
    at: float
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "status": self.status,
            "counts": dict(self.counts),
            "error": self.error,
            "at": self.at,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "status.json")
        return cls(
            status=stored["status"],
            at=float(stored["at"]),
            counts=stored["counts"],
            error=stored["error"],
        )


@dataclass(frozen=True, kw_only=True)
class LRIntervals:
    """Learning rates' bounds that a range test found, where no search's header keeps them.

    Attributes:
        intervals: By parameter (low, high), or rows of `tuning.study.positions`.
        definition: What they were measured under; empty: not known, and the intervals hold.
    """

    intervals: Mapping[str, Sequence[Any]]
    definition: Definition

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "intervals": dict(self.intervals),
            "definition": dict(self.definition),
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "intervals.json")
        return cls(intervals=stored["intervals"], definition=stored.get("definition", {}))


def _scores(stored: Json) -> dict[str, float]:
    return {name: float(value) for name, value in stored.items()}


def _plain_metrics(metrics: Metrics) -> dict[str, float | str | None]:
    return {name: _plain(value) for name, value in metrics.items()}


def _number(stored: float | str | None) -> float | None:
    """Return a figure read from JSON, where what is not finite is a text."""
    return None if stored is None else float(stored)


def _plain(value: float | None) -> float | str | None:
    """Return a figure as JSON takes it."""
    if value is None or math.isfinite(value):
        return value
    return str(float(value))
