"""`tuning compare`: two or more searches side by side, from the ledger alone."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import click

from tuning.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from tuning.ledger.search import SearchFiles
    from tuning.reports.compare import Compared, Comparison


@click.command("compare")
@click.argument("searches", nargs=-1, required=True, metavar="SEARCH SEARCH…")
@options.as_json
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

    os.umask(0o077)  # state is this user's alone
    home = tuning_home()
    compared = _read(home, searches)
    if len(compared) < 2:
        raise StudyError(
            f"compare takes two or more searches, got only {compared[0].name}", where="compare"
        )

    comparison = Comparison(tuple(compared))
    page = write_comparison(comparison, home / "reports" / f"{_file_name(compared)}.html")
    _print(comparison, page, on_stderr=as_json)
    if as_json:
        print(json.dumps(comparison.to_json(str(page))), flush=True)


def _read(home: Path, names: tuple[str, ...]) -> list[Compared]:
    """Return the searches, each once; all that are not there are named in one error."""
    from tuning.errors import StudyError
    from tuning.ledger.catalog import find

    searches: dict[Path, SearchFiles] = {}
    faults: list[str] = []
    for name in names:
        try:
            files = find(home, name)
        except StudyError as error:
            faults += error.faults
        else:
            searches[files.folder.resolve()] = files
    if faults:
        raise StudyError(faults, where="compare")

    compared = [_compared(files) for files in searches.values()]
    used = [search.name for search in compared]
    # Equal names are of two state folders: only ids tell them apart.
    return [
        replace(search, name=search.header.id) if used.count(search.name) > 1 else search
        for search in compared
    ]


def _compared(files: SearchFiles) -> Compared:
    from tuning.ledger.catalog import finished, name_of
    from tuning.ledger.usage import of_results, used_by_search
    from tuning.reports.compare import Compared
    from tuning.storage.locks import is_search_locked

    space, trials = finished(files)
    status = "" if files.status is None else files.status.status
    if status == "running" and not is_search_locked(files.folder):
        status = "interrupted"  # it was killed and could not say so
    return Compared(
        name=name_of(files),
        header=files.require_header(),
        space=space,
        trials=trials,
        winner=files.winner,
        status=status,
        used=used_by_search(files.folder, of_results(result for _, result in trials)).total,
    )


def _file_name(compared: list[Compared]) -> str:
    """Return one name for the same searches: comparing them again replaces the page."""
    import hashlib

    ids = sorted(search.header.id for search in compared)
    digest = hashlib.sha256(" ".join(ids).encode()).hexdigest()
    studies = "-".join(dict.fromkeys(search.header.study for search in compared))
    return f"compare-{studies[:60]}-{digest[:8]}"


def _print(comparison: Comparison, page: Path, *, on_stderr: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tuning.reports.compare import difference_rows, fact_rows, space_rows
    from tuning.reports.texts import one_line

    console = Console(stderr=on_stderr)
    tables = {
        "": fact_rows(comparison),
        "spaces": space_rows(comparison),
        "what differs": difference_rows(comparison),
    }
    for title, rows in tables.items():
        if not rows:
            continue
        table = Table(title, box=None, pad_edge=False, header_style="bold")
        for search in comparison.searches:
            table.add_column(Text(one_line(search.name)), overflow="fold")
        for row in rows:
            table.add_row(*(Text(one_line(text)) for text in (row.label, *row.cells)))
        console.print(table)
        console.print()

    for caution in comparison.cautions:
        console.print(Text(caution, "yellow"), soft_wrap=True)
    console.print(Text(str(page)), soft_wrap=True)
