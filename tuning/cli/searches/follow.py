"""`tuning show --follow`: a search that another process runs, until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group
from rich.live import Live

from tuning.cli.searches.terminal import steps_of, terminal
from tuning.ledger.search import SearchFiles
from tuning.ledger.view.search_view import SearchReader, SearchView
from tuning.reports.shown.search_page import headline, print_parts, search_parts
from tuning.reports.texts import first_line, one_line, params_text, score

LOOK_S = 1.0
"""So often the files are looked at: a look at 1,000 trials that have been read takes 15 ms."""


def follow_search(
    files: SearchFiles, *, best: int, sleep: Callable[[float], None] = time.sleep
) -> None:
    """Show a search until no process runs it any more, then what it has come to.

    On a terminal the page is drawn anew each second; elsewhere each trial that ends is a line.

    Args:
        files: Of the search.
        best: How many of the best trials are listed.
        sleep: Waits until the next look.
    """
    reader = SearchReader(files)
    console = terminal()
    if console.is_terminal and not console.is_dumb_terminal:
        view = _on_a_terminal(reader, console, best, sleep)
    else:
        view = _in_lines(reader, console, sleep)
    print_parts(console, search_parts(view, steps_of(view), width=console.width, best=best))


def _on_a_terminal(
    reader: SearchReader, console: Console, best: int, sleep: Callable[[float], None]
) -> SearchView:
    view = reader.read()
    with Live(console=console, auto_refresh=False, transient=True, screen=False) as live:
        while view.running:
            # Without its last section: what to do next is to wait.
            parts = search_parts(view, (), width=console.width, best=best)
            live.update(Group(*parts), refresh=True)
            sleep(LOOK_S)
            view = reader.read()
    return view


def _in_lines(reader: SearchReader, console: Console, sleep: Callable[[float], None]) -> SearchView:
    view = reader.read()
    if view.running:
        console.print(headline(view), soft_wrap=True, end="")
    known = {result.number for _, result in view.ended}
    while view.running:
        sleep(LOOK_S)
        view = reader.read()
        for proposal, result in view.ended:
            if result.number in known:
                continue
            known.add(result.number)
            value = first_line(result.error) or f"{view.objective.metric} {score(result.value)}"
            text = f"trial {result.number} {result.status.value}: {value}"
            line = one_line(f"{text} · {params_text(proposal.params)}")
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    return view
