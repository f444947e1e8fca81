"""`tuning schedule`: write the units, tell how to enable them."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("schedule")
@click.argument("study")
@click.argument("options", nargs=-1, metavar="[-- OPTIONS OF RUN]")
@click.option("--calendar", required=True, metavar="WHEN", help='As systemd writes it: "Mon..Fri 22:00", daily, …')
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the units go; default: ~/.config/systemd/user, systemd's folder for your own units.",
)
def schedule(study: str, options: tuple[str, ...], calendar: str, folder: Path | None) -> None:
    """Run a study at set times: a systemd timer and the cron line.

    STUDY is a name in studies/ or a path to a Python file. What comes after -- is handed to `run`.

    \b
    Examples:
      python -m tuning schedule housing --calendar "Mon..Fri 22:00"
      python -m tuning schedule housing --calendar daily -- --trials 200 --timeout 6h
    """
    from tuning.cli.run import parse_settings, run
    from tuning.service.schedule import make_schedule, next_steps, user_folder, write_units

    given = run.make_context("tuning run", [study, *options])  # a wrong option is told now, not at 22:00
    parse_settings(given.params["settings"])
    made = make_schedule(study, calendar, Path.cwd(), options)
    into = (folder or user_folder()).absolute()
    for path in write_units(made, into):
        click.echo(f"wrote {path}")
    click.echo(next_steps(made, into))
