"""`tuning schedule`: write the units, tell how to enable them."""

from __future__ import annotations

from pathlib import Path

import click

_APART = ("study", "settings", "as_json", "quiet")


@click.command("schedule")
@click.argument("study")
@click.argument("options", nargs=-1, metavar="[-- OPTIONS OF RUN]")
@click.option(
    "--calendar",
    required=True,
    metavar="WHEN",
    help='As systemd writes it: "Mon..Fri 22:00", daily, …',
)
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
    from tuning.cli.run import checked, run
    from tuning.cli.systemd_units import make_schedule, next_steps, user_folder, write_units
    from tuning.errors import StudyError, did_you_mean
    from tuning.study.engine_spec import engine_specs
    from tuning.study.study import PRUNERS

    given = run.make_context(
        "tuning run", [study, *options]
    ).params  # a wrong option is told now, not at 22:00
    rest = {name: value for name, value in given.items() if name not in _APART}
    _, changes = checked(study, given["settings"], rest)
    for name, known in (("engine", tuple(engine_specs())), ("pruner", PRUNERS)):
        value = changes["variant"].get(name, known[0])
        if value not in known:
            raise StudyError(f"{name} '{value}' is unknown.{did_you_mean(str(value), known)}")
    made = make_schedule(study, calendar, Path.cwd(), options)
    into = (folder or user_folder()).absolute()
    for path in write_units(made, into):
        click.echo(f"wrote {path}")
    click.echo(next_steps(made, into))
