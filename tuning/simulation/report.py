"""The report of a simulation: a table for the terminal, and one HTML file that needs no network."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

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


def _cells(each: Standing) -> tuple[str, ...]:
    own = seconds_text(each.engine_s) + (" (!)" if each.bound == "engine" else "")
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


def table(found: Sequence[Standing]) -> Table:
    """Return the standings as a Rich table, without what only the report has room for."""
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, header_style="bold")
    told = "expected" if any(each.regret is None for each in found) else "regret"
    kept = [
        _HEADS.index(head)
        for head in ("engine", "slots", "trials", "wall", "busy", "slot-h", told, "its time")
    ]
    for at in kept:
        made.add_column(_HEADS[at], justify="right" if at else "left", no_wrap=True)
    for each in found:
        made.add_row(*(_cells(each)[at] for at in kept))
    return made


def values_in_words(replayed: Replayed, runs: Sequence[SimulatedRun]) -> str:
    """Say where the values come from: all recorded, or how many not."""
    between = sum(run.counts["between"] for run in runs)
    trials = sum(len(run.curve.values) - run.counts["copied"] for run in runs)
    if replayed.recording is None or between:
        share = (
            f"{between:,} of {trials:,} trials that were not copies are not recorded; "
            if between
            else ""
        )
        return f"Values: {share}{replayed.outcomes.words}."
    return "Values: every trial was recorded."


def assumptions(
    simulation: Simulation, replayed: Replayed, runs: Sequence[SimulatedRun]
) -> list[str]:
    """Say what the clock stands for and what is left out."""
    faults = simulation.faults
    said = [
        f"Medians over {simulation.seeds} seeds. Seed 0 is the study's own; on one slot it "
        "makes the trials that the "
        "real search makes, where the points are recorded.",
        values_in_words(replayed, runs),
        "Best is what the engine saw; expected leaves the luck of one training seed "
        "out: of the best point that ended "
        "well on every recorded seed, as finals would choose it, the mean over them, "
        "or the function without noise. "
        "Regret is how far expected is from the best there is.",
        "Wall is simulated, until the last trial has ended. Slot-hours are paid for all "
        "slots until then. Busy is the "
        "share of them in which a trial ran; its time is the engine's own.",
        f"A crash ({faults.crash_rate:g} of the attempts) or a preemption "
        f"({faults.preempt_rate:g} an hour of a busy "
        f"slot, which is then away for {AWAY_S:g} s) loses what came after the last "
        "checkpoint, one each "
        f"{CHECKPOINT_S:g} s of training. Crashes count against a trial's attempts, "
        "preemptions do not.",
    ]
    own = (
        "counts: the outcome hangs on this machine"
        if simulation.engine_time
        else "is told apart and does not count"
    )
    return [
        *said,
        f"The engine's own time {own}. Start-up of workers and the driver's own work are left out.",
    ]


def write_simulation_report(
    folder: Path,
    simulation: Simulation,
    replayed: Replayed,
    runs: Sequence[SimulatedRun],
    found: Sequence[Standing],
) -> Path:
    """Write the page into `folder` and return its path; one of the same study is replaced.

    Raises:
        StorageError: The disk is full or read-only.
    """
    name = replayed.study.name
    parts = [
        f"<h1>What would more slots bring? <span>{html_text(name)}, simulated</span></h1>",
        f'<div class="chips">{_chips(simulation, runs)}</div><div class="grid">',
        card(
            "In words", "".join(f"<p>{html_text(text)}</p>" for text in sentences(found)), wide=True
        ),
        card(
            "Standing",
            _html_table(found),
            "(!): the engine's own time is longer than the simulated.",
            wide=True,
        ),
        *_by_slots(found),
        *_curves(simulation, runs),
        card(
            "Time per proposal",
            html_figure("asked", asked_times([run.curve for run in runs])),
            "The engine's own seconds on this machine; grows with what it has been told.",
        ),
        card(
            "How it was simulated",
            _items([*replayed.notices, *assumptions(simulation, replayed, runs)]),
            wide=True,
        ),
        card("What was replayed", _source(replayed), wide=True),
        "</div>",
    ]
    file = folder / f"simulation-{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}.html"
    return write_page(file, f"simulation · {name}", "\n".join(parts))


def _chips(simulation: Simulation, runs: Sequence[SimulatedRun]) -> str:
    trials = sum(len(run.curve.values) for run in runs)
    told = [
        (len(simulation.choices), "engines"),
        (", ".join(map(str, simulation.slots)), "slots"),
        (simulation.seeds, "seeds"),
        (f"{trials:,}", "trials in all"),
    ]
    return "".join(
        f'<span class="chip"><b>{html_text(count)}</b> {name}</span>' for count, name in told
    )


def _html_table(found: Sequence[Standing]) -> str:
    head = "".join(
        f"<th{'' if at == 0 else ' class=n'}>{html_text(name)}</th>"
        for at, name in enumerate(_HEADS)
    )
    rows = (
        "".join(
            f"<td{'' if at == 0 else ' class=n'}>{html_text(cell)}</td>"
            for at, cell in enumerate(_cells(each))
        )
        for each in found
    )
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    whole = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="scroll">{whole}</div>'


def _by_slots(found: Sequence[Standing]) -> Iterator[str]:
    """Draw what hangs on the number of slots, where there is more than one."""
    if len({each.slots for each in found}) < 2:
        return
    for title, unit, value in (
        ("Wall time", "simulated seconds", lambda each: each.wall_s),
        ("Cost", "slot-hours", lambda each: each.slot_hours),
        ("Utilisation", "share", lambda each: each.utilisation),
        ("Regret", "regret", lambda each: each.regret),
    ):
        drawn = _over_slots(found, value, unit)
        if drawn is not None:
            yield card(
                title,
                html_figure(f"slots-{title.split()[0].lower()}", drawn),
                "Over the number of slots.",
            )


def _over_slots(
    found: Sequence[Standing], value: Callable[[Standing], float | None], unit: str
) -> Any:
    import plotly.graph_objects as go

    if all(value(each) is None for each in found):
        return None
    drawn = go.Figure()
    for at, engine in enumerate(dict.fromkeys(each.engine for each in found)):
        mine = [each for each in found if each.engine == engine]
        drawn.add_scatter(
            x=[each.slots for each in mine],
            y=[value(each) for each in mine],
            mode="lines+markers",
            name=escaped(engine),
            line={"color": COLOURS[at % len(COLOURS)], "width": 2},
            hovertemplate=f"{escaped(engine)}, %{{x}} slots: %{{y:.4g}} {unit}<extra></extra>",
        )
    slots = sorted({each.slots for each in found})
    drawn.update_xaxes(
        title="slots", type="log", tickvals=slots, ticktext=[f"{count:,}" for count in slots]
    )
    positive = all((value(each) or 0) > 0 for each in found)
    drawn.update_yaxes(title=unit, type="log" if positive and unit != "share" else "linear")
    if unit == "share":
        drawn.update_yaxes(range=[0, 1.05], tickformat=".0%")
    return styled(drawn, 300)


def _curves(simulation: Simulation, runs: Sequence[SimulatedRun]) -> Iterator[str]:
    engines = tuple(choice.name for choice in simulation.choices)
    for slots in simulation.slots:
        mine = [run.curve for run in runs if run.slots == slots]
        drawn = bands(mine, "seconds", "test")
        title = f"Over time, {slots:,} slot{'s' * (slots > 1)}"
        panel = Panel(
            title=title,
            metric=f"expected {mine[0].metric}",
            unit="simulated seconds",
            bands=drawn,
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
