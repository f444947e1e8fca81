"""What the JSON files of finalists and winner hold, a frozen record for each.

    finalists/00007/0.json      FinalistOutcome
    evaluation.json             Evaluation
    winner.json                 WinnerRecord, made of Standing and Evaluation

Figures that are not finite stand in the files as "nan", "inf" and "-inf". How records are read and
written is in `tuning.ledger.records`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from tuning.schema import SCHEMA, Json, JsonObject, check_schema, number
from tuning.trial import Metrics, Params


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
        figures: Of several objectives each, and what constraints look at, by name.
        digest: `finalist_digest` of what was trained; "": a file of an earlier version.
        cpu_s, gpu_s: Of the worker, as in `TrialResult`; 0: not measured.
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
    figures: Metrics = field(default_factory=dict)
    digest: str = field(default="", compare=False)
    cpu_s: float = 0.0
    gpu_s: float = 0.0

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        # Left out where a study has one objective and no constraint.
        figures = {"figures": _plain_metrics(self.figures)} if self.figures else {}
        used = {"cpu_s": self.cpu_s, "gpu_s": self.gpu_s}
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
            **({"digest": self.digest} if self.digest else {}),
            **figures,
            **{name: value for name, value in used.items() if value},
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
            # What is only shown may be missing, as it might for release 0.1.
            training_s=stored.get("training_s", 0.0),
            seconds=stored.get("seconds", 0.0),
            slot=stored.get("slot", ""),
            started_at=stored.get("started_at", 0.0),
            ended_at=stored.get("ended_at", 0.0),
            figures=_scores(stored.get("figures", {})),
            digest=stored.get("digest", ""),
            cpu_s=stored.get("cpu_s", 0.0),
            gpu_s=stored.get("gpu_s", 0.0),
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
            difference=number(stored["difference"]),
            standard_error=number(stored["standard_error"]),
        )


@dataclass(frozen=True, kw_only=True)
class NoBetter:
    """A baseline that the winner does not beat by more than its margin's standard error.

    Attributes:
        baseline: `dummy`, or else `linear`.
        metric: The objective's, without `val_`.
        winner, theirs: Its values on the test part.
        margin: Of the winner over the baseline.
        always: What the dummy predicts for every row, in words; "" where that has no name.
    """

    baseline: str
    metric: str
    winner: float
    theirs: float
    margin: Margin
    always: str = ""

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "baseline": self.baseline,
            "metric": self.metric,
            "winner": _plain(self.winner),
            "theirs": _plain(self.theirs),
            "margin": self.margin.to_json(),
            "always": self.always,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        return cls(
            baseline=stored["baseline"],
            metric=stored["metric"],
            winner=number(stored["winner"]),
            theirs=number(stored["theirs"]),
            margin=Margin.from_json(stored["margin"]),
            always=stored.get("always", ""),
        )


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The winner's one look at the test part.

    Attributes:
        test: Its scores: the standard ones, the objective's, and what the model was compiled with
            where that is more than a loss.
        not_scored: Why there are none, where the evaluation failed or was lost; else "".
        baseline: Those of the baselines, by name: `dummy`, `linear`.
        margin: Over the linear one; None where there is none.
        no_better: The baseline that it is no better than; None where it beats them, or no objective
            of ours compares them.
        threshold: From which probability on a row was of the second of two classes; None: above
            0.5.
        prepared: What was done to the inputs, in one line; "" where all were standardised, or as
            the data set asks.
        imports: Lines of Python that a reader of the model's file must run before; none where it is
            made of Keras' own parts.
        model: Path of the saved model; None where a study trains none.
        sha256: Of that file.
        parameters: How many the model has.
        reload_error: Largest difference between the predictions of the model and of its file, read
            back; None where Keras rightly refuses to read it, for it holds code, or cannot.
        file_fault: Why Keras cannot write or read the model's file, and what would help; else "".
        digest: `evaluation_digest` of what was evaluated; "": a file of an earlier version.
        cpu_s, gpu_s: What it took, as in `TrialResult`, with the evaluations of earlier winners of
            the search; 0: not measured.
    """

    test: Metrics
    not_scored: str = ""
    baseline: Mapping[str, Metrics] = field(default_factory=dict)
    margin: Margin | None = None
    no_better: NoBetter | None = None
    threshold: float | None = None
    prepared: str = ""
    imports: tuple[str, ...] = ()
    model: str | None = None
    sha256: str | None = None
    parameters: int | None = None
    reload_error: float | None = None
    file_fault: str = ""
    digest: str = field(default="", repr=False, compare=False)
    cpu_s: float = field(default=0.0, repr=False, compare=False)
    gpu_s: float = field(default=0.0, repr=False, compare=False)

    def after(self, earlier: Evaluation) -> Evaluation:
        """Return this evaluation as one that has used what an earlier one of the search has."""
        return replace(self, cpu_s=self.cpu_s + earlier.cpu_s, gpu_s=self.gpu_s + earlier.gpu_s)

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        baseline = {name: _plain_metrics(scores) for name, scores in self.baseline.items()}
        # Left out where there is none: so the files of plain searches stay as they were.
        further: JsonObject = {}
        if self.no_better is not None:
            further["no_better"] = self.no_better.to_json()
        if self.threshold is not None:
            further["threshold"] = self.threshold
        if self.prepared:
            further["prepared"] = self.prepared
        if self.imports:
            further["imports"] = list(self.imports)
        if self.not_scored:
            further["not_scored"] = self.not_scored
        if self.file_fault:
            further["file_fault"] = self.file_fault
        if self.digest:
            further["digest"] = self.digest
        if self.cpu_s or self.gpu_s:
            further["used"] = {"cpu_s": self.cpu_s, "gpu_s": self.gpu_s}

        return {
            **further,
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
        no_better = stored.get("no_better")
        baseline = {name: _scores(scores) for name, scores in stored["baseline"].items()}

        return cls(
            test=_scores(stored["test"]),
            not_scored=stored.get("not_scored", ""),
            baseline=baseline,
            margin=None if margin is None else Margin.from_json(margin),
            no_better=None if no_better is None else NoBetter.from_json(no_better),
            threshold=stored.get("threshold"),
            prepared=stored.get("prepared", ""),
            imports=tuple(stored.get("imports", ())),
            model=stored["model"],
            # A study that trains nothing had none of these in release 0.1.
            sha256=stored.get("sha256"),
            parameters=stored.get("parameters"),
            reload_error=_number(stored.get("reload_error")),
            file_fault=stored.get("file_fault", ""),
            digest=stored.get("digest", ""),
            cpu_s=number(stored.get("used", {}).get("cpu_s", 0.0)),
            gpu_s=number(stored.get("used", {}).get("gpu_s", 0.0)),
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
        figures: Of each seed all objectives and what constraints look at, by name; empty where a
            study has one objective and no constraint.
    """

    number: int
    params: Params
    epochs: int
    seeds: tuple[int | None, ...]
    weights: tuple[str | None, ...]
    values: tuple[float | None, ...]
    figures: tuple[Metrics, ...] = ()

    def mean_of(self, name: str) -> float | None:
        """Return the mean of a figure over the seeds; None where one has none, or a seed failed."""
        values = [row[name] for row in self.figures if name in row]
        if self.mean is None or not values or len(values) < len(self.values):
            return None
        return statistics.fmean(values)

    def std_of(self, name: str) -> float:
        """Return the sample standard deviation of a figure over the seeds; 0 for fewer than two."""
        values = [row[name] for row in self.figures if name in row]
        return statistics.stdev(values) if len(values) > 1 else 0.0

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
        rows = [_plain_metrics(row) for row in self.figures]
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
            **({"figures": rows} if rows else {}),
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
            figures=tuple(_scores(row) for row in stored.get("figures", ())),
        )


@dataclass(frozen=True, kw_only=True)
class WinnerRecord:
    """The honest winner.

    Attributes:
        standing: On fresh seeds, where its mean was the best.
        finalists: The standings of all that were trained, in the order of the ranking.
        evaluation: On the test part.
        seed: The median one of its seeds, whose model is kept.
        at: When it was chosen, Unix seconds.
        search: Id of the search whose winner it is; "": a file of an earlier version.
    """

    standing: Standing
    finalists: tuple[Standing, ...]
    evaluation: Evaluation
    seed: int
    at: float
    search: str = field(default="", repr=False, compare=False)

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
            **({"search": self.search} if self.search else {}),
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
            at=number(stored["at"]),
            search=stored.get("search", ""),
        )


def _scores(stored: Json) -> dict[str, float]:
    return {name: number(value) for name, value in stored.items()}


def _plain_metrics(metrics: Metrics) -> dict[str, float | str | None]:
    return {name: _plain(value) for name, value in metrics.items()}


def _number(stored: float | str | None) -> float | None:
    """Return a figure read from JSON, where what is not finite is a text."""
    return None if stored is None else number(stored)


def _plain(value: float | None) -> float | str | None:
    """Return a figure as JSON takes it."""
    if value is None or math.isfinite(value):
        return value
    return str(float(value))
