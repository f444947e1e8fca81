"""`tuning sync`: bring MLflow and Optuna's storage up to date with the ledger."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tuning.cli import options
from tuning.errors import BusyError, NewerFileError, StorageError
from tuning.ledger.catalog import find, searches
from tuning.reports.texts import call_here


@click.command("sync")
@click.argument("study", required=False)
@options.home
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=600.0,
    show_default=True,
    help="Seconds after which a search that cannot be written is given up.",
)
def sync(study: str | None, home: Path, timeout_s: float) -> int:
    """Write every trial of the ledger that is missing in MLflow or in Optuna's storage.

    Of all searches, of one STUDY, or of one search: its STUDY/KEY, id or folder.

    A database that was deleted is made anew; a damaged one is kept beside it as `.corrupt`. A
    search that is running is left to its own writer.

    \b
    Example:
      python -m tuning sync housing
    """
    known = [files.folder for files in searches(home)]
    if not known:
        search = call_here(with_make="make tune STUDY=housing", plain="python -m tuning run STUDY")
        click.echo(f"No searches in {home}. Run one: {search}", err=True)
        return 0
    folders = known
    if study is not None:
        folders = [folder for folder in known if folder.parent.name == study]
        folders = folders or [find(home, study).folder]

    os.umask(0o077)  # state is this user's alone
    warnings: list[str] = []
    for folder in folders:
        warnings += _write(folder, home, timeout_s)
    if warnings:
        raise StorageError("\n".join(warnings))
    return 0


def _write(folder: Path, home: Path, timeout_s: float) -> list[str]:
    """Write one search; return what could not be written."""
    from tuning.tracking.mlflow_store import QUIET, tracking_uri

    os.environ.update(QUIET)  # before MLflow is imported
    from tuning.storage.locks import locked
    from tuning.tracking.optuna_storage import storage_url
    from tuning.tracking.writer.project import Projection

    name = f"{folder.parent.name}/{folder.name}"
    try:
        # A search that runs has a writer of its own, which holds it.
        with locked(folder / ".writer.lock", wait=False):
            projection = Projection(folder, home, tracking_uri(home), storage_url(home))
            projection.drain(timeout_s)
    except BusyError:
        click.echo(f"{name}: running, its own writer does it", err=True)
        return []
    except (NewerFileError, StorageError) as error:
        return [str(error)]  # the other searches are written all the same

    report = projection.report(final=True)
    click.echo(f"{name}: {report.written} trials", err=True)
    for words in projection.damaged:
        click.echo(words, err=True)
    return [
        f"{name}: {warning}" for warning in report.warnings if warning not in projection.damaged
    ]
