"""Searches side by side: what each is and gave, and in what they differ. No figures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from tuning.ledger.records import Definition, SearchHeader
from tuning.ledger.usage import Usage
from tuning.ledger.winner import WinnerRecord
from tuning.reports.axes import describe
from tuning.reports.summary import (
    Trials,
    Winner,
    best_json,
    best_trial,
    count_trials,
    flat,
    plain_json,
)
from tuning.reports.texts import one_line, over_seeds, params_text, score, seconds_text, used_text
from tuning.schema import JsonObject
from tuning.space.space import Space
from tuning.study.objective import Objective
from tuning.trial import Proposal, TrialResult

_BUDGET = ("trials", "epochs", "timeout", "gpu_hours", "patience", "cv", "top_k", "seeds")
_VALIDATION = ("test_size", "validation_size", "split", "seed", "cv")
"""Fields of a definition by which the rows are chosen that a value is measured on."""
_MOST_CHARACTERS = 200  # of a value that differs


@dataclass(frozen=True, kw_only=True)
class Compared:
    """One search as it is compared.

    Attributes:
        name: `study/key`.
        header: `search.json`.
        space: As it was searched last.
        trials: Every finished trial, by number.
        winner: `winner.json`; None: none was chosen.
        status: How its last run ended, e.g. `completed`; "" where it has not said.
        used: What it has used.
    """

    name: str
    header: SearchHeader
    space: Space
    trials: Trials
    winner: WinnerRecord | None = None
    status: str = ""
    used: Usage = field(default_factory=Usage)

    @property
    def definition(self) -> Definition:
        """The study as it was searched last."""
        return self.header.definition

    @property
    def objective(self) -> Objective:
        """What its trials were judged by."""
        return self.header.objective

    @property
    def engine(self) -> str:
        """Engine and pruner, as `bench` names them: `optuna:tpe+asha`."""
        return self.header.engine_name

    @property
    def best(self) -> tuple[Proposal, TrialResult] | None:
        """The completed trial with the best value; None where none was completed."""
        return best_trial(self.trials, self.objective)

    @property
    def chosen(self) -> Winner | None:
        """The winner on fresh seeds."""
        return None if self.winner is None else Winner.of(self.winner.standing)

    @property
    def epochs(self) -> int:
        """Epochs trained in all trials."""
        return sum(result.epochs for _, result in self.trials)

    @property
    def training_s(self) -> float:
        """Seconds of training in all trials, over all slots."""
        return sum(result.training_s for _, result in self.trials)

    @property
    def budget(self) -> dict[str, Any]:
        """The fields of the study that limit the search, those that are set."""
        fields = {**self.definition, "trials": self.header.trials}
        return {name: fields[name] for name in _BUDGET if fields.get(name) is not None}

    @property
    def domains(self) -> dict[str, str]:
        """Each parameter with its domain in words."""
        return {name: describe(domain) for name, domain in self.space.domains.items()}

    def scores(self, part: str) -> dict[str, float]:
        """Return the winner's scores on `test`, or those of a baseline there: `linear`, `dummy`."""
        if self.winner is None:
            return {}
        evaluation = self.winner.evaluation
        if part == "test":
            return dict(evaluation.test)
        return dict(evaluation.baseline.get(part, {}))

    def to_json(self) -> JsonObject:
        """Return what `--json` says of it."""
        return {
            "name": self.name,
            "search": self.header.id,
            "study": self.header.study,
            "engine": self.engine,
            "status": self.status or None,
            "budget": self.budget,
            "trials": count_trials(self.trials),
            "epochs": self.epochs,
            "seconds": {"training": self.training_s, **self.used.to_json()},
            "best": best_json(self.best, self.objective),
            "winner": None if self.chosen is None else self.chosen.to_json(),
            "test": self.scores("test"),
            "baseline": {"dummy": self.scores("dummy"), "linear": self.scores("linear")},
            "space": self.domains,
        }


class Difference(NamedTuple):
    """Something that is not the same in all searches.

    Attributes:
        kind: `study`, `space`, `data`, `versions` or `code`.
        name: Of the field, parameter, fact or library.
        values: One for each search; None where it has none.
    """

    kind: str
    name: str
    values: tuple[Any, ...]


class Row(NamedTuple):
    """A row of a table: its label, and a text for each search."""

    label: str
    cells: list[str]


@dataclass(frozen=True)
class Comparison:
    """Two or more searches.

    Attributes:
        searches: In the order of the command line.
        differences: In what they differ.
        cautions: Why values should not be read against each other, in sentences.
    """

    searches: tuple[Compared, ...]
    differences: tuple[Difference, ...] = field(init=False)
    cautions: tuple[str, ...] = field(init=False)

    # Computed once: the page, the terminal and `--json` all show them.
    def __post_init__(self) -> None:
        object.__setattr__(self, "differences", tuple(_differences(self.searches)))
        object.__setattr__(self, "cautions", tuple(_cautions(self.searches)))

    @property
    def comparable(self) -> bool:
        """Whether all were searched for the same objective: their curves belong in one plot."""
        return len({search.definition["objective"] for search in self.searches}) == 1

    def to_json(self, report: str) -> JsonObject:
        """Return what `--json` prints; `report` is the page's path."""
        differences: dict[str, JsonObject] = {}
        for kind, name, values in self.differences:
            differences.setdefault(kind, {})[name] = list(values)

        plain: JsonObject = plain_json(
            {
                "searches": [search.to_json() for search in self.searches],
                "differences": differences,
                "cautions": list(self.cautions),
                "report": report,
            }
        )
        return plain


def fact_rows(comparison: Comparison) -> list[Row]:
    """Return the facts of every search, a row each."""
    return _aligned([dict(_facts(search)) for search in comparison.searches])


def space_rows(comparison: Comparison) -> list[Row]:
    """Return every parameter with its domain in each search."""
    return _aligned([search.domains for search in comparison.searches])


def difference_rows(comparison: Comparison) -> list[Row]:
    """Return what differs; a label reads `data: digest`."""
    return [
        Row(f"{kind}: {name}", [_shortened(value) for value in values])
        for kind, name, values in comparison.differences
    ]


def _aligned(columns: Sequence[Mapping[str, str]]) -> list[Row]:
    """Return a row for each label that any column has."""
    labels = dict.fromkeys(label for column in columns for label in column)
    return [Row(label, [column.get(label, "–") for column in columns]) for label in labels]


def _facts(search: Compared) -> Iterator[tuple[str, str]]:
    """Yield label and text of each thing to know of a search."""
    counts = count_trials(search.trials)
    outcomes = [f"{count} {outcome}" for outcome, count in counts.items() if count]
    limits = [f"{name} {value}" for name, value in search.budget.items()]
    yield "study", search.header.study
    yield "engine", search.engine
    yield "status", search.status or "–"
    yield "budget", ", ".join(limits) or "–"
    yield "trials", ", ".join(outcomes) or "none"
    yield "epochs trained", f"{search.epochs:,}"
    yield "training", seconds_text(search.training_s)
    yield "used", used_text(search.used.cpu_s, search.used.gpu_s)

    others = search.header.objectives[1:]
    if others:
        listed = ", ".join(f"{each.direction} {each.metric}" for each in others)
        yield "compared by", f"{search.objective.metric}, the first objective; not by {listed}"
    if search.best is not None:
        proposal, result = search.best
        yield f"best {search.objective.metric}", f"{score(result.value)} (trial {result.number})"
        yield "best parameters", params_text(proposal.params)

    winner = search.chosen
    if winner is not None:
        n_seeds = len(winner.seeds)
        validation = over_seeds(search.objective.metric, winner.mean, winner.std, n_seeds)
        seeds = "1 fresh seed" if n_seeds == 1 else f"{n_seeds} fresh seeds"
        origin = f"over {seeds} (trial {winner.number})"
        yield "winner, validation", f"{validation} {origin}"

    parts = {"test": "winner, test", "linear": "linear baseline, test", "dummy": "dummy, test"}
    for part, label in parts.items():
        for metric, value in search.scores(part).items():
            yield f"{label} {metric}", score(value)


def _differences(searches: Sequence[Compared]) -> Iterator[Difference]:
    sides = [_entries(search) for search in searches]
    for kind, name in dict.fromkeys(key for side in sides for key in side):
        values = tuple(side.get((kind, name)) for side in sides)
        if any(value != values[0] for value in values):
            yield Difference(kind, name, values)


def _entries(search: Compared) -> dict[tuple[str, str], Any]:
    """Return all that is compared, by kind and name."""
    header = search.header
    # The space is compared in words, a parameter at a time.
    definition = {name: value for name, value in search.definition.items() if name != "space"}
    by_kind: dict[str, Mapping[str, Any]] = {
        "study": dict(flat(definition)),
        "space": search.domains,
        "data": dict(flat(header.data.to_json())),
        "versions": header.versions_of,
        "code": {"git_commit": header.git_commit or None},
    }

    entries = {}
    for kind, values in by_kind.items():
        for name, value in values.items():
            entries[kind, name] = value
    return entries


def _cautions(searches: Sequence[Compared]) -> Iterator[str]:
    objectives = list(dict.fromkeys(str(search.definition["objective"]) for search in searches))
    if len(objectives) > 1:
        yield (
            f"They were searched for different objectives ({', '.join(objectives)}): "
            "their values cannot be compared."
        )
    if len({search.header.data.digest for search in searches}) > 1:
        yield "Their data differ: a better value may come from easier data."

    differing = []
    for name in _VALIDATION:
        values = {repr(search.definition.get(name)) for search in searches}
        if len(values) > 1:
            differing.append(name)
    if differing:
        yield (
            "Their values are measured on other rows, or by other splits "
            f"({', '.join(differing)} differ)."
        )

    if len(objectives) == 1:
        yield (
            "Each is one search: a difference may be luck. "
            "`tuning bench` repeats engines over seeds and tests it."
        )


def _shortened(value: Any) -> str:
    if value is None:
        return "–"
    text = one_line(str(value))
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"
