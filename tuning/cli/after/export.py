"""`tuning export`: a winner as a folder that runs without this package."""

from __future__ import annotations

from pathlib import Path

import click

from tuning.cli.common.home import home


@click.command("export")
@click.argument("search")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    required=True,
    metavar="FOLDER",
    help="The folder to write, empty or not there yet.",
)
@home
def export(search: str, *, folder: Path, home: Path) -> None:
    """Write the winner of SEARCH with a predict.py that needs TensorFlow and NumPy alone.

    Beside the model and the script: schema.json, what the model takes and gives; README.md, its
    card; MLmodel, so that mlflow.pyfunc.load_model takes the folder. A SEARCH is named as in
    `tuning show`.

    \b
    Example:
      python -m tuning export housing --to housing_winner
    """
    from tuning.winners.export import export_winner
    from tuning.winners.winner import load_winner

    for path in export_winner(load_winner(search, home=home), folder):
        click.echo(f"wrote {path}")
    click.echo(f"use it: python {folder / 'predict.py'} rows.csv")
