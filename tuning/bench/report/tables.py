"""The tables of a benchmark's report, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tuning.bench.runs import BenchRun
from tuning.bench.statistics.overview import EngineFigures, StudyFigures
from tuning.bench.statistics.pairs import Pair
from tuning.bench.statistics.significance import Interval
from tuning.reports.page import html_text
from tuning.reports.texts import first_line, params_text, score, seconds_text

_TAGS = {"supported": "completed", "too few seeds": "warning"}  # verdict: colour of its tag


def standing(figures: StudyFigures, unit: str) -> str:
    """Return one row an engine, the best first; `unit` is that of the budget."""
    has_test = any(engine.test is not None for engine in figures.engines)
    test = ("median test", "95 %") if has_test else ()
    heads = (
        "engine",
        f"median {figures.metric}",
        "95 %",
        *test,
        "mean rank",
        "area",
        f"{unit} to target",
        "reached",
    )
    return _table(
        (*heads, "s a proposal"), (_standing(engine, has_test) for engine in figures.engines)
    )


def standing_note(figures: StudyFigures) -> str:
    """Say what the columns are."""
    way = "smaller" if figures.direction == "minimize" else "larger"
    target = (
        ""
        if figures.target is None
        else f" Target: {score(figures.target)}, the worst engine's median."
    )
    return (
        f"Of the incumbent at the end of the budget; {way} is better. Medians over the seeds with bootstrap intervals. "
        "Mean rank: over the seeds, 1 is the best. Area: under the anytime curve, as mean normalised regret: 0 is the "
        f"best known from the start on, 1 no better than one trial; smaller is better.{target}"
    )


def pairs(found: Sequence[Pair]) -> str:
    """Return one row for each two engines, the clearest difference first."""
    heads = (
        "better",
        "than",
        "verdict",
        "wins · ties · losses",
        "median gain",
        "95 %",
        "p, Holm",
        "p",
        "seeds more",
        "gain on test",
    )
    ordered = sorted(found, key=lambda pair: (pair.p_holm, pair.p, -pair.effect))
    return _table(heads, map(_pair, ordered), texts=3)


PAIRS_NOTE = (
    "Every two engines, paired by seed: Wilcoxon's signed ranks of the validation value, corrected for all pairs "
    "(Holm). Seeds more: for an 80 % chance to support a difference of this size."
)


def searches(runs: Sequence[BenchRun]) -> str:
    """Return one row a search; a heading sorts."""
    heads = (
        "engine",
        "seed",
        f"best {runs[0].curve.metric}",
        "its test",
        "trials",
        "pruned",
        "failed",
        "copied",
        "epochs",
        "training",
        "engine's own s",
        "ended by",
        "best parameters",
    )
    return _table(heads, map(_search, runs), sortable=True)


def _standing(engine: EngineFigures, has_test: bool) -> str:
    test = [_td(score(engine.test)), _td(_interval(engine.test_interval))] if has_test else []
    time = "–" if engine.time_to_target is None else f"{engine.time_to_target:.0f}"
    cells = [
        _td(engine.engine, text=True),
        _td(score(engine.validation)),
        _td(_interval(engine.validation_interval)),
        *test,
        _td(_short(engine.rank)),
        _td(_short(engine.area)),
        _td(time),
        _td(f"{engine.reached} of {engine.runs}"),
        _td("–" if engine.asked_s is None else f"{engine.asked_s:.2g}"),
    ]
    return "".join(cells)


def _pair(pair: Pair) -> str:
    tag = f'<td><span class="tag {_TAGS.get(pair.verdict, "note")}">{html_text(pair.verdict)}</span></td>'
    more = "–" if pair.seeds_more is None else str(pair.seeds_more)
    numbers = (
        f"{pair.wins} · {pair.ties} · {pair.losses}",
        score(pair.gain),
        _interval(pair.interval),
        f"{pair.p_holm:.2g}",
        f"{pair.p:.2g}",
        more,
        score(pair.test_gain),
    )
    return (
        _td(pair.first, text=True) + _td(pair.second, text=True) + tag + "".join(map(_td, numbers))
    )


def _search(run: BenchRun) -> str:
    counts, best = run.counts, run.best
    trials = sum(counts.get(name, 0) for name in ("completed", "pruned", "failed", "infeasible"))
    failed = counts.get("failed", 0) + counts.get("infeasible", 0)
    asked, ended = (
        sum(run.curve.asked_s),
        f"{run.ended}: {first_line(run.error)}" if run.error else run.ended,
    )
    cells = [
        _td(run.curve.engine, text=True),
        _td(run.curve.seed),
        _td(score(best.get("value")), by=best.get("value")),
        _td(score(best.get("test")), by=best.get("test")),
        _td(trials),
        _td(counts.get("pruned", 0)),
        _td(failed),
        _td(counts.get("copied", 0)),
        _td(run.epochs),
        _td(seconds_text(run.seconds), by=run.seconds),
        _td(f"{asked:.2g}", by=asked),
        _td(ended, text=True),
        _td(params_text(best.get("params", {})), text=True),
    ]
    return "".join(cells)


def _table(
    heads: Sequence[str], rows: Iterable[str], *, texts: int = 1, sortable: bool = False
) -> str:
    """Return a table; the first `texts` headings stand left, the others right over their numbers."""
    if sortable:
        head = "".join(f"<th><button>{html_text(name)}</button></th>" for name in heads)
    else:
        head = "".join(
            f"<th{' class=n' if i >= texts else ''}>{html_text(name)}</th>"
            for i, name in enumerate(heads)
        )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    kind = ' class="sortable"' if sortable else ""
    return f'<div class="scroll"><table{kind}><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _td(cell: object, *, by: Any = None, text: bool = False) -> str:
    """Return a cell; a column is sorted `by` something where that is not what it shows."""
    key = "" if by is None else f' data-v="{html_text(by)}"'
    return f"<td{'' if text else ' class=n'}{key}>{html_text(cell)}</td>"


def _interval(interval: Interval | None) -> str:
    return "–" if interval is None else f"{score(interval[0])} … {score(interval[1])}"


def _short(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
