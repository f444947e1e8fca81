"""The report of a simulation: a table for the terminal, and one HTML file that needs no network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich import box
from rich.table import Table

from tuning.bench.report.charts import asked_times
from tuning.bench.report.figures import Panel, anytime_figure
from tuning.bench.statistics.anytime import bands
from tuning.reports.page import card, html_figure, html_text, write_page
from tuning.reports.style import COLOURS, escaped, styled
from tuning.reports.texts import score, seconds_text
from tuning.simulation.run import Replayed, SimulatedRun, Simulation
from tuning.simulation.simulator import AWAY_S, CHECKPOINT_S
from tuning.simulation.standing import Standing, sentences

_HEADS = (
    "engine",
    "slots",
    "trials",
    "wall",
    "busy",
    "slot-h",
    "best",
    "expected",
    "regret",
    "lost",
    "its time",
    "ms / proposal",
)
_TERMINAL = ("engine", "slots", "trials", "wall", "busy", "slot-h", "regret", "its time")
"""The columns that a terminal has room for."""


def _cells(each: Standing) -> tuple[str, ...]:
    """Return the texts of one row, in the order of `_HEADS`."""
    own = seconds_text(each.engine_s)
    if each.bound == "engine":
        own += " (!)"
    return (
        each.engine,
        f"{each.slots:,}",
        f"{each.trials:g}",
        seconds_text(each.wall_s),
        f"{each.utilisation:.0%}",
        f"{each.slot_hours:.3g}",
        _score(each.best),
        _score(each.expected),
        _score(each.regret),
        f"{each.lost:.0%}",
        own,
        f"{each.asked_ms:.2g}",
    )


def _score(value: float | None) -> str:
    return "–" if value is None else score(value)


def table(standings: Sequence[Standing]) -> Table:
    """Return the standings as a Rich table, without what only the report has room for."""
    heads = list(_TERMINAL)
    # Of a recording whose best point is not known there is no regret.
    if any(each.regret is None for each in standings):
        heads[heads.index("regret")] = "expected"

    result = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    for head in heads:
        result.add_column(head, justify="left" if head == "engine" else "right", no_wrap=True)
    for each in standings:
        cells = dict(zip(_HEADS, _cells(each), strict=True))
        result.add_row(*(cells[head] for head in heads))
    return result


def values_in_words(replayed: Replayed, runs: Sequence[SimulatedRun]) -> str:
    """Say where the values come from: all recorded, or how many not."""
    between = sum(run.counts["between"] for run in runs)
    trials = sum(len(run.curve.values) - run.counts["copied"] for run in runs)
    if between:
        share = f"{between:,} of {trials:,} trials that were not copies are not recorded"
        return f"Values: {share}; {replayed.outcomes.words}."
    if replayed.recording is None:
        return f"Values: {replayed.outcomes.words}."
    return "Values: every trial was recorded."


def assumptions(
    simulation: Simulation, replayed: Replayed, runs: Sequence[SimulatedRun]
) -> list[str]:
    """Say what the clock stands for and what is left out."""
    faults = simulation.faults
    own = "is shown apart and does not count"
    if simulation.engine_time:
        own = "counts: the result depends on this machine"
    return [
        f"Medians over {simulation.seeds} seeds. Seed 0 is the study's own; on one slot it makes "
        "the trials that the real search makes, where the points are recorded.",
        values_in_words(replayed, runs),
        "Best is what the engine saw; expected leaves the luck of one training seed out: of the "
        "best point that ended well on every recorded seed, as finals would choose it, the mean "
        "over them, or the function without noise. Regret is how far expected is from the best "
        "there is.",
        "Wall is simulated, until the last trial has ended. Slot-hours are paid for all slots "
        "until then. Busy is the share of them in which a trial ran; its time is the engine's own.",
        f"A crash ({faults.crash_rate:g} of the attempts) or a preemption "
        f"({faults.preempt_rate:g} an hour of a busy slot, which is then away for {AWAY_S:g} s) "
        f"loses what came after the last checkpoint, one each {CHECKPOINT_S:g} s of training. "
        "Crashes count against a trial's attempts, preemptions do not.",
        f"The engine's own time {own}. Start-up of workers and the driver's own work are left out.",
    ]


def write_simulation_report(
    folder: Path,
    simulation: Simulation,
    replayed: Replayed,
    runs: Sequence[SimulatedRun],
    standings: Sequence[Standing],
) -> Path:
    """Write the page into `folder` and return its path; one of the same study is replaced.

    Raises:
        StorageError: The disk is full or read-only.
    """
    name = replayed.study.name
    words = "".join(f"<p>{html_text(text)}</p>" for text in sentences(standings))
    proposal_times = html_figure("asked", asked_times([run.curve for run in runs]))
    conditions = [*replayed.notices, *assumptions(simulation, replayed, runs)]
    parts = [
        f"<h1>What would more slots bring? <span>{html_text(name)}, simulated</span></h1>",
        f'<div class="chips">{_chips(simulation, runs)}</div><div class="grid">',
        card("In words", words, wide=True),
        card(
            "Standing",
            _html_table(standings),
            "(!): the engine's own time is longer than the simulated.",
            wide=True,
        ),
        *_by_slots(standings),
        *_curves(simulation, runs),
        card(
            "Time per proposal",
            proposal_times,
            "The engine's own seconds on this machine; grows with what it has been told.",
        ),
        card("How it was simulated", _items(conditions), wide=True),
        card("What was replayed", _source(replayed), wide=True),
        "</div>",
    ]
    file = folder / f"simulation-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.html"
    return write_page(file, f"simulation · {name}", "\n".join(parts))


def _chips(simulation: Simulation, runs: Sequence[SimulatedRun]) -> str:
    trials = sum(len(run.curve.values) for run in runs)
    counts = {
        "engines": len(simulation.choices),
        "slots": ", ".join(map(str, simulation.slots)),
        "seeds": simulation.seeds,
        "trials in all": f"{trials:,}",
    }
    return "".join(
        f'<span class="chip"><b>{html_text(count)}</b> {name}</span>'
        for name, count in counts.items()
    )


def _html_table(standings: Sequence[Standing]) -> str:
    head = _html_row("th", _HEADS)
    body = "".join(f"<tr>{_html_row('td', _cells(each))}</tr>" for each in standings)
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def _html_row(tag: str, texts: Sequence[str]) -> str:
    """Return the cells of a row; all but the first hold numbers, which stand to the right."""
    first, *others = texts
    cells = [f"<{tag}>{html_text(first)}</{tag}>"]
    cells += [f"<{tag} class=n>{html_text(text)}</{tag}>" for text in others]
    return "".join(cells)


class _Quantity(NamedTuple):
    """What a figure shows over the number of slots."""

    title: str
    unit: str
    value: Callable[[Standing], float | None]


_BY_SLOTS = (
    _Quantity("Wall time", "simulated seconds", lambda each: each.wall_s),
    _Quantity("Cost", "slot-hours", lambda each: each.slot_hours),
    _Quantity("Utilisation", "share", lambda each: each.utilisation),
    _Quantity("Regret", "regret", lambda each: each.regret),
)


def _by_slots(standings: Sequence[Standing]) -> Iterator[str]:
    """Draw what depends on the number of slots, where there is more than one."""
    if len({each.slots for each in standings}) < 2:
        return
    for quantity in _BY_SLOTS:
        if all(quantity.value(each) is None for each in standings):
            continue
        figure = html_figure(
            f"slots-{quantity.title.split()[0].lower()}", _over_slots(standings, quantity)
        )
        yield card(quantity.title, figure, "Over the number of slots.")


def _over_slots(standings: Sequence[Standing], quantity: _Quantity) -> Any:
    """Return the figure: a line for each engine."""
    import plotly.graph_objects as go

    _, unit, value = quantity
    figure = go.Figure()
    for index, engine in enumerate(dict.fromkeys(each.engine for each in standings)):
        own = [each for each in standings if each.engine == engine]
        figure.add_scatter(
            x=[each.slots for each in own],
            y=[value(each) for each in own],
            mode="lines+markers",
            name=escaped(engine),
            line={"color": COLOURS[index % len(COLOURS)], "width": 2},
            hovertemplate=f"{escaped(engine)}, %{{x}} slots: %{{y:.4g}} {unit}<extra></extra>",
        )

    # Slots usually double, so their axis is logarithmic; a regret of 0 has no place on such a one.
    slots = sorted({each.slots for each in standings})
    ticks = [f"{count:,}" for count in slots]
    figure.update_xaxes(title="slots", type="log", tickvals=slots, ticktext=ticks)
    if unit == "share":
        figure.update_yaxes(title=unit, type="linear", range=[0, 1.05], tickformat=".0%")
    else:
        positive = all((value(each) or 0) > 0 for each in standings)
        figure.update_yaxes(title=unit, type="log" if positive else "linear")
    return styled(figure, 300)


def _curves(simulation: Simulation, runs: Sequence[SimulatedRun]) -> Iterator[str]:
    engines = tuple(choice.name for choice in simulation.choices)
    for slots in simulation.slots:
        curves = [run.curve for run in runs if run.slots == slots]
        title = f"Over time, {slots:,} slot{'s' * (slots > 1)}"
        panel = Panel(
            title=title,
            metric=f"expected {curves[0].metric}",
            unit="simulated seconds",
            bands=bands(curves, "seconds", "test"),
            names=engines,
        )
        note = (
            "Expected value of what finals would choose: median over the seeds, "
            "the band holds the middle half."
        )
        yield card(title, html_figure(f"curve-{slots}", anytime_figure(panel)), note)


def _items(texts: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{html_text(text)}</li>' for text in texts)}</ul>"


def _source(replayed: Replayed) -> str:
    rows = [(name, repr(domain)) for name, domain in replayed.study.space.domains.items()]
    rows += [("epochs", str(replayed.study.epochs)), *replayed.facts]
    body = "".join(
        f"<tr><td>{html_text(name)}</td><td><code>{html_text(value)}</code></td></tr>"
        for name, value in rows
    )
    return f"<table><tbody>{body}</tbody></table>"
