"""`tuning bench`: which engine should I use? All of them on one's own model and data, with seeds and statistics."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from tuning.cli.run import seconds

if TYPE_CHECKING:
    from tuning.bench.bench import Benched
    from tuning.bench.budget import Budget


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
@click.option("--engines", help="By comma, with a pruner behind +; default: six of the three libraries.")
@click.option("--seeds", type=click.IntRange(1, 999), default=10, show_default=True, help="Searches of each engine.")
@click.option(
    "--budget", default="epochs=2000", show_default=True, callback=_budget, metavar="KIND=AMOUNT",
    help="Of each search: epochs=2000, trials=50, or time=10m of training.",
)  # fmt: skip
@click.option("--devices", default="auto", show_default=True, help="auto, cpu, cpu:2, gpu, or GPUs: 0,1.")
@click.option("--fresh", is_flag=True, help="Set earlier searches of this benchmark aside and begin anew.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout.")
@click.option("--quiet", is_flag=True, help="Say nothing but errors and the result.")
def bench(studies: Sequence[str], engines: str | None, as_json: bool, quiet: bool, **given: Any) -> int:
    """Compare engines on STUDY...: same splits, seeds and budget; the report says which differences are supported.

    The same command again goes on where it was interrupted; with more --seeds or other --engines only what is new is
    trained. Pruned and failed trials count with what they cost, an equal trial with what it cost the first time.

    \b
    Examples:
      python -m tuning bench housing --budget epochs=400 --seeds 5
      python -m tuning bench housing moons --engines randomizedsearchcv,optuna:tpe+asha,keras-tuner:hyperband
    """
    from rich.console import Console

    from tuning.bench.bench import run_bench
    from tuning.bench.contest import DEFAULT_ENGINES, Contest, parse_entrants
    from tuning.bench.watch import Watch
    from tuning.workshop import source_of

    entrants = parse_entrants(engines if engines is not None else ",".join(DEFAULT_ENGINES))
    contest = Contest(tuple(source_of(study) for study in studies), entrants, **given)
    os.umask(0o077)
    with Watch(None if quiet else Console(stderr=True)) as watch:
        benched, status = run_bench(contest, watch)
    if status != "completed":
        return {"interrupted": 130, "terminated": 143}[status]
    return _told(benched, contest, as_json=as_json, quiet=quiet)


def _told(benched: Sequence[Benched], contest: Any, *, as_json: bool, quiet: bool) -> int:
    for each in benched:
        for run in each.runs:
            print(run.curve)
    return 0
