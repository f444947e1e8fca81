"""`tuning bench`: which engine should I use? Compare them on your own model and data."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuning.cli import options

if TYPE_CHECKING:
    from tuning.bench.budget import Budget
    from tuning.bench.plan import BenchPlan
    from tuning.bench.run import BenchedStudy
    from tuning.bench.statistics.overview import Statistics
    from tuning.executors.devices.slots import Auto


def _budget(ctx: click.Context, option: click.Parameter, text: str) -> Budget:
    from tuning.bench.budget import Budget

    kind, _, amount = text.partition("=")
    is_whole = re.fullmatch(r"[1-9]\d*", amount) is not None
    if kind == "epochs" and is_whole:
        return Budget("epochs", int(amount))
    if kind == "trials" and is_whole:
        return Budget("trials", int(amount))
    if kind == "time" and amount and options.seconds(amount) > 0:
        return Budget("time", options.seconds(amount))
    raise click.BadParameter(f"{text!r} is not a budget; write epochs=2000, trials=50 or time=10m")


@click.command("bench")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option(
    "--engines",
    metavar="NAMES",
    help=(
        "The engines, separated by commas, each with its pruner after a +. [default: six "
        "of the three libraries]"
    ),
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 999),
    default=10,
    show_default=True,
    metavar="N",
    help="The number of searches of each engine.",
)
@click.option(
    "--budget",
    default="epochs=2000",
    show_default=True,
    callback=_budget,
    metavar="KIND=AMOUNT",
    help="The budget of each search: epochs=2000, trials=50, or time=10m of training.",
)
@options.places
@options.limits
@click.option(
    "--fresh",
    is_flag=True,
    help="A new beginning; earlier searches of this benchmark are set aside.",
)
@options.as_json
@options.quiet
def bench(
    studies: Sequence[str],
    *,
    engines: str | None,
    seeds: int,
    budget: Budget,
    devices: str,
    slots_per_gpu: int | Auto | None,
    executor: str,
    ray_address: str | None,
    memory_per_slot: int | None,
    quota: int | None,
    gpu_hours: float | None,
    cpu_hours: float | None,
    fresh: bool,
    as_json: bool,
    quiet: bool,
) -> int:
    """Compare engines on STUDY...: same splits, seeds and budget; which differences are real?

    The same command again continues where it was interrupted; with more --seeds or other --engines
    it trains only what is new. Pruned and failed trials count with what they cost, a repeated
    trial with what it cost the first time.

    \b
    Examples:
      python -m tuning bench housing --budget epochs=400 --seeds 5
      python -m tuning bench housing moons --engines randomizedsearchcv,optuna:tpe+asha
    """
    from rich.console import Console

    from tuning.bench.plan import DEFAULT_ENGINES, BenchPlan, parse_choices
    from tuning.bench.run import run_bench
    from tuning.bench.watch import Watch
    from tuning.executors.executor_spec import ExecutorChoice
    from tuning.search.processes import source_of

    options.check_executor(executor, ray_address)
    plan = BenchPlan(
        sources=tuple(source_of(study) for study in studies),
        choices=parse_choices(",".join(DEFAULT_ENGINES) if engines is None else engines),
        seeds=seeds,
        budget=budget,
        devices=options.fixed_devices(devices, slots_per_gpu, "bench"),
        executor=ExecutorChoice(executor, ray_address),
        fresh=fresh,
        memory_per_slot=memory_per_slot,
        quota=quota,
        gpu_hours=gpu_hours,
        cpu_hours=cpu_hours,
    )
    os.umask(0o077)  # state is this user's alone
    with Watch(None if quiet else Console(stderr=True)) as watch:
        benched, status = run_bench(plan, watch)
    if status != "completed":
        return options.UNFINISHED[status]
    return _report(benched, plan, as_json=as_json, quiet=quiet)


def _report(benched: Sequence[BenchedStudy], plan: BenchPlan, *, as_json: bool, quiet: bool) -> int:
    """Write the report and MLflow's runs, print the result; return the exit code."""
    from tuning.bench.report.page import write_bench_report
    from tuning.bench.report.publish import as_json as result_json
    from tuning.bench.statistics.overview import analyse
    from tuning.storage.home import tuning_home

    curves = [run.curve for each in benched for run in each.runs]
    statistics = analyse(curves, budget="seconds" if plan.budget.kind == "time" else "epochs")

    home = tuning_home()
    report = write_bench_report(home / "reports", benched, plan, statistics)
    mlflow = _write_to_mlflow(home, benched, plan)

    if not (quiet and as_json):
        _print(statistics, report.page, on_stderr=as_json)
    if as_json:
        print(json.dumps(result_json(benched, plan, statistics, report, mlflow)), flush=True)

    has_value = any(value is not None for curve in curves for value in curve.values)
    return 0 if has_value else 1


def _write_to_mlflow(
    home: Path, benched: Sequence[BenchedStudy], plan: BenchPlan
) -> list[dict[str, str]]:
    from tuning.bench.report.publish import to_mlflow
    from tuning.errors import StorageError
    from tuning.tracking.mlflow_store import QUIET, tracking_uri

    os.environ.update(QUIET)  # before MLflow is imported
    try:
        return to_mlflow(tracking_uri(home), home, benched, plan)
    except StorageError as error:
        # Everything is in files: the same command writes it another time.
        click.echo(str(error), err=True)
        return []


def _print(statistics: Statistics, page: Path, *, on_stderr: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tuning.bench.report.words import sentences
    from tuning.reports.texts import score

    console = Console(stderr=on_stderr)
    for study in statistics.studies:
        heads = (study.study, f"median {study.metric}", "test", "rank")
        table = Table(*heads, box=None, pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for engine in study.engines:
            rank = "–" if engine.rank is None else f"{engine.rank:.2f}"
            table.add_row(engine.engine, score(engine.validation), score(engine.test), rank)
        console.print(table)

    for sentence in sentences(statistics):
        console.print(Text(sentence))
    console.print(Text(str(page)), soft_wrap=True)
