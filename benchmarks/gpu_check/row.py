"""What a check gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

Figures: TypeAlias = Mapping[str, float | str]
"""By name, with its unit in the name: `epoch_ms`."""


class Verdict(Enum):
    """How a check ended."""

    PASSED = "passed"
    FAILED = "FAILED"
    ABSENT = "not there"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One check.

    Attributes:
        check: What was asked, in a few words.
        verdict: ABSENT where the box lacks what is checked.
        figures: What was measured.
        note: Why it is not passed, or what a reader should know of the figures.
    """

    check: str
    verdict: Verdict
    figures: Figures = field(default_factory=dict)
    note: str = ""

    @classmethod
    def judged(cls, check: str, good: bool, figures: Figures, note: str = "") -> Row:
        """Return a row that is passed where `good`; `note` says what was asked for."""
        verdict = Verdict.PASSED if good else Verdict.FAILED
        return cls(check=check, verdict=verdict, figures=figures, note=note)

    @classmethod
    def absent(cls, check: str, note: str) -> Row:
        """Return a row of what cannot be checked here."""
        return cls(check=check, verdict=Verdict.ABSENT, note=note)
