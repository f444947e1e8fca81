"""The tables of a benchmark's report, as HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tuning.bench.runs import BenchRun
from tuning.bench.statistics.overview import EngineFigures, StudyFigures
from tuning.bench.statistics.pairs import Pair
from tuning.bench.statistics.significance import Interval
from tuning.reports.page import cell, heading, html_cell, html_text, row, table
from tuning.reports.texts import first_line, params_text, score, seconds_text

_TAGS = {"supported": "completed", "too few seeds": "warning"}  # verdict: colour of its tag


def standing(figures: StudyFigures, unit: str) -> str:
    """Return one row an engine, the best first; `unit` is that of the budget."""
    has_test = any(engine.test is not None for engine in figures.engines)
    heads = ["engine", f"median {figures.metric}", "95 %"]
    if has_test:
        heads += ["median test", "95 %"]
    heads += ["mean rank", "area", f"{unit} to target", "reached", "s a proposal"]
    return _table(heads, [_standing_row(engine, has_test=has_test) for engine in figures.engines])


def standing_note(figures: StudyFigures) -> str:
    """Say what the columns of `standing` are."""
    way = "smaller" if figures.direction == "minimize" else "larger"
    note = (
        f"Of the incumbent at the end of the budget; {way} is better. "
        "Medians over the seeds with bootstrap intervals. "
        "Mean rank: over the seeds, 1 is the best. "
        "Area: under the anytime curve, as mean normalised regret: 0 is the best known from the "
        "start on, 1 no better than one trial; smaller is better."
    )

    if figures.target is not None:
        note += f" Target: {score(figures.target)}, the worst engine's median."
    return note


def pairs(study_pairs: Sequence[Pair]) -> str:
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
    ordered = sorted(study_pairs, key=lambda pair: (pair.p_holm, pair.p, -pair.effect))
    return _table(heads, [_pair_row(pair) for pair in ordered], texts=3)


PAIRS_NOTE = (
    "Every two engines, paired by seed: Wilcoxon's signed ranks of the validation value, corrected "
    "for all pairs (Holm). Seeds more: for an 80 % chance to support a difference of this size."
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
    return _table(heads, [_search_row(run) for run in runs], sortable=True)


def _standing_row(engine: EngineFigures, *, has_test: bool) -> str:
    cells = [
        cell(engine.engine),
        _figure(score(engine.validation)),
        _figure(_interval(engine.validation_interval)),
    ]
    if has_test:
        cells += [_figure(score(engine.test)), _figure(_interval(engine.test_interval))]

    cells += [
        _figure(_written(engine.rank, ".2f")),
        _figure(_written(engine.area, ".2f")),
        _figure(_written(engine.time_to_target, ".0f")),
        _figure(f"{engine.reached} of {engine.runs}"),
        _figure(_written(engine.asked_s, ".2g")),
    ]
    return row(cells)


def _pair_row(pair: Pair) -> str:
    colour = _TAGS.get(pair.verdict, "note")
    return row(
        [
            cell(pair.first),
            cell(pair.second),
            html_cell(f'<span class="tag {colour}">{html_text(pair.verdict)}</span>'),
            _figure(f"{pair.wins} · {pair.ties} · {pair.losses}"),
            _figure(score(pair.gain)),
            _figure(_interval(pair.interval)),
            _figure(f"{pair.p_holm:.2g}"),
            _figure(f"{pair.p:.2g}"),
            _figure(_written(pair.seeds_more, "d")),
            _figure(score(pair.test_gain)),
        ]
    )


def _search_row(run: BenchRun) -> str:
    value = None if run.best is None else run.best.value
    test = None if run.best is None else run.best.test
    params = {} if run.best is None else run.best.params
    engine_s = sum(run.curve.asked_s)
    ended = f"{run.ended}: {first_line(run.error)}" if run.error else run.ended

    return row(
        [
            cell(run.curve.engine),
            _figure(run.curve.seed),
            _figure(score(value), sort_key=value),
            _figure(score(test), sort_key=test),
            _figure(run.counts.total),
            _figure(run.counts.pruned),
            _figure(run.counts.failed + run.counts.infeasible),
            _figure(run.counts.copied),
            _figure(run.epochs),
            _figure(seconds_text(run.seconds), sort_key=run.seconds),
            _figure(f"{engine_s:.2g}", sort_key=engine_s),
            cell(ended),
            cell(params_text(params)),
        ]
    )


def _table(
    heads: Sequence[str], rows: Iterable[str], *, texts: int = 1, sortable: bool = False
) -> str:
    """Return a table; the first `texts` headings stand left, the others right, over numbers."""
    head_cells = []
    for place, name in enumerate(heads):
        if sortable:
            head_cells.append(f"<th><button>{html_text(name)}</button></th>")
        else:
            head_cells.append(heading(name, "" if place < texts else "n"))
    body = table(rows, head_cells, "sortable" if sortable else "")
    return f'<div class="scroll">{body}</div>'


def _figure(text: object, *, sort_key: float | None = None) -> str:
    """Return a cell whose text stands right, as numbers do."""
    return cell(text, "n", sort_key=sort_key)


def _interval(interval: Interval | None) -> str:
    if interval is None:
        return "–"
    low, high = interval
    return f"{score(low)} … {score(high)}"


def _written(value: float | None, form: str) -> str:
    """Write a number in a format of Python's; `–` where there is none."""
    return "–" if value is None else format(value, form)
