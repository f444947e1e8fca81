"""`--home` and `--json`, the same for every verb."""

from __future__ import annotations

import os
from pathlib import Path

import click

_VARIABLE = "TUNING_HOME"

home = click.option(
    "--home",
    type=click.Path(path_type=Path),
    envvar=_VARIABLE,
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


def with_home(command: click.Command) -> click.Command:
    """Return a verb that takes `--home`, whether or not it asks for it itself.

    One that does not is given it by the variable TUNING_HOME, as the processes are that it starts.
    """
    if any(parameter.name == "home" for parameter in command.params):
        return command
    of_environment = click.Option(
        ["--home"],
        type=click.Path(path_type=Path),
        metavar="FOLDER",
        expose_value=False,
        callback=_enter,
        help="The state folder.  [default: TUNING_HOME, else mlruns]",
    )
    command.params.append(of_environment)
    return command


def _enter(context: click.Context, option: click.Parameter, home: Path | None) -> None:
    """Have TUNING_HOME name the folder until the verb has ended."""
    if home is None:
        return
    before = os.environ.get(_VARIABLE)
    os.environ[_VARIABLE] = str(home)

    def leave() -> None:
        if before is None:
            os.environ.pop(_VARIABLE, None)
        else:
            os.environ[_VARIABLE] = before

    context.call_on_close(leave)
