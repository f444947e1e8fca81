"""`tuning bench`: which engine should I use? All of them on one's own model and data, with seeds
and statistics.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tuning.cli.run import seconds

if TYPE_CHECKING:
    from tuning.bench.budget import Budget
    from tuning.bench.plan import BenchPlan
    from tuning.bench.run import Benched
    from tuning.bench.statistics.overview import Statistics


def _budget(ctx: click.Context, option: click.Parameter, text: str) -> Budget:
    from tuning.bench.budget import Budget

    kind, _, amount = text.partition("=")
    if kind in ("epochs", "trials") and re.fullmatch(r"[1-9]\d*", amount):
        return Budget("epochs" if kind == "epochs" else "trials", int(amount))
    if kind == "time" and amount and seconds(amount) > 0:
        return Budget("time", seconds(amount))
    raise click.BadParameter(f"{text!r} is no budget; write epochs=2000, trials=50 or time=10m")


@click.command("bench")
@click.argument("studies", nargs=-1, required=True, metavar="STUDY...")
@click.option(
    "--engines", help="By comma, with a pruner behind +; default: six of the three libraries."
)
@click.option(
    "--seeds",
    type=click.IntRange(1, 999),
    default=10,
    show_default=True,
    help="Searches of each engine.",
)
@click.option(
    "--budget",
    default="epochs=2000",
    show_default=True,
    callback=_budget,
    metavar="KIND=AMOUNT",
    help="Of each search: epochs=2000, trials=50, or time=10m of training.",
)
@click.option(
    "--devices", default="auto", show_default=True, help="auto, cpu, cpu:2, gpu, or GPUs: 0,1."
)
@click.option(
    "--fresh", is_flag=True, help="Set earlier searches of this benchmark aside and begin anew."
)
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors and the result.")
def bench(
    studies: Sequence[str], engines: str | None, as_json: bool, quiet: bool, **given: Any
) -> int:
    """Compare engines on STUDY...: same splits, seeds and budget; the report says which differences
    are supported.

    The same command again goes on where it was interrupted; with more --seeds or other --engines
    only what is new is trained. Pruned and failed trials count with what they cost, an equal trial
    with what it cost the first time.

    \b
    Examples:
      python -m tuning bench housing --budget epochs=400 --seeds 5
      python -m tuning bench housing moons --engines
      randomizedsearchcv,optuna:tpe+asha,keras-tuner:hyperband
    """
    from rich.console import Console

    from tuning.bench.plan import DEFAULT_ENGINES, BenchPlan, parse_choices
    from tuning.bench.run import run_bench
    from tuning.bench.watch import Watch
    from tuning.search.processes import source_of

    choices = parse_choices(engines if engines is not None else ",".join(DEFAULT_ENGINES))
    plan = BenchPlan(tuple(source_of(study) for study in studies), choices, **given)
    os.umask(0o077)
    with Watch(None if quiet else Console(stderr=True)) as watch:
        benched, status = run_bench(plan, watch)
    if status != "completed":
        return {"interrupted": 130, "terminated": 143}[status]
    return _tell(benched, plan, as_json=as_json, quiet=quiet)


def _tell(benched: Sequence[Benched], plan: BenchPlan, *, as_json: bool, quiet: bool) -> int:
    """Write the report and MLflow, print what came out."""
    from tuning.bench.report.page import write_bench_report
    from tuning.bench.report.publish import as_json as object_of
    from tuning.bench.statistics.overview import analyse
    from tuning.storage.home import tuning_home

    curves = [run.curve for each in benched for run in each.runs]
    found = analyse(curves, budget="seconds" if plan.budget.kind == "time" else "epochs")
    home = tuning_home()
    written = write_bench_report(home / "reports", benched, plan, found)
    mlflow = _to_mlflow(home, benched, plan)
    if not (quiet and as_json):
        _print(found, written.page, on_stderr=as_json)
    if as_json:
        print(json.dumps(object_of(benched, plan, found, written, mlflow)), flush=True)
    return 0 if any(value is not None for curve in curves for value in curve.values) else 1


def _to_mlflow(home: Path, benched: Sequence[Benched], plan: BenchPlan) -> list[dict[str, str]]:
    from tuning.bench.report.publish import to_mlflow
    from tuning.errors import StorageError
    from tuning.tracking.mlflow_store import QUIET, tracking_uri

    os.environ.update(QUIET)  # before MLflow is imported
    try:
        return to_mlflow(tracking_uri(home), home, benched, plan)
    except StorageError as error:  # all of it is in files: the same command writes it another time
        click.echo(str(error), err=True)
        return []


def _print(found: Statistics, page: Path, *, on_stderr: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tuning.bench.report.words import sentences
    from tuning.reports.texts import score

    console = Console(stderr=on_stderr)
    for study in found.studies:
        table = Table(
            study.study, f"median {study.metric}", "test", "rank", box=None, pad_edge=False
        )
        for column in table.columns[1:]:
            column.justify = "right"
        for engine in study.engines:
            rank = "–" if engine.rank is None else f"{engine.rank:.2f}"
            table.add_row(engine.engine, score(engine.validation), score(engine.test), rank)
        console.print(table)
    for sentence in sentences(found):
        console.print(Text(sentence))
    console.print(Text(str(page)), soft_wrap=True)
