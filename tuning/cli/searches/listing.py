"""`tuning list --searches`, and `tuning show` without a search: all searches, a line each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from tuning.ledger.search import SearchFiles


def print_searches(searches: Sequence[SearchFiles], home: Path, *, as_json: bool) -> None:
    """Print searches in their order.

    Args:
        searches: Their files.
        home: The state folder, for the words where there are none.
        as_json: A JSON list instead of a table.
    """
    from tuning.cli.searches.terminal import terminal
    from tuning.reports.shown.rows import rows_of, table_of

    rows = rows_of(searches)
    if as_json:
        click.echo(json.dumps([row.to_json() for row in rows]))
    elif rows:
        terminal().print(table_of(rows))
    else:
        click.echo(f"no searches in {home / 'ledger'} yet; run one: python -m tuning run STUDY")
