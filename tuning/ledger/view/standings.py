"""How the best trials have done on fresh seeds so far, read from the files of the finalists."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tuning.ledger.search import SearchFiles
from tuning.ledger.stamps import numbered
from tuning.ledger.winner import FinalistOutcome, Standing, WinnerRecord
from tuning.trial import Params


@dataclass(frozen=True, kw_only=True)
class FinalistView:
    """One of the best trials, as far as it has been trained on fresh seeds.

    Attributes:
        number: The trial.
        params: Its parameters.
        seeds: The fresh seeds that it has been trained on.
        values: The objective on each; None where training diverged or failed.
    """

    number: int
    params: Params
    seeds: tuple[int | None, ...]
    values: tuple[float | None, ...]

    @property
    def mean(self) -> float | None:
        """The mean over the seeds so far; None where there is none, or one has no value."""
        values = [value for value in self.values if value is not None]
        if not values or len(values) < len(self.values):
            return None
        return statistics.fmean(values)

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over the seeds so far; None for fewer than two."""
        values = [value for value in self.values if value is not None]
        if len(values) < 2 or len(values) < len(self.values):
            return None
        return statistics.stdev(values)


def finalists_of(
    files: SearchFiles, winner: WinnerRecord | None, params_of: Mapping[int, Params]
) -> tuple[FinalistView, ...]:
    """Return the finalists of a search, in the order of the ranking where that is known.

    Args:
        files: Of the search.
        winner: Knows all that were trained; None: those whose files are there.
        params_of: By number the parameters of each trial.
    """
    if winner is not None:
        return tuple(_of_standing(standing) for standing in winner.finalists)
    folder = files.folder / "finalists"
    finalists = (
        _so_far(files, folder, int(name), params_of.get(int(name), {})) for name in numbered(folder)
    )
    return tuple(finalist for finalist in finalists if finalist is not None)


def _of_standing(standing: Standing) -> FinalistView:
    return FinalistView(
        number=standing.number,
        params=standing.params,
        seeds=standing.seeds,
        values=standing.values,
    )


def _so_far(files: SearchFiles, folder: Path, number: int, params: Params) -> FinalistView | None:
    """Return what the files of one finalist say; None where none of its seeds has ended."""
    outcomes = _outcomes(files, folder / f"{number:05d}", number)
    if not outcomes:
        return None
    return FinalistView(
        number=number,
        params=params,
        seeds=tuple(outcome.seed for outcome in outcomes),
        values=tuple(outcome.value for outcome in outcomes),
    )


def _outcomes(files: SearchFiles, folder: Path, number: int) -> list[FinalistOutcome]:
    # With `--cv` the folds lie a folder deeper; the mean over them is written when all are there.
    indices = sorted(int(path.stem) for path in folder.glob("*.json") if path.stem.isdecimal())
    outcomes = (files.finalist(number, index) for index in indices)
    return [outcome for outcome in outcomes if outcome is not None]
