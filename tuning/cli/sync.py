"""`tuning sync`: bring MLflow and Optuna's storage up to date with the ledger."""

from __future__ import annotations

import os
from pathlib import Path

import click

from tuning.cli import options
from tuning.errors import BusyError, NewerFileError, StorageError
from tuning.ledger.catalog import find, searches
from tuning.reports.texts import call_here
from tuning.storage.locks import is_search_locked
from tuning.tracking.store_drivers import require_drivers

_HANDOVER_S = 10.0


@click.command("sync")
@click.argument("study", required=False)
@options.home
@click.option(
    "--timeout",
    "timeout_s",
    type=float,
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="The seconds after which a search that cannot be written is given up.",
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

    require_drivers()
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
    from tuning.tracking.optuna_storage import storage_url
    from tuning.tracking.writer.note import remove_note, writing
    from tuning.tracking.writer.project import Projection
    from tuning.tracking.writer.written import leave_mark, stamp_of

    name = f"{folder.parent.name}/{folder.name}"
    # Also one that has not begun to write: it would be shown as interrupted.
    if is_search_locked(folder):
        click.echo(f"{name}: running, its own writer does it", err=True)
        return []

    projection = Projection(folder, home, tracking_uri(home), storage_url(home))
    try:
        # One that writes on behind a command that has ended makes room.
        with writing(folder, timeout_s=_HANDOVER_S):
            files = stamp_of(folder, home)
            projection.drain(timeout_s)
            if projection.ended:
                remove_note(folder)
                if not projection.report(final=True).warnings:
                    leave_mark(folder, home, files)
    except BusyError:
        click.echo(f"{name}: running, its own writer does it", err=True)
        return []
    except (NewerFileError, StorageError) as error:
        return [str(error)]  # the other searches are written all the same
    finally:
        projection.stop()

    report = projection.report(final=True)
    click.echo(f"{name}: {report.written} trials", err=True)
    for words in projection.damaged:
        click.echo(words, err=True)
    return [
        f"{name}: {warning}" for warning in report.warnings if warning not in projection.damaged
    ]
