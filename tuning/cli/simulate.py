"""`tuning simulate`: replay engines on recorded trials with a simulated clock, on many slots."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from tuning.cli import options

if TYPE_CHECKING:
    from rich.console import Console

    from tuning.simulation.run import Replayed, SimulatedRun, Simulation
    from tuning.simulation.standing import Standing

_DEFAULT_ENGINES = "optuna:random,optuna:tpe"
_DEFAULT_TRIALS = 20  # of a study that has no number of its own
_WORTH_PROCESSES = 4_000  # trials, from which on it pays to start processes that share them


@dataclass(frozen=True)
class _Results:
    """What came out."""

    replayed: Replayed
    runs: Sequence[SimulatedRun]
    standings: Sequence[Standing]


def _slots(ctx: click.Context, option: click.Parameter, text: str) -> tuple[int, ...]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words or any(not word.isdecimal() or int(word) < 1 for word in words):
        raise click.BadParameter(f"{text!r} is not a list of numbers of slots; write 1,8,64")
    return tuple(dict.fromkeys(int(word) for word in words))


@click.command("simulate")
@click.argument("study")
@click.option(
    "--engines",
    default=_DEFAULT_ENGINES,
    show_default=True,
    metavar="NAMES",
    help="The engines, separated by commas, each with its pruner after a +.",
)
@click.option(
    "--slots",
    default="1,8,64",
    show_default=True,
    callback=_slots,
    metavar="NUMBERS",
    help="The numbers of slots to simulate, separated by commas.",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="The number of searches of each engine on each number of slots.",
)
@click.option(
    "--trials",
    type=click.IntRange(1),
    metavar="N",
    help=("The number of trials of each search. [default: the study's, else 20; of a grid all]"),
)
@click.option(
    "--crash-rate",
    type=click.FloatRange(0, 1),
    default=0.0,
    metavar="SHARE",
    help="The share of the attempts that crash.",
)
@click.option(
    "--preempt-rate",
    type=click.FloatRange(0),
    default=0.0,
    metavar="RATE",
    help="The number of preemptions an hour of a busy slot.",
)
@click.option(
    "--exact", is_flag=True, help="A simulation that refuses points which were not recorded."
)
@click.option("--engine-time", is_flag=True, help="A clock that counts the engine's own time, too.")
@options.as_json
@options.quiet
def simulate(
    study: str,
    *,
    engines: str,
    slots: tuple[int, ...],
    seeds: int,
    trials: int | None,
    crash_rate: float,
    preempt_rate: float,
    exact: bool,
    engine_time: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Search STUDY's recording on a simulated clock: what would more slots bring?

    STUDY is a name (a recording in the state folder, or one that ships: housing_grid), the path of
    a recording, or a study whose trials are a function's values (branin, hartmann6, noisy_branin).
    Nothing is trained.

    \b
    Examples:
      python -m tuning simulate housing_grid --slots 1,8,64 --seeds 20
      python -m tuning simulate noisy_branin --engines optuna:tpe+asha --slots 8
    """
    from rich.console import Console
    from rich.text import Text

    from tuning.bench.plan import parse_choices
    from tuning.executors.supervision.logs import errors_of_libraries_unseen
    from tuning.simulation.report import write_simulation_report
    from tuning.simulation.run import Simulation, open_source, simulate_all
    from tuning.simulation.simulator import Faults
    from tuning.simulation.standing import standings
    from tuning.storage.home import tuning_home

    os.umask(0o077)  # state is this user's alone
    began = time.perf_counter()
    log = Console(stderr=True)
    home = tuning_home()
    simulation = Simulation(
        source=study,
        choices=parse_choices(engines),
        slots=slots,
        seeds=seeds,
        trials=trials,
        faults=Faults(crash_rate=crash_rate, preempt_rate=preempt_rate),
        exact=exact,
        engine_time=engine_time,
        home=home,
    )
    with errors_of_libraries_unseen():  # a study's file and its builder import TensorFlow
        replayed = open_source(study, home, exact=exact)
    for notice in replayed.notices:
        log.print(Text(notice), soft_wrap=True)

    def print_engine(run: SimulatedRun) -> None:
        is_last_seed = run.curve.seed == seeds - 1
        if is_last_seed and not quiet:
            log.print(f"{run.curve.engine} on {run.slots} slots: {seeds} searches simulated")

    n_processes = _processes(simulation, replayed)
    runs = list(simulate_all(simulation, replayed, print_engine, n_processes))
    results = _Results(replayed, runs, standings(runs))
    report = write_simulation_report(
        home / "reports", simulation, replayed, runs, results.standings
    )

    n_trials = sum(len(run.curve.values) for run in runs)
    seconds = time.perf_counter() - began
    if not (quiet and as_json):
        console = log if as_json else Console()
        _print(console, results)
        ending = f"\n{n_trials:,} trials simulated in {seconds:.1f} s\nreport   {report}"
        console.print(Text(ending), soft_wrap=True)
    if as_json:
        result = _result_json(simulation, results)
        result |= {"simulated_trials": n_trials, "seconds": seconds, "report": str(report)}
        print(json.dumps(result), flush=True)
    return 0


def _processes(simulation: Simulation, replayed: Replayed) -> int:
    """Return how many processes shall share the searches."""
    n_trials = simulation.trials or replayed.study.trials or _DEFAULT_TRIALS
    n_searches = len(simulation.choices) * len(simulation.slots) * simulation.seeds
    if n_searches * n_trials < _WORTH_PROCESSES:
        return 1
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _print(console: Console, results: _Results) -> None:
    from tuning.simulation.report import table, values_in_words
    from tuning.simulation.standing import sentences

    console.print(table(results.standings))
    for sentence in sentences(results.standings):
        console.print(sentence, highlight=False)
    values = values_in_words(results.replayed, results.runs)
    console.print(f"\n{values}", style="dim", highlight=False)


def _result_json(simulation: Simulation, results: _Results) -> dict[str, Any]:
    """Return what `--json` prints, the run's own figures apart."""
    from tuning.reports.summary import plain_json
    from tuning.simulation.report import values_in_words

    replayed = results.replayed
    plain: dict[str, Any] = plain_json(
        {
            "study": replayed.study.name,
            "recording": None if replayed.recording is None else str(replayed.recording),
            "engines": [choice.name for choice in simulation.choices],
            "slots": simulation.slots,
            "seeds": simulation.seeds,
            "values": values_in_words(replayed, results.runs),
            "standings": [standing.to_json() for standing in results.standings],
        }
    )
    return plain
