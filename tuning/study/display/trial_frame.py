"""The trials of a search as a DataFrame."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from tuning.trial import Proposal, TrialResult

if TYPE_CHECKING:
    from pandas import DataFrame

_OF_A_TRIAL = ("status", "trained_epochs", "seconds")


def trial_frame(trials: Iterable[tuple[Proposal, TrialResult]], metric: str) -> DataFrame:
    """Return a row for each trial, indexed by its number.

    Args:
        trials: In the order of the rows.
        metric: The objective's name: a column also where no trial has a value.
    """
    import pandas as pd

    pairs = list(trials)
    metrics = dict.fromkeys([metric, *(name for _, result in pairs for name in result.metrics)])
    taken = {*metrics, *_OF_A_TRIAL}
    params = dict.fromkeys(name for proposal, _ in pairs for name in proposal.params)
    columns = {name: f"params.{name}" if name in taken else name for name in params}

    rows: list[dict[str, Any]] = []
    for proposal, result in pairs:
        row = {column: proposal.params.get(name) for name, column in columns.items()}
        row |= {name: result.metrics.get(name) for name in metrics}
        row[metric] = result.value
        row |= {"status": result.status.value, "trained_epochs": result.epochs}
        row["seconds"] = result.seconds
        rows.append(row)
    index = pd.Index([result.number for _, result in pairs], name="trial")
    return pd.DataFrame(rows, index=index, columns=[*columns.values(), *metrics, *_OF_A_TRIAL])
