"""`EngineOption`: one setting that an engine's library has, and which values it may have."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tuning.errors import did_you_mean


@dataclass(frozen=True, kw_only=True)
class EngineOption:
    """What a study may give for one name of its `engine_options`.

    Attributes:
        kind: `int`, `float`, `bool` or `str`.
        least, most: Bounds of a number, both included; None: there is none.
        words: What may stand in the place of a number, or the values of a `str`.
    """

    kind: type
    least: float | None = None
    most: float | None = None
    words: tuple[str, ...] = ()

    def takes(self, value: Any) -> bool:
        """Whether a value is one of this setting's."""
        if isinstance(value, str):
            return value in self.words
        if self.kind is bool or isinstance(value, bool):
            return self.kind is bool and isinstance(value, bool)
        if self.kind is str or not isinstance(value, int | float):
            return False
        if self.kind is int and not isinstance(value, int):
            return False
        is_enough = self.least is None or value >= self.least
        return is_enough and math.isfinite(value) and (self.most is None or value <= self.most)

    @property
    def in_words(self) -> str:
        """Which values it takes, for an error."""
        listed = " or ".join(map(repr, self.words))
        if self.kind is bool:
            return "True or False"
        if self.kind is str:
            return listed
        number = "a whole number" if self.kind is int else "a number"
        if self.least is not None and self.most is not None:
            number += f" from {self.least} to {self.most}"
        elif self.least is not None:
            number += f", at least {self.least}"
        return f"{number}, or {listed}" if listed else number


def option_faults(engine: str, known: Mapping[str, EngineOption], values: Any) -> Iterator[str]:
    """Yield one sentence for each setting that the engine does not have, or not with this value.

    Args:
        engine: Its name.
        known: Its settings.
        values: A study's `engine_options`.
    """
    if not isinstance(values, Mapping):
        yield f"engine_options must be a mapping of names to values, got {values!r}"
        return
    listed = f"It has: {', '.join(known)}" if known else "It has none"
    for name, value in values.items():
        option = known.get(name)
        if option is None:
            guess = did_you_mean(str(name), known)
            yield f"engine_options: {engine} has no '{name}'.{guess} {listed}"
        elif not option.takes(value):
            yield f"engine_options: {name} of {engine} must be {option.in_words}, got {value!r}"
