"""`Work`: what a job says of itself so that its place can be planned."""

from __future__ import annotations

from dataclasses import dataclass

from tuning.trial import Params


@dataclass(frozen=True, kw_only=True)
class Work:
    """What the cost of a job is predicted from.

    Attributes:
        key: The trial: other attempts have the same.
        params: Its parameters.
        epochs: Those that it may train.
        to_come: Trials that come after it; None: nobody knows.
    """

    key: str
    params: Params
    epochs: int
    to_come: int | None = None
