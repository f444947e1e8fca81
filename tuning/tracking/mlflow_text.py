"""What MLflow accepts as names and values; no call to MLflow is made here."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tuning.storage.secrets import without_secrets as without_secrets

_UNFIT = re.compile(r"[^\w\-./ :]")  # what MLflow refuses in names
_NAME_LIMIT = 250
_VALUE_LIMIT = 5000


def name_of(name: str) -> str:
    """Return a name of a parameter, metric or tag as MLflow takes it."""
    return _UNFIT.sub("_", name)[:_NAME_LIMIT]


def text_of(value: object, limit: int = _VALUE_LIMIT) -> str:
    """Return a value as MLflow stores it: text without secrets, cut at `limit` characters."""
    text = without_secrets(str(value))
    if len(text) <= limit:
        return text
    return text[: limit - 1] + "…"


def texts(values: Mapping[str, object]) -> dict[str, str]:
    """Return names and values that MLflow accepts."""
    return {name_of(name): text_of(value) for name, value in values.items()}


def milliseconds(seconds: float) -> int:
    """Return MLflow's unit of time."""
    return round(seconds * 1000)
