"""The files of a trial that has ended: `result.json`, and in a benchmark `test.json`.

The first is written once, by the trial's worker. The second lies beside it and not in it because
engines are told whole results: what steers a search must not hold the score on the test part.
"""

from __future__ import annotations

import math
from pathlib import Path

from tuning.schema import check_schema, refuse_damaged
from tuning.storage.durable import read_json, write_json
from tuning.trial import TrialResult


def keep_result(folder: Path, result: TrialResult) -> TrialResult:
    """Write `result.json` into a trial's folder, never over one that is whole.

    Returns:
        What the file holds now.
    """
    known = read_result(folder)
    if known is not None:
        return known
    write_json(folder / "result.json", result.to_json())
    return result


def read_result(folder: Path) -> TrialResult | None:
    """Return the result kept in a trial's folder; a torn file counts as none."""
    path = folder / "result.json"
    stored = read_json(path)
    if stored is None:
        return None
    with refuse_damaged(path):
        check_schema(stored, path)
        return TrialResult.from_json(stored)


def keep_test_score(folder: Path, metric: str, value: float) -> None:
    """Write the score of a trial's kept weights on the test part."""
    write_json(folder / "test.json", {metric: value})


def read_test_score(folder: Path) -> float | None:
    """Return the score on the test part kept in a trial's folder; None where there is none.

    A score that is not finite is none.
    """
    stored = read_json(folder / "test.json")
    if stored is None:
        return None
    (score,) = stored.values()
    value = float(score)
    return value if math.isfinite(value) else None
