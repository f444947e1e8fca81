"""`tuning show`: a search or one of its trials, from the ledger alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from tuning.cli.common.home import as_json, home

if TYPE_CHECKING:
    from pathlib import Path

    from tuning.ledger.search import SearchFiles
    from tuning.ledger.view.search_view import SearchView


@click.command("show")
@click.argument("search", required=False)
@click.argument("trial", type=click.IntRange(0), required=False)
@click.option("--follow", is_flag=True, help="A running search, shown until it ends.")
@click.option(
    "--best",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="The number of best trials to list.",
)
@home
@as_json
def show(
    search: str | None, trial: int | None, *, follow: bool, best: int, home: Path, as_json: bool
) -> None:
    """Show SEARCH, or its TRIAL: the best trials, the winner, curves, what to do next.

    A SEARCH is STUDY/KEY (its folder under the ledger), its id, a path, or a study that has one
    search. Without one all searches are listed. Nothing is trained, nothing is changed.

    \b
    Examples:
      python -m tuning show
      python -m tuning show housing
      python -m tuning show housing/optuna-tpe 7
      python -m tuning show housing --follow
    """
    from tuning.errors import StudyError
    from tuning.ledger.catalog import find

    home = home.absolute()
    if follow and (search is None or trial is not None or as_json):
        raise StudyError("--follow takes a SEARCH, and neither a TRIAL nor --json")
    several = _several(home, search)
    if several is not None:
        if trial is None and not follow:
            _list(several, home, as_json=as_json)
            return
        search = search or ""
    files = find(home, search or "")
    if follow:
        from tuning.cli.searches.follow import follow_search

        follow_search(files, best=best)
    else:
        _show(files, trial, best=best, as_json=as_json)


def _several(home: Path, search: str | None) -> list[SearchFiles] | None:
    """Return the searches to list: all, or those of a study that has several; None: show one."""
    from tuning.ledger.catalog import searches

    if search is None:
        return list(searches(home))
    of_study = [files for files in searches(home) if files.folder.parent.name == search]
    return of_study if len(of_study) > 1 else None


def _list(several: list[SearchFiles], home: Path, *, as_json: bool) -> None:
    from tuning.cli.searches.listing import print_searches

    print_searches(several, home, as_json=as_json)


def _show(files: SearchFiles, trial: int | None, *, best: int, as_json: bool) -> None:
    from tuning.ledger.view.search_view import SearchReader

    view = SearchReader(files).read()
    if trial is not None:
        _show_trial(view, trial, as_json=as_json)
        return

    from tuning.cli.searches.terminal import steps_of, terminal
    from tuning.reports.shown.search_page import print_parts, search_json, search_parts

    if as_json:
        click.echo(json.dumps(search_json(view, steps_of(view))))
        return
    console = terminal()
    parts = search_parts(view, steps_of(view), width=console.width, best=best)
    print_parts(console, parts)


def _show_trial(view: SearchView, number: int, *, as_json: bool) -> None:
    from tuning.cli.searches.terminal import terminal
    from tuning.reports.shown.search_page import print_parts
    from tuning.reports.shown.trial_page import trial_json, trial_parts

    trial = view.trial(number)
    if as_json:
        click.echo(json.dumps(trial_json(view, trial)))
        return
    console = terminal()
    print_parts(console, trial_parts(view, trial, width=console.width))
