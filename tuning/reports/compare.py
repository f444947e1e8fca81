"""Searches side by side: what each is and found, and in what they differ. Tables, text and JSON; no
figures.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tuning.ledger.records import Definition, SearchHeader, WinnerRecord
from tuning.reports.axes import describe
from tuning.reports.summary import Trials, Winner, count_trials, plain_json, ranked
from tuning.reports.texts import one_line, params_text, score, seconds_text, spread
from tuning.study.objective import Objective
from tuning.study.space import Space
from tuning.trial import Proposal, Status, TrialResult

_BUDGET = ("trials", "epochs", "timeout", "gpu_hours", "patience", "cv", "top_k", "seeds")
_VALIDATION = (
    "test_size",
    "validation_size",
    "seed",
    "cv",
)  # of a definition: which rows a value is measured on


@dataclass(frozen=True)
class Compared:
    """One search as it is compared.

    Attributes:
        name: `study/key`.
        header: `search.json`.
        trials: Every finished trial, by number.
        winner: `winner.json`; None: none was chosen.
        status: How its last run ended, e.g. `completed`.
    """

    name: str
    header: SearchHeader
    space: Space
    trials: Trials
    winner: WinnerRecord | None = None
    status: str = ""

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
        first = next(iter(ranked(self.trials, self.objective)), None)
        return first if first is not None and first[1].status is Status.COMPLETED else None

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

    def scores(self, part: str) -> dict[str, float]:
        """Return the winner's scores on `test`, or those of a baseline there: `linear`, `dummy`."""
        if self.winner is None:
            return {}
        evaluation = self.winner.evaluation
        return dict(evaluation.test if part == "test" else evaluation.baseline.get(part, {}))


@dataclass(frozen=True)
class Comparison:
    """Two or more searches.

    Attributes:
        searches: In the order asked for.
        differences: (kind, name, one value for each search); kind is study, space, data, versions
            or code.
        cautions: Why values should not be read against each other; empty where they can.
    """

    searches: tuple[Compared, ...]
    differences: tuple[tuple[str, str, tuple[Any, ...]], ...] = field(init=False)
    cautions: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "differences", tuple(_differences(self.searches)))
        object.__setattr__(self, "cautions", tuple(_cautions(self.searches)))

    @property
    def comparable(self) -> bool:
        """Whether all were searched for the same objective, so that their curves belong into one
        plot.
        """
        return len({search.definition["objective"] for search in self.searches}) == 1

    def to_json(self, report: str) -> dict[str, Any]:
        """Return what `--json` prints."""
        differences: dict[str, dict[str, Any]] = {}
        for kind, name, values in self.differences:
            differences.setdefault(kind, {})[name] = list(values)
        plain: dict[str, Any] = plain_json(
            {
                "searches": [_search_json(search) for search in self.searches],
                "differences": differences,
                "cautions": list(self.cautions),
                "report": report,
            }
        )
        return plain


def rows(found: Comparison) -> list[tuple[str, list[str]]]:
    """Return the facts of every search, a row each: label, then one text for each search."""
    columns = [dict(_facts(search)) for search in found.searches]
    labels = list(dict.fromkeys(label for column in columns for label in column))
    return [(label, [column.get(label, "–") for column in columns]) for label in labels]


def space_rows(found: Comparison) -> list[tuple[str, list[str]]]:
    """Return every parameter with its domain in each search."""
    spaces = [
        {name: describe(domain) for name, domain in search.space.domains.items()}
        for search in found.searches
    ]
    names = list(dict.fromkeys(name for space in spaces for name in space))
    return [(name, [space.get(name, "–") for space in spaces]) for name in names]


def difference_rows(found: Comparison) -> list[tuple[str, list[str]]]:
    """Return what differs: `data: digest`, then one text for each search."""
    return [
        (f"{kind}: {name}", [_text(value) for value in values])
        for kind, name, values in found.differences
    ]


def _facts(search: Compared) -> Iterator[tuple[str, str]]:
    counts = count_trials(search.trials)
    yield "study", search.header.study
    yield "engine", search.engine
    yield "status", search.status or "–"
    yield "budget", ", ".join(f"{name} {value}" for name, value in _budget(search).items()) or "–"
    yield (
        "trials",
        ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "none",
    )
    yield "epochs trained", f"{search.epochs:,}"
    yield "training", seconds_text(search.training_s)
    if search.best is not None:
        proposal, result = search.best
        yield f"best {search.objective.metric}", f"{score(result.value)} (trial {result.number})"
        yield "best parameters", params_text(proposal.params)
    if search.chosen is not None:
        chosen = search.chosen
        fresh = f"{score(chosen.mean)} ± {spread(chosen.std)} over {len(chosen.seeds)} fresh seeds"
        yield "winner, validation", f"{fresh} (trial {chosen.number})"
    for part, label in (
        ("test", "winner, test"),
        ("linear", "linear baseline, test"),
        ("dummy", "dummy, test"),
    ):
        for metric, value in search.scores(part).items():
            yield f"{label} {metric}", score(value)


def _budget(search: Compared) -> dict[str, Any]:
    known = {
        **search.definition,
        "trials": search.header.trials,
    }
    return {name: known[name] for name in _BUDGET if known.get(name) is not None}


def _search_json(search: Compared) -> dict[str, Any]:
    best = None
    if search.best is not None:
        proposal, result = search.best
        best = {
            "number": result.number,
            "params": dict(proposal.params),
            "metric": search.objective.metric,
            "value": result.value,
        }
    return {
        "name": search.name,
        "search": search.header.id,
        "study": search.header.study,
        "engine": search.engine,
        "status": search.status or None,
        "budget": _budget(search),
        "trials": count_trials(search.trials),
        "epochs": search.epochs,
        "seconds": {"training": search.training_s},
        "best": best,
        "winner": None if search.chosen is None else search.chosen.to_json(),
        "test": search.scores("test"),
        "baseline": {"dummy": search.scores("dummy"), "linear": search.scores("linear")},
        "space": {name: describe(domain) for name, domain in search.space.domains.items()},
    }


def _differences(searches: Sequence[Compared]) -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    sides = [dict(_entries(search)) for search in searches]
    for key in dict.fromkeys(key for side in sides for key in side):
        values = tuple(side.get(key) for side in sides)
        if any(value != values[0] for value in values):
            yield (*key, values)


def _entries(search: Compared) -> Iterator[tuple[tuple[str, str], Any]]:
    definition = {name: value for name, value in search.definition.items() if name != "space"}
    yield from ((("study", name), value) for name, value in _flat(definition))
    yield from (
        (("space", name), describe(domain)) for name, domain in search.space.domains.items()
    )
    yield from ((("data", name), value) for name, value in _flat(search.header.data.to_json()))
    yield from ((("versions", name), value) for name, value in search.header.versions_of.items())
    yield ("code", "git_commit"), search.header.git_commit or None


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _cautions(searches: Sequence[Compared]) -> Iterator[str]:
    asked = list(dict.fromkeys(str(search.definition["objective"]) for search in searches))
    if len(asked) > 1:
        yield f"They were searched for different objectives ({', '.join(asked)}): their values cannot be compared."
    if len({search.header.data.digest for search in searches}) > 1:
        yield "Their data differ: a better value may come from easier data."
    if others := [
        n for n in _VALIDATION if len({repr(search.definition.get(n)) for search in searches}) > 1
    ]:
        yield f"Their values are measured on other rows, or by other splits ({', '.join(others)} differ)."
    if len(asked) == 1:
        yield "Each is one search: a difference may be luck. `tuning bench` repeats engines over seeds and tests it."


def _text(value: Any) -> str:
    if value is None:
        return "–"
    text = one_line(str(value))
    return text if len(text) <= 200 else f"{text[:199]}…"
