"""What the verbs of this room print on, and what they say comes next."""

from __future__ import annotations

import os
from typing import Any

import click
from rich.console import Console

from tuning.ledger.view.search_view import SearchView
from tuning.reports.shown.commands import Step, next_steps

_WIDTH_OF_PIPES = 120


def terminal(**settings: Any) -> Console:
    """Return stdout as Rich sees it; in a pipe it is 120 characters wide."""
    console = Console(**settings)
    if console.is_terminal or "COLUMNS" in os.environ:
        return console
    return Console(width=_WIDTH_OF_PIPES, **settings)


def steps_of(view: SearchView) -> list[Step]:
    """Return what to do next with a search, by the verbs that the command line has."""
    context = click.get_current_context(silent=True)
    root = None if context is None else context.find_root()
    if root is None or not isinstance(root.command, click.Group):
        return next_steps(view, ())
    return next_steps(view, root.command.list_commands(root))
