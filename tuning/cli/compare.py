"""`tuning compare`: two or more searches side by side, from the ledger alone."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pathlib import Path

    from tuning.ledger.search import SearchFiles
    from tuning.reports.compare import Compared, Comparison


@click.command("compare")
@click.argument("searches", nargs=-1, required=True, metavar="SEARCH SEARCH…")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
)
def compare(searches: tuple[str, ...], as_json: bool) -> None:
    """Show two or more searches side by side: budgets, best, spaces, curves, and what differs.

    A SEARCH is STUDY/KEY (its folder under the ledger), its id, a path, or a study that has one
    search. Nothing is trained; the page with the curves is written to the folder `reports` of the
    state folder.

    \b
    Example:
      python -m tuning compare housing/optuna-tpe housing/keras-tuner-bayesian
    """
    from tuning.errors import StudyError
    from tuning.reports.compare import Comparison
    from tuning.reports.compare_html import write_comparison
    from tuning.storage.home import tuning_home

    os.umask(0o077)
    home = tuning_home()
    found = _read(home, searches)
    if len(found) < 2:
        raise StudyError(
            f"compare takes two or more searches, got only {found[0].name}", where="compare"
        )
    comparison = Comparison(tuple(found))
    report = write_comparison(comparison, home / "reports" / f"{_file_name(found)}.html")
    _show(comparison, report, as_json=as_json)
    if as_json:
        print(json.dumps(comparison.to_json(str(report))), flush=True)


def _read(home: Path, names: tuple[str, ...]) -> list[Compared]:
    """Return the searches, each once; all that cannot be found are named at once."""
    from tuning.errors import StudyError
    from tuning.ledger.catalog import find

    folders: list[SearchFiles] = []
    faults: list[str] = []
    for name in names:
        try:
            folders.append(find(home, name))
        except StudyError as error:
            faults += error.faults
    if faults:
        raise StudyError(faults, where="compare")
    found = [
        _compared(files) for files in {files.folder.resolve(): files for files in folders}.values()
    ]
    used = [search.name for search in found]
    # Equal names are of two state folders: only ids tell them apart.
    return [replace(s, name=s.header.id) if used.count(s.name) > 1 else s for s in found]


def _compared(files: SearchFiles) -> Compared:
    from tuning.ledger.catalog import finished, name_of
    from tuning.reports.compare import Compared
    from tuning.storage.locks import is_search_locked

    space, trials = finished(files)
    status = "" if files.status is None else files.status.status
    if status == "running" and not is_search_locked(files.folder):
        status = "interrupted"  # killed: it could not say so
    return Compared(name_of(files), files.require_header(), space, trials, files.winner, status)


def _file_name(found: list[Compared]) -> str:
    """Return the same name for the same searches, so that comparing them again replaces the page."""
    import hashlib

    ids = sorted(search.header.id for search in found)
    studies = "-".join(dict.fromkeys(search.header.study for search in found))
    return f"compare-{studies[:60]}-{hashlib.sha256(' '.join(ids).encode()).hexdigest()[:8]}"


def _show(found: Comparison, report: Path, *, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tuning.reports.compare import difference_rows, rows, space_rows
    from tuning.reports.texts import one_line

    console = Console(stderr=as_json)
    for title, lines in (
        ("", rows(found)),
        ("spaces", space_rows(found)),
        ("what differs", difference_rows(found)),
    ):
        table = Table(title, box=None, pad_edge=False, header_style="bold")
        for search in found.searches:
            table.add_column(Text(one_line(search.name)), overflow="fold")
        for label, cells in lines:
            table.add_row(Text(one_line(label)), *(Text(one_line(cell)) for cell in cells))
        if lines:
            console.print(table)
            console.print()
    for caution in found.cautions:
        console.print(Text(caution, "yellow"), soft_wrap=True)
    console.print(Text(str(report)), soft_wrap=True)
