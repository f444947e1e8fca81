"""The end of a run on the terminal: the best trials, the winner, what failed, where to look next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tuning.reports.summary import Summary, Trials, ranked
from tuning.reports.texts import (
    failure_lines,
    one_line,
    params_text,
    score,
    seconds_text,
    shown,
    spread,
)

IN_UNITS = ("rmse", "mae")  # metrics on the target's own scale


def summary(console: Console, summary: Summary) -> None:
    """Print how a search ended."""
    for part in _parts(console, summary):
        console.print(
            part, soft_wrap=isinstance(part, Text)
        )  # a path that is broken cannot be copied


def best_table(trials: Trials, summary: Summary, width: int) -> Table:
    """Return a table of `trials`, a column for each parameter; all parameters in one where that
    needs more `width`.
    """
    names = list(dict.fromkeys(name for proposal, _ in trials for name in proposal.params))
    console = Console(width=1000)
    for gap in (1, 0):
        table = _table(trials, summary, names, gap)
        if Measurement.get(console, console.options, table).maximum <= width:
            return table
    return _table(trials, summary, None, 1)


def score_table(summary: Summary) -> Table:
    """Return the winner's validation and test scores beside those of the baselines."""
    metrics = list(dict.fromkeys([summary.objective.name, *summary.test]))
    table = _plain_table("")
    for metric in metrics:
        table.add_column(Text(one_line(metric)), justify="right")
    if summary.winner is not None:
        table.add_row("winner, validation", *_validation(summary), *[""] * (len(metrics) - 1))
        table.add_row("winner, test", *_row(summary.test, metrics), style="bold")
    for name, values in (
        ("linear baseline, test", summary.linear),
        ("dummy baseline, test", summary.dummy),
    ):
        if values:
            table.add_row(name, *_row(values, metrics))
    return table


def _parts(console: Console, summary: Summary) -> Iterator[RenderableType]:
    counts = ", ".join(
        f"{count} {name}" for name, count in summary.counts.items() if count or name == "completed"
    )
    yield Text.assemble(
        "\n",
        (one_line(f"{summary.study} · {summary.engine}"), "bold"),
        f" {one_line(summary.status)} after {seconds_text(summary.total_s)}: {counts}\n",
    )
    five = ranked(summary.trials, summary.objective)[:5]
    if five:
        yield best_table(five, summary, console.width)
    if summary.winner is not None:
        yield Text.assemble(
            ("\nWinner", "bold green"),
            f": trial {summary.winner.number}, {params_text(summary.winner.params)}\n",
        )
        yield score_table(summary)
        yield Text(_footnote(summary), "dim")
    elif not five:
        yield Text("No trial gave a value.", "bold red")
    if told := _diagnosis(summary):
        yield Padding(Text.assemble(("Diagnosis", "bold"), f" of {told}"), (1, 0, 0, 0))
    if lines := failure_lines(summary.trials):
        yield Text.assemble(("\nNot completed", "bold"), *(f"\n  {line}" for line in lines))
    yield Text.assemble(
        ("\nWhere to look next", "bold"), *(f"\n  {a:<9}{b}" for a, b in _next(summary))
    )


def _table(trials: Trials, summary: Summary, names: list[str] | None, gap: int) -> Table:
    table = _plain_table("trial", gap)
    for name in names or ["parameters"] * (names is None):
        table.add_column(
            Text(one_line(name)), justify="left" if names is None else "right", overflow="fold"
        )
    for heading in (one_line(summary.objective.metric), "epochs", "seconds"):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)
    for proposal, result in trials:
        params = proposal.params
        cells = (
            [params_text(params)]
            if names is None
            else [shown(params[n]) if n in params else "" for n in names]
        )
        ends = [
            score(result.value),
            str(result.epochs),
            f"{result.seconds:.1f}",
            result.status.value,
        ]
        won = summary.winner is not None and summary.winner.number == result.number
        table.add_row(
            str(result.number), *map(Text, cells), *ends, style="bold green" if won else None
        )
    return table


def _plain_table(first: str, gap: int = 1) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), show_edge=False, header_style="bold")
    table.add_column(first, justify="right" if first else "left", no_wrap=True)
    return table


def _validation(summary: Summary) -> Iterator[str]:
    if summary.winner is not None:
        yield f"{score(summary.winner.mean)} ± {spread(summary.winner.std)}"


def _row(values: Mapping[str, float], metrics: list[str]) -> list[str]:
    return [score(values[metric]) if metric in values else "–" for metric in metrics]


def _footnote(summary: Summary) -> str:
    seeds = len(summary.winner.seeds) if summary.winner else 0
    note = (
        f"± is the spread over {seeds} fresh seeds"
        if seeds != 1
        else "one fresh seed only: the spread is not known"
    )
    names = [name for name in IN_UNITS if name in summary.test or name == summary.objective.name]
    return (
        f"{note}; {' and '.join(names)} in {one_line(summary.unit)}"
        if names and summary.unit
        else note
    )


def _diagnosis(summary: Summary) -> str:
    """Return the first verdict on the winner, or on the best trial where there is no winner; ""
    where it is healthy.
    """
    number = (
        summary.winner.number
        if summary.winner
        else summary.best[1].number
        if summary.best
        else None
    )
    found = [
        verdict
        for _, result in summary.trials
        if result.number == number
        for verdict in result.diagnosis
    ]
    return f"trial {number}: {one_line(found[0].words)}" if found else ""


def _next(summary: Summary) -> Iterator[tuple[str, str]]:
    if summary.tracking_uri:
        yield "MLflow", "make ui"
    if summary.report:
        yield "report", one_line(summary.report)
    if summary.model:
        yield "model", one_line(summary.model)
    if summary.again:
        yield "continue", one_line(summary.again)
