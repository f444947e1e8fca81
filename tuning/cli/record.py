"""`tuning record`: train a grid or a sample of a study fully once, so that engines can be tried on
it in no time.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import click


@click.command("record")
@click.argument("study")
@click.option(
    "--points",
    type=click.IntRange(1),
    help="So many; default: the study's grid, or 64 of a Sobol sample.",
)
@click.option("--sobol", is_flag=True, help="A Sobol sample, also where the space is a grid.")
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Training seeds of each point.",
)
@click.option("--epochs", type=click.IntRange(1), help="Of each training; default: the study's.")
@click.option("--cv", type=click.IntRange(2), help="Folds of each training.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The manifest; default: in the folder recordings.",
)
@click.option(
    "--devices", default="auto", show_default=True, help="auto, cpu, cpu:2, gpu, or GPUs: 0,1."
)
@click.option("--fresh", is_flag=True, help="Set an earlier recording aside and begin anew.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
)
@click.option("--quiet", is_flag=True, help="Say nothing but errors and the result.")
def record(
    study: str, epochs: int | None, cv: int | None, as_json: bool, quiet: bool, **asked: Any
) -> int:
    """Train points of STUDY's space to their end and keep every epoch: its score, its time, the
    memory.

    A space of choices and steps is trained whole, any other at the points of a Sobol sequence. The
    same command again goes on where it was interrupted. `tuning simulate STUDY` replays the
    recording.

    \b
    Examples:
      python -m tuning record housing_grid
      python -m tuning record housing --points 128 --seeds 2 --out recordings/housing.json
    """
    from rich.console import Console

    from tuning.reports.progress import choose_progress
    from tuning.simulation.record import RecordOptions, record_study

    os.umask(0o077)
    variant = {name: value for name, value in (("epochs", epochs), ("cv", cv)) if value is not None}
    options = RecordOptions(variant=variant, **asked)
    recorded = record_study(study, options, choose_progress(quiet, as_json, Console(stderr=True)))
    written = recorded.manifest
    if written is None:
        click.echo(f"{recorded.status}; the same command goes on", err=True)
        return {"interrupted": 130, "terminated": 143}.get(recorded.status, 1)
    click.echo(str(written), err=as_json)
    if as_json:
        told = json.loads(written.read_text(encoding="utf-8"))
        kept = ("study", "design", "points", "seeds", "epochs", "rows", "sha256")
        print(
            json.dumps({**{name: told[name] for name in kept}, "recording": str(written)}),
            flush=True,
        )
    return 0
