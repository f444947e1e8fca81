"""`tuning simulate`: replay engines on recorded trials with a simulated clock, on any number of
slots.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tuning.simulation.run import Replayed, SimulatedRun, Simulation

_DEFAULT = "optuna:random,optuna:tpe"
_MANY = 4_000  # trials, from which on it pays to start processes that share them


def _slots(ctx: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or any(not word.isdecimal() or int(word) < 1 for word in words):
        raise click.BadParameter(f"{text!r} are no numbers of slots; write 1,8,64")
    return tuple(dict.fromkeys(map(int, words)))


@click.command("simulate")
@click.argument("study")
@click.option(
    "--engines", default=_DEFAULT, show_default=True, help="By comma, with a pruner behind +."
)
@click.option(
    "--slots",
    default="1,8,64",
    show_default=True,
    callback=_slots,
    help="Numbers of slots, by comma.",
)
@click.option(
    "--seeds", type=click.IntRange(1), default=10, show_default=True, help="Searches of each."
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    help="Of each search; default: the study's, else 20; of a grid all.",
)
@click.option(
    "--crash-rate",
    type=click.FloatRange(0, 1),
    default=0.0,
    help="Share of the attempts that crash.",
)
@click.option(
    "--preempt-rate",
    type=click.FloatRange(0),
    default=0.0,
    help="Preemptions an hour of a busy slot.",
)
@click.option("--exact", is_flag=True, help="Refuse points that were not recorded.")
@click.option(
    "--engine-time", is_flag=True, help="Let the clock wait for the engine's own time, too."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors and the result.")
def simulate(study: str, engines: str, as_json: bool, quiet: bool, **asked: Any) -> int:
    """Search STUDY's recording as a real search would, on a simulated clock: what would more slots
    bring?

    STUDY is a name (a recording in the state folder, or one that ships: housing_grid), the path of
    a recording, or a study whose trials are a function's values (branin, hartmann6, noisy_branin).
    Nothing is trained.

    \b
    Examples:
      python -m tuning simulate housing_grid --engines optuna:random,optuna:tpe --slots 1,8,64
      --seeds 20 python -m tuning simulate noisy_branin --engines optuna:tpe+asha --slots 8
      --crash-rate 0.1
    """
    from rich.console import Console
    from rich.text import Text

    from tuning.bench.plan import parse_choices
    from tuning.simulation.report import table, values_in_words, write_simulation_report
    from tuning.simulation.run import Simulation, open_source, simulate_all
    from tuning.simulation.simulator import Faults
    from tuning.simulation.standing import sentences, standings
    from tuning.storage.home import tuning_home

    os.umask(0o077)
    home, log, began = tuning_home(), Console(stderr=True), time.perf_counter()
    choices = parse_choices(engines)
    faults = Faults(asked.pop("crash_rate"), asked.pop("preempt_rate"))
    simulation = Simulation(study, choices, faults=faults, home=home, **asked)
    replayed = open_source(study, home, exact=simulation.exact)
    for notice in replayed.notices:
        log.print(Text(notice), soft_wrap=True)

    def told(run: SimulatedRun) -> None:
        if not quiet and run.curve.seed == simulation.seeds - 1:
            log.print(
                f"{run.curve.engine} on {run.slots} slots: {simulation.seeds} searches simulated"
            )

    total = (
        len(choices)
        * len(simulation.slots)
        * simulation.seeds
        * (simulation.trials or replayed.study.trials or 20)
    )
    runs = list(simulate_all(simulation, replayed, told, _cores() if total >= _MANY else 1))
    found = standings(runs)
    report = write_simulation_report(home / "reports", simulation, replayed, runs, found)
    trials, took = sum(len(run.curve.values) for run in runs), time.perf_counter() - began
    if not (quiet and as_json):
        shown = log if as_json else Console()
        shown.print(table(found))
        for text in sentences(found):
            shown.print(text, highlight=False)
        shown.print(f"\n{values_in_words(replayed, runs)}", style="dim", highlight=False)
        shown.print(
            Text(f"\n{trials:,} trials simulated in {took:.1f} s\nreport   {report}"),
            soft_wrap=True,
        )
    if as_json:
        plain = _plain(simulation, replayed, runs)
        print(
            json.dumps(
                {**plain, "simulated_trials": trials, "seconds": took, "report": str(report)}
            ),
            flush=True,
        )
    return 0


def _cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plain(
    simulation: Simulation, replayed: Replayed, runs: Sequence[SimulatedRun]
) -> dict[str, Any]:
    from tuning.reports.summary import plain_json
    from tuning.simulation.report import values_in_words
    from tuning.simulation.standing import standings

    plain: dict[str, Any] = plain_json(
        {
            "study": replayed.study.name,
            "recording": None if replayed.recording is None else str(replayed.recording),
            "engines": [choice.name for choice in simulation.choices],
            "slots": simulation.slots,
            "seeds": simulation.seeds,
            "values": values_in_words(replayed, runs),
            "standings": [each.to_json() for each in standings(runs)],
        }
    )
    return plain
