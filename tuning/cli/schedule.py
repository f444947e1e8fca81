"""`tuning schedule`: write systemd's units, and print how to enable them."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("schedule")
@click.argument("study")
@click.argument("options", nargs=-1, metavar="[-- OPTIONS OF RUN]")
@click.option(
    "--calendar",
    required=True,
    metavar="WHEN",
    help='The times to run at, as systemd writes them: "Mon..Fri 22:00", daily, …',
)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    help=(
        "The folder for the units. [default: systemd's folder for your own, ~/.config/systemd/user]"
    ),
)
def schedule(study: str, options: tuple[str, ...], calendar: str, folder: Path | None) -> None:
    """Run a study at set times: a systemd timer and the cron line.

    STUDY is a name in studies/ or a path to a Python file. What follows -- goes to `run`.

    \b
    Examples:
      python -m tuning schedule housing --calendar "Mon..Fri 22:00"
      python -m tuning schedule housing --calendar daily -- --trials 200 --timeout 6h
    """
    from tuning.cli.systemd_units import (
        make_schedule,
        named_apart,
        next_steps,
        user_folder,
        write_units,
    )

    # A wrong option is reported now, not at 22:00.
    _check_options(study, options)
    target = (folder or user_folder()).absolute()
    plan = named_apart(make_schedule(study, calendar, Path.cwd(), options), target)
    for path in write_units(plan, target):
        click.echo(f"wrote {path}")
    click.echo(next_steps(plan, target))


def _check_options(study: str, options: tuple[str, ...]) -> None:
    """Check options of `run` as `run` itself does.

    Raises:
        StudyError: One is wrong.
        click.ClickException: One is unknown, or its value is not of its type.
    """
    from tuning.cli.run import check_run, run
    from tuning.errors import StudyError, did_you_mean
    from tuning.study.engine_spec import engine_spec
    from tuning.study.study_fields import PRUNERS

    words = run.make_context("tuning run", [study, *options]).params
    for presentation in ("as_json", "quiet"):
        del words[presentation]
    variant = check_run(**words).options.variant

    if "engine" in variant:
        engine_spec(variant["engine"])
    pruner = variant.get("pruner")
    if pruner is not None and pruner not in PRUNERS:
        raise StudyError(f"pruner '{pruner}' is unknown.{did_you_mean(str(pruner), PRUNERS)}")
