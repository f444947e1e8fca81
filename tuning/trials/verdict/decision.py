"""From which probability on a saved winner says "yes": kept beside it, applied for its reader."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tuning.data.arrays import Array
from tuning.errors import StudyError
from tuning.schema import SCHEMA, Json, number
from tuning.storage.checked import load_checked
from tuning.storage.durable import write_json


def keep_threshold(path: Path, threshold: float | None, classes: tuple[str, ...] = ()) -> None:
    """Keep a threshold, and the classes it parts, as JSON beside the model saved at `path`.

    None: there is none, and that of another winner that was saved here before is dropped.
    """
    if threshold is None:
        _beside(path).unlink(missing_ok=True)
        return
    write_json(
        _beside(path),
        {"schema": SCHEMA, "threshold": float(threshold), "classes": list(classes)},
    )


def threshold_of(path: Path | str) -> float | None:
    """Return the threshold of the model saved at `path`; None where it has none: above 0.5."""
    kept = load_checked(_beside(path), _Kept.of)
    return None if kept is None else kept.threshold


class _Kept(NamedTuple):
    """What `keep_threshold` wrote."""

    threshold: float
    classes: list[Any]

    @classmethod
    def of(cls, stored: Json) -> _Kept:
        return cls(number(stored["threshold"]), list(stored.get("classes") or ()))


def classes_of(path: Path | str, probabilities: Any) -> Array:
    """Return the class of each row, as the winner was scored on the test part.

    Args:
        path: The `.keras` file; its threshold stands in a JSON file beside it.
        probabilities: Of the second of two classes, `(rows,)` or `(rows, 1)`, or `(rows, 2)` of
            both: what the model predicts, after its sigmoid or softmax.

    Returns:
        Names of the classes where they are known, else 0 and 1; `(rows,)`.

    Raises:
        StudyError: There are more than two columns, or logits in place of probabilities.
    """
    chances = np.asarray(probabilities, dtype=float)
    chances = chances.reshape(len(chances), -1)
    if chances.shape[1] > 2:
        raise StudyError(
            f"a threshold parts two classes, the probabilities have {chances.shape[1]} columns; "
            "take the argmax of each row"
        )
    if chances.size and not 0 <= chances.min() <= chances.max() <= 1:
        raise StudyError(
            f"probabilities lie between 0 and 1, received {chances.min():g} to {chances.max():g}: "
            "apply the sigmoid of the model's loss (from_logits) first"
        )

    kept = load_checked(_beside(path), _Kept.of)
    threshold = None if kept is None else kept.threshold
    of_second = chances[:, -1]
    numbers = (of_second > 0.5 if threshold is None else of_second >= threshold).astype(int)
    names = [] if kept is None else kept.classes
    return np.asarray(names)[numbers] if len(names) == 2 else numbers


def _beside(path: Path | str) -> Path:
    return Path(path).with_suffix(".threshold.json")
