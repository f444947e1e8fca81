"""`result.json`: how a trial ended, written once by the worker that trained it and never rewritten."""

from __future__ import annotations

from pathlib import Path

from tuning.durable import read_json, write_json
from tuning.trial import TrialResult


def keep_result(folder: Path, result: TrialResult) -> TrialResult:
    """Write `result.json` into a trial's folder, never over one that is whole; return what is kept."""
    known = read_result(folder)
    if known is None:
        write_json(folder / "result.json", result.to_json())
    return known or result


def read_result(folder: Path) -> TrialResult | None:
    """Return the result kept in a trial's folder; a torn file counts as none."""
    stored = read_json(folder / "result.json")
    return None if stored is None else TrialResult.from_json(stored)
