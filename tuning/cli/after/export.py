"""`tuning export`: a winner as a folder that runs without this package, or in MLflow's registry."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuning.cli.common.home import home
from tuning.errors import StudyError

if TYPE_CHECKING:
    from tuning.winners.winner import Winner

REGISTRY = "registry"


@click.command("export")
@click.argument("search")
@click.option(
    "--to",
    "target",
    required=True,
    metavar="FOLDER",
    help="The folder to write, empty or not there yet; or `registry`, for MLflow's.",
)
@click.option(
    "--force",
    is_flag=True,
    help="The alias `champion` of the registry for this winner, whatever the present one scored.",
)
@click.option(
    "--onnx",
    is_flag=True,
    help="The model as model.onnx, too; needs the extra `onnx`, and a model that reads no texts.",
)
@home
def export(search: str, *, target: str, force: bool, onnx: bool, home: Path) -> None:
    """Write the winner of SEARCH with a predict.py that needs TensorFlow and NumPy alone.

    Beside the model and the script: schema.json, what the model takes and gives; README.md, its
    card; MLmodel, so that mlflow.pyfunc.load_model takes the folder. A SEARCH is named as in
    `tuning show`.

    `--to registry` makes it a version of the model in MLflow that is called after the study. The
    alias `champion` moves to it where it is better, by more than the spread over fresh seeds, on
    the same data, objective and split.

    \b
    Examples:
      python -m tuning export housing --to housing_winner
      python -m tuning export housing --to housing_winner --onnx
      python -m tuning export housing --to registry
    """
    from tuning.winners.winner import load_winner

    if target != REGISTRY and force:
        raise StudyError(f"--force is of --to registry; --to {target} writes a folder")
    if target == REGISTRY and onnx:
        raise StudyError("--onnx writes a file into a folder; --to registry has none")
    winner = load_winner(search, home=home)
    if target == REGISTRY:
        _register(winner, home, force=force)
    else:
        _write_folder(winner, Path(target), onnx=onnx)


def _write_folder(winner: Winner, folder: Path, *, onnx: bool) -> None:
    from tuning.winners.export import export_winner
    from tuning.winners.onnx import require_onnx, write_onnx

    if onnx:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        require_onnx()  # before a folder is there that is not whole
    for path in export_winner(winner, folder):
        click.echo(f"wrote {path}")
    if onnx:
        click.echo(f"wrote {write_onnx(winner, folder)}")
    click.echo(f"use it: python {folder / 'predict.py'} rows.csv")


def _register(winner: Winner, home: Path, *, force: bool) -> None:
    from tuning.tracking.mlflow_store import QUIET, tracking_uri

    os.environ.update(QUIET)  # before MLflow is imported
    from tuning.tracking.registry.champion import CHAMPION, register

    outcome = register(winner, tracking_uri(home), force=force)
    click.echo(f"{winner.search} is version {outcome.version} of {outcome.name}")
    is_it = "it is" if outcome.is_champion else "it is not"
    click.echo(f"{is_it} the {CHAMPION}: {outcome.reason}")
    click.echo(f'use it: mlflow.pyfunc.load_model("models:/{outcome.name}@{CHAMPION}")')
