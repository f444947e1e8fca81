"""`tuning predict`: the answers of a search's winner for new rows, as CSV."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tuning.cli.common.home import home

if TYPE_CHECKING:
    from tuning.winners.winner import Winner


@click.command("predict")
@click.argument("search")
@click.argument("rows", type=click.Path(path_type=Path))
@click.option(
    "--proba",
    is_flag=True,
    help="The probability of each class instead of the most probable one.",
)
@home
def predict(search: str, rows: Path, *, proba: bool, home: Path) -> None:
    """Print what the winner of SEARCH predicts for each of ROWS, as CSV.

    ROWS is a table (CSV or Parquet) with the columns that were searched, in any order and beside
    others, or an array (.npy) of shape (rows, columns). A SEARCH is named as in `tuning show`.

    \b
    Examples:
      python -m tuning predict housing rows.csv > out.csv
      python -m tuning predict churn/optuna-tpe rows.csv --proba
    """
    from tuning.winners.winner import load_winner

    # Before TensorFlow is imported: what it says at its start is of no use here.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    winner = load_winner(search, home=home)
    table = _read(rows)
    answers = winner.predict_proba(table) if proba else winner.predict(table)
    _frame(winner, answers, proba=proba).to_csv(sys.stdout, index=False, lineterminator="\n")


def _read(path: Path) -> Any:
    """Return the rows of a file; what was guessed of a table is said on stderr."""
    if path.suffix == ".npy":
        return _array(path)

    from tuning.data.tables.files import read_table
    from tuning.data.tables.options import NO_OPTIONS, Notices

    notices = Notices()
    frame = read_table(path, NO_OPTIONS, notices)
    for notice in notices.texts:
        click.echo(notice, err=True)
    return frame


def _array(path: Path) -> Any:
    import numpy as np

    from tuning.errors import StudyError

    try:
        # Without pickles: they are code.
        return np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise StudyError(f"it cannot be read: {error}", where=f"array '{path}'") from error


def _frame(winner: Winner, answers: Any, *, proba: bool) -> Any:
    """Return a DataFrame of the answers: a column for each output and class."""
    import pandas as pd

    by_name = answers if isinstance(answers, dict) else {"": answers}
    columns: dict[str, Any] = {}
    for name, array in by_name.items():
        columns |= _columns(winner, name, array, proba=proba)
    return pd.DataFrame(columns)


def _columns(winner: Winner, name: str, array: Any, *, proba: bool) -> dict[str, Any]:
    from tuning.errors import StudyError

    called = ("probability" if proba else "prediction") + (f"_{name}" if name else "")
    if array.ndim == 1:
        return {called: array}
    if array.ndim > 2:
        raise StudyError(
            f"{winner.search} predicts {array.shape[1:]} numbers a row, which is no table; take "
            "tuning.load_winner in Python"
        )
    n_columns = array.shape[1]
    names = winner.classes if len(winner.classes) == n_columns and not name else range(n_columns)
    return {f"{called}_{each}": array[:, place] for place, each in enumerate(names)}
