"""`Fault`: one thing that is wrong with a state folder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

Mend: TypeAlias = Callable[[], str]
"""Mends a fault, and returns what was done, in words."""

FIX = "tuning doctor --fix"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        name: Of the line that `doctor` prints.
        found: What is wrong.
        advice: What to do; of what can be mended what `--fix` does.
        mend: None: nobody but the user can decide what is right.
    """

    name: str
    found: str
    advice: str
    mend: Mend | None = None
