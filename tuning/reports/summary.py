"""`Summary`: how a search ended, for the table at the end and for `--json`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from tuning.ledger.usage import Usage
from tuning.ledger.winner import Margin, Standing, WinnerRecord
from tuning.reports.verdict import verdict
from tuning.schema import JsonObject
from tuning.scoring.pareto import front, knee, share_of_box
from tuning.space.space import Space
from tuning.storage.secrets import without_secrets
from tuning.study.display.html import block, facts, table
from tuning.study.display.trial_frame import trial_frame
from tuning.study.objective import Objective
from tuning.trial import Metrics, Params, Proposal, Status, TrialResult

if TYPE_CHECKING:
    from pandas import DataFrame

Trials: TypeAlias = Sequence[tuple[Proposal, TrialResult]]


@dataclass(frozen=True)
class Winner:
    """The parameters with the best mean over fresh seeds, as reports show them.

    The ledger's `Standing` may lack a value, where a seed diverged; a winner has one on each.

    Attributes:
        number: The trial they come from.
        seeds: The fresh training seeds.
        values: The validation objective on each of them, in the order of `seeds`.
        figures: Of several objectives each, and what constraints look at, on each of them.
    """

    number: int
    params: Params
    seeds: tuple[int, ...]
    values: tuple[float, ...]
    figures: tuple[Metrics, ...] = ()

    def mean_and_std(self, name: str) -> tuple[float, float] | None:
        """Return mean and spread of one of `figures`; None where it is not among them."""
        values = [row[name] for row in self.figures if name in row]
        if not values:
            return None
        return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else 0.0

    @property
    def mean(self) -> float:
        """Mean of `values`."""
        return math.fsum(self.values) / len(self.values)

    @property
    def std(self) -> float:
        """Sample standard deviation of `values` (n - 1); 0 for a single seed."""
        if len(self.values) < 2:
            return 0.0
        mean = self.mean
        squares = math.fsum((value - mean) ** 2 for value in self.values)
        return math.sqrt(squares / (len(self.values) - 1))

    @classmethod
    def of(cls, standing: Standing, params: Params | None = None) -> Self:
        """Return the winner of a search's files.

        Args:
            standing: How it did on its fresh seeds, which was well: it has a value on each.
            params: Its parameters in their own types, where the caller has decoded them.
        """
        return cls(
            standing.number,
            standing.params if params is None else params,
            tuple(seed for seed in standing.seeds if seed is not None),
            tuple(value for value in standing.values if value is not None),
            standing.figures,
        )

    def to_json(self) -> JsonObject:
        """Return plain JSON types: number, params, mean, spread, seeds, validation.

        `mean` and `spread` are those of the objective over the seeds; `validation` has them again,
        as it had before they stood here, and the value on each seed.
        """
        validation = {"mean": self.mean, "std": self.std, "values": list(self.values)}
        return {
            "number": self.number,
            "params": dict(self.params),
            "mean": self.mean,
            "spread": self.std,
            "seeds": list(self.seeds),
            "validation": validation,
        }


@dataclass(frozen=True, kw_only=True, repr=False)
class Summary:
    """Everything that the end of a run shows.

    Attributes:
        study, engine, search: The study's name, the engine, the search's id.
        status: How the run ended, in a word or two: `finished`, `exhausted`, `interrupted`, …
        objective: What trials were judged by.
        trials: Every finished trial of the search, those of earlier runs included.
        winner: None where there was none to choose.
        test: The winner's metrics on the test part, by name without prefix (`rmse`).
        dummy, linear: The same metrics of the two baselines, on the test part.
        margin: How much better than the linear one the winner is in the objective, with its
            `standard_error`.
        verdict: A sentence for the head where the winner is no better than a baseline; else "".
        threshold: From which probability on a row was of the second class; None: above 0.5.
        not_scored: Why the winner has no test score; else "".
        prepared: What was done to the winner's inputs; "" where all were standardised.
        imports: What a reader of the model must import, one line of Python each.
        unit: What one unit of the target is, e.g. `100,000 USD`; "" for classes.
        total_s, startup_s, training_s: Wall time of this run, of it until the first trial began,
            and the time trials spent training (summed over slots).
        search_s, runs: Wall time of all runs of the search, and how many there were; 0: not known.
        budget: Trials in all; None: no number was given.
        cpu_s, gpu_s: What the search has used of processors and GPUs, earlier runs included; see
            `tuning.ledger.usage.SearchUsage`.
        tracking_uri, experiment_id, run_id: Where MLflow has it; "" where it has not.
        report, model: Paths; None where there is none.
        warnings: What could not be written to MLflow or Optuna's storage, and what to do.
        again: The command that continues the search; "" where there is nothing to continue.
        objectives: Where there are several.
        pareto: What `--json` says of their front; empty where there is one objective.
        space: What was searched; None: not known.
    """

    study: str
    engine: str
    search: str
    status: str
    objective: Objective
    trials: Trials
    winner: Winner | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    dummy: Mapping[str, float] = field(default_factory=dict)
    linear: Mapping[str, float] = field(default_factory=dict)
    margin: Margin | None = None
    verdict: str = ""
    threshold: float | None = None
    not_scored: str = ""
    prepared: str = ""
    imports: tuple[str, ...] = ()
    unit: str = ""
    total_s: float = 0.0
    startup_s: float = 0.0
    training_s: float = 0.0
    search_s: float = 0.0
    runs: int = 0
    budget: int | None = None
    cpu_s: float = 0.0
    gpu_s: float = 0.0
    tracking_uri: str = ""
    experiment_id: str = ""
    run_id: str = ""
    report: str | None = None
    model: str | None = None
    warnings: tuple[str, ...] = ()
    again: str = ""
    objectives: tuple[Objective, ...] = ()
    pareto: JsonObject = field(default_factory=dict)
    space: Space | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        # Read back from JSON, NaN and infinities are strings.
        for name in ("test", "dummy", "linear"):
            scores = {metric: float(value) for metric, value in getattr(self, name).items()}
            object.__setattr__(self, name, scores)

    @property
    def counts(self) -> dict[str, int]:
        """Trials by outcome: completed, pruned, failed (diverged included), infeasible."""
        return count_trials(self.trials)

    @property
    def best(self) -> tuple[Proposal, TrialResult] | None:
        """The completed trial with the best value; None where no trial was completed."""
        return best_trial(self.trials, self.objective)

    def frame(self) -> DataFrame:
        """Return the trials as a DataFrame, one a row, indexed by their numbers.

        Its columns are the parameters, the metrics of the weights that were kept, and `status`,
        `trained_epochs`, `seconds`. A parameter of the name of another column is `params.NAME`.
        """
        return trial_frame(self.trials, self.objective.metric)

    def __repr__(self) -> str:
        counted = ", ".join(f"{n} {outcome}" for outcome, n in self.counts.items() if n)
        parts = [f"'{self.study}' by {self.engine}: {self.status}", counted or "no trials"]
        if self.winner is not None:
            mean = f"{self.objective.metric} {_mean_and_spread(self)}"
            parts.append(f"winner is trial {self.winner.number} with {mean}")
        return f"Summary({'; '.join(parts)})"

    def _repr_html_(self) -> str:
        counted = ", ".join(f"{n} {outcome}" for outcome, n in self.counts.items() if n)
        rows: list[tuple[str, object]] = [("engine", self.engine), ("trials", counted)]
        metric = self.objective.metric
        if self.winner is not None:
            params = ", ".join(
                f"{name}={_short(value)}" for name, value in self.winner.params.items()
            )
            rows += [
                ("winner", f"trial {self.winner.number}: {params}"),
                (f"{metric} over {len(self.winner.seeds)} fresh seeds", _mean_and_spread(self)),
            ]
        rows += [("model", self.model), ("report", self.report)]
        scores = {"winner": self.test, "linear baseline": self.linear, "dummy baseline": self.dummy}
        names = list(self.test)
        lines = [
            (who, *(f"{of[name]:.4g}" if name in of else "–" for name in names))
            for who, of in scores.items()
            if of
        ]
        parts = [facts(rows), *([table(("on the test set", *names), lines)] if lines else [])]
        return block(f"{self.study}: {self.status}", *parts, note=self.verdict)

    def to_json(self) -> JsonObject:
        """Return what `--json` prints.

        Plain JSON types, null for what is unknown or not finite, secrets masked.
        """
        tracking = {
            "tracking_uri": self.tracking_uri,
            "experiment_id": self.experiment_id,
            "run_id": self.run_id,
        }

        whole: JsonObject = {
            "study": self.study,
            "engine": self.engine,
            "search": self.search,
            "status": self.status,
            "trials": self.counts,
            "best": best_json(self.best, self.objective),
            "winner": None if self.winner is None else self.winner.to_json(),
            "test": dict(self.test),
            "baseline": {"dummy": dict(self.dummy), "linear": dict(self.linear)},
            "seconds": {
                "total": self.total_s,
                "startup": self.startup_s,
                "training": self.training_s,
            },
            "mlflow": {key: value or None for key, value in tracking.items()},
            "report": self.report,
            "model": self.model,
        }
        # Only where they say something: what reads this of plain searches finds what it knows.
        if self.verdict:
            whole["verdict"] = self.verdict
        if self.threshold is not None:
            whole["threshold"] = self.threshold
        if self.not_scored:
            whole["not_scored"] = self.not_scored
        if self.prepared:
            whole["prepared"] = self.prepared
        if self.imports:
            whole["imports"] = self.imports
        if self.pareto:
            whole["pareto"] = self.pareto
        # Where there was one run it is `total`.
        if self.runs > 1 and self.search_s:
            whole["seconds"]["search"] = self.search_s
        whole["seconds"] |= Usage(cpu_s=self.cpu_s, gpu_s=self.gpu_s).to_json()
        plain: JsonObject = plain_json(whole)
        return plain


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _mean_and_spread(summary: Summary) -> str:
    winner = summary.winner
    return "" if winner is None else f"{winner.mean:.4g} ± {winner.std:.2g}"


def with_winner(summary: Summary, record: WinnerRecord, params: Params) -> Summary:
    """Return a summary with the winner of a search's files and its look at the test set.

    Args:
        summary: Of the search.
        record: `winner.json`.
        params: Of the winner, in their own types.
    """
    evaluation = record.evaluation
    return replace(
        summary,
        winner=Winner.of(record.standing, params),
        test=evaluation.test,
        not_scored=evaluation.not_scored,
        dummy=evaluation.baseline.get("dummy", {}),
        linear=evaluation.baseline.get("linear", {}),
        margin=evaluation.margin,
        verdict=verdict(evaluation.no_better),
        threshold=evaluation.threshold,
        prepared=evaluation.prepared,
        imports=evaluation.imports,
        model=evaluation.model,
    )


def count_trials(trials: Trials) -> dict[str, int]:
    """Count trials by outcome, as `--json` has them."""
    totals = {"completed": 0, "pruned": 0, "failed": 0, "infeasible": 0}
    for _, result in trials:
        totals["failed" if result.status is Status.DIVERGED else result.status.value] += 1
    return totals


def ranked(trials: Trials, objective: Objective) -> list[tuple[Proposal, TrialResult]]:
    """Return the trials that have a value, the earliest of equals first.

    Completed ones, the best first, then pruned ones, the best first.
    """

    def key(pair: tuple[Proposal, TrialResult]) -> tuple[bool, float, int]:
        _, result = pair
        value = math.inf if result.value is None else objective.key(result.value)
        # False sorts before True: completed trials come first.
        return (result.status is not Status.COMPLETED, value, result.number)

    return sorted((pair for pair in trials if pair[1].value is not None), key=key)


def best_trial(trials: Trials, objective: Objective) -> tuple[Proposal, TrialResult] | None:
    """Return the completed trial with the best value, the earliest of equals."""
    best = next(iter(ranked(trials, objective)), None)
    if best is None or best[1].status is not Status.COMPLETED:
        return None
    return best


def best_json(best: tuple[Proposal, TrialResult] | None, objective: Objective) -> JsonObject | None:
    """Return what `--json` says of the best trial."""
    if best is None:
        return None
    proposal, result = best
    return {
        "number": result.number,
        "params": dict(proposal.params),
        "metric": objective.metric,
        "value": result.value,
    }


def flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield what nested mappings hold, with names like `data.rows`."""
    for name, value in nested.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def plain_json(value: Any) -> Any:
    """Return `value` as JSON types.

    Tuples become lists, NumPy's scalars Python's, figures that are not finite null; strings are
    masked.
    """
    if isinstance(value, Mapping):
        return {str(key): plain_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_json(item) for item in value]
    if isinstance(value, str):
        return without_secrets(value)

    if hasattr(value, "item"):  # NumPy's
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


MOST_FOR_VOLUME = 3
"""Objectives for which the hypervolume is computed: with more the time grows too fast."""


@dataclass(frozen=True, kw_only=True)
class ParetoFront:
    """The completed trials that no other one beats in everything.

    Attributes:
        objectives: What they are judged by, two at least.
        trials: Of the front, the best in the first objective first.
        knee: The number of the trial that gives up least; see `tuning.scoring.pareto.knee`.
        hypervolume: The share that the front dominates of the box from the best to the worst values
            of all completed trials; None for more than three objectives.
    """

    objectives: tuple[Objective, ...]
    trials: Trials
    knee: int
    hypervolume: float | None

    @property
    def numbers(self) -> list[int]:
        """The trials of the front."""
        return [result.number for _, result in self.trials]

    def to_json(self) -> JsonObject:
        """Return plain JSON types, as `--json` and `pareto.json` have them."""
        members = [
            {
                "number": result.number,
                "params": dict(proposal.params),
                "values": self.named(result),
            }
            for proposal, result in self.trials
        ]
        whole = {"knee": self.knee, "hypervolume": self.hypervolume, "front": members}
        plain: JsonObject = plain_json(whole)
        return plain

    def named(self, result: TrialResult) -> dict[str, float]:
        """Return a trial's values by their objectives."""
        names = [objective.metric for objective in self.objectives]
        return dict(zip(names, result.values or (), strict=True))


def pareto_front(trials: Trials, objectives: Sequence[Objective]) -> ParetoFront | None:
    """Return the front of a search; None where it has one objective, or no trial was completed."""
    completed = with_all_values(trials)
    if len(objectives) < 2 or not completed:
        return None

    rows = [result.values or () for _, result in completed]
    members = sorted(front(rows, objectives), key=lambda i: objectives[0].key(rows[i][0]))
    middle = members[knee([rows[i] for i in members], objectives)]
    share = share_of_box(rows, objectives) if len(objectives) <= MOST_FOR_VOLUME else None
    return ParetoFront(
        objectives=tuple(objectives),
        trials=[completed[i] for i in members],
        knee=completed[middle][1].number,
        hypervolume=share,
    )


def with_all_values(trials: Trials) -> Trials:
    """Return the completed trials that have a value of each of several objectives."""
    return [
        (proposal, result)
        for proposal, result in trials
        if result.status is Status.COMPLETED and result.values is not None
    ]
