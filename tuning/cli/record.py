"""`tuning record`: train points of a study fully once, so that engines can be tried on them."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuning.cli import options

if TYPE_CHECKING:
    from tuning.executors.devices.slots import Auto

_PRINTED = ("study", "design", "points", "seeds", "epochs", "rows", "sha256")


@click.command("record")
@click.argument("study")
@click.option(
    "--points",
    type=click.IntRange(1),
    metavar="N",
    help="The number of points. [default: the study's grid, or 64 of a Sobol sequence]",
)
@click.option("--sobol", is_flag=True, help="A Sobol sample, even where the space is a grid.")
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="N",
    help="The number of training seeds of each point.",
)
@click.option(
    "--epochs",
    type=click.IntRange(1),
    metavar="N",
    help="The epochs of each training. [default: the study's]",
)
@click.option(
    "--cv", type=click.IntRange(2), metavar="N", help="The number of folds of each training."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help=(
        "The path of the recording's manifest. [default: in the folder `recordings` of "
        "the state folder]"
    ),
)
@options.places
@options.limits
@click.option("--fresh", is_flag=True, help="A new beginning; an earlier recording is set aside.")
@options.as_json
@options.quiet
def record(
    study: str,
    *,
    points: int | None,
    sobol: bool,
    seeds: int,
    epochs: int | None,
    cv: int | None,
    out: Path | None,
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
    """Train points of STUDY's space to their end; keep the score, time and memory of every epoch.

    A space of choices and steps is trained whole, any other at the points of a Sobol sequence. The
    same command again continues where it was interrupted. `tuning simulate STUDY` replays the
    recording.

    \b
    Examples:
      python -m tuning record housing_grid
      python -m tuning record housing --points 128 --seeds 2 --out recordings/housing.json
    """
    from rich.console import Console

    from tuning.executors.executor_spec import ExecutorChoice
    from tuning.reports.progress import choose_progress
    from tuning.simulation.record import RecordOptions, record_study

    os.umask(0o077)  # state is this user's alone
    options.check_executor(executor, ray_address)
    fields = {"epochs": epochs, "cv": cv}
    record_options = RecordOptions(
        points=points,
        sobol=sobol,
        seeds=seeds,
        out=out,
        devices=options.fixed_devices(devices, slots_per_gpu, "record"),
        executor=ExecutorChoice(executor, ray_address),
        fresh=fresh,
        memory_per_slot=memory_per_slot,
        quota=quota,
        gpu_hours=gpu_hours,
        cpu_hours=cpu_hours,
        variant={name: value for name, value in fields.items() if value is not None},
    )
    progress = choose_progress(quiet, as_json, Console(stderr=True))
    recorded = record_study(study, record_options, progress)
    if recorded.manifest is None:
        click.echo(f"{recorded.status}; the same command continues", err=True)
        return options.UNFINISHED[recorded.status]

    click.echo(str(recorded.manifest), err=as_json)
    if as_json:
        manifest = json.loads(recorded.manifest.read_text(encoding="utf-8"))
        printed = {name: manifest[name] for name in _PRINTED}
        print(json.dumps({**printed, "recording": str(recorded.manifest)}), flush=True)
    return 0
