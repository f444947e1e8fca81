"""Whether a command's search has probably ended, found out in milliseconds.

Looked at before anything is started: an ended search needs neither TensorFlow nor an engine. It is
a guess that decides what is started first, nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tuning.errors import DamagedFileError, StudyError
from tuning.schema import WRONG_SHAPE
from tuning.storage.durable import load_json, read_json
from tuning.study.study import Study
from tuning.study.study_file import find_study

ENDS = ("completed", "exhausted")
"""How a search ends that has nothing left to do under its budget."""


def has_likely_ended(
    study: Study | str | Path,
    home: Path,
    *,
    variant: Mapping[str, Any],
    budget: Mapping[str, Any],
) -> bool:
    """Return whether a search of this study, with these changes and this budget, has ended.

    Args:
        study: As `run_study` is given it.
        home: The state folder; it need not be there.
        variant, budget: As in `RunOptions`.
    """
    wanted = _wanted(study)
    return any(
        _is_of(path.parent, wanted, variant, budget) for path in home.glob("ledger/*/*/status.json")
    )


def _wanted(study: Study | str | Path) -> tuple[str, str]:
    """Return the key of `search.json` that tells whether a search is of a study, and its value."""
    if not isinstance(study, str | Path):
        return "study", study.name
    try:
        return "study_file", str(find_study(str(study)))
    except StudyError:  # told by whoever looks for it next
        return "study_file", str(study)


def _is_of(
    folder: Path, wanted: tuple[str, str], variant: Mapping[str, Any], budget: Mapping[str, Any]
) -> bool:
    try:
        status = read_json(folder / "status.json")
        header = load_json(folder / "search.json")
        if status is None or header is None or status["status"] not in ENDS:
            return False
        name, value = wanted
        n_trials = budget.get("trials", header["trials"])
        is_same = _but_budget(header["variant"]) == _but_budget(variant)
        return bool(header[name] == value and is_same and header["trials"] == n_trials)
    except (DamagedFileError, *WRONG_SHAPE):
        return False


def _but_budget(variant: Mapping[str, Any]) -> str:
    """Return a text of what was changed of a study; the trials are compared for themselves."""
    rest = {name: value for name, value in variant.items() if name != "trials"}
    return json.dumps(rest, sort_keys=True, default=repr)
