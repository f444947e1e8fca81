"""What a result is of: digests of asks and of finalists, as their files have them.

A result lies beside its ask, but files can be lost, put back from a copy or mixed up. So it carries
the digest of its ask, and whoever reads it compares.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import blake2b
from pathlib import Path
from typing import Any

from tuning.schema import Json
from tuning.storage.durable import read_json
from tuning.trial import Params

_AS_THEY_ARE = frozenset({str, int, bool, type(None)})
_OF_AN_ASK = ("number", "params", "epochs", "parent", "continued", "study")


def ask_digest(stored: Json) -> str:
    """Return the digest of an ask, 32 hex digits.

    Args:
        stored: `Proposal.to_json()`, or what `spec.json` holds: both have the same digest.
    """
    return _digest([stored.get(name) for name in _OF_AN_ASK])


def stored_digest(folder: Path) -> str:
    """Return the digest of the ask that lies in a trial's folder; "" where none does."""
    stored = read_json(folder / "spec.json")
    return ask_digest(stored) if isinstance(stored, dict) else ""


def finalist_digest(params: Params, epochs: int, pinned: str) -> str:
    """Return the digest of what a finalist is trained with, 32 hex digits.

    Args:
        params: In their own types, or as JSON has them.
        epochs: That it is trained for.
        pinned: `StudyInfo.pinned`.
    """
    return _digest([params, epochs, pinned])


def score_digest(ask: str, metric: str, value: float) -> str:
    """Return the digest of a trial's score on the test part, 32 hex digits.

    Args:
        ask: `Proposal.digest` of what was scored.
        metric: Its name.
        value: The score.
    """
    return _digest([ask, metric, value])


def evaluation_digest(finalist: str, seed: int) -> str:
    """Return the digest of what a winner's evaluation is of, 32 hex digits.

    Args:
        finalist: `finalist_digest` of the winner.
        seed: It is trained on.
    """
    return _digest([finalist, seed])


def range_tests_digest(study: str, definition: Json, parameter: str) -> str:
    """Return the digest of what a learning rate's range tests are of, 32 hex digits.

    Args:
        study: Its name.
        definition: Of the study whose rates were tested, as a file has it.
        parameter: The learning rate.
    """
    return _digest([study, definition, parameter])


def _digest(value: Any) -> str:
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    """Return a value so that it is the same before and after its way through a JSON file."""
    if type(value) in _AS_THEY_ARE:
        return value
    if hasattr(value, "item"):
        value = value.item()  # NumPy's own
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        if not math.isfinite(value):
            return str(value)
        return int(value) if value.is_integer() else value
    if value is None or isinstance(value, str | int):
        return value
    return repr(value)
