"""`--home` and `--json`, the same for every verb."""

from __future__ import annotations

from pathlib import Path

import click

home = click.option(
    "--home",
    type=click.Path(path_type=Path),
    envvar="TUNING_HOME",
    default=Path("mlruns"),
    show_default=True,
    metavar="FOLDER",
    help="The state folder.",
)
as_json = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="The result as one JSON object, the last line of stdout.",
)
