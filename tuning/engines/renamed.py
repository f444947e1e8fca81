"""`Renamed`: a builder whose parameters go by other names where an engine's library needs that."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from tuning.study.builder_arguments import Builder


class Renamed:
    """Calls a builder with the users' names in the place of an engine's.

    Args:
        builder: Takes the users' names.
        outer: The user's name of each of the engine's.
    """

    def __init__(self, builder: Builder, outer: Mapping[str, str]) -> None:
        self.inner = builder
        self.asks_for_parameters = bool(getattr(builder, "asks_for_parameters", False))
        self.__name__ = str(getattr(builder, "__name__", type(builder).__name__))
        self.__qualname__ = self.__name__
        self.__module__ = str(getattr(builder, "__module__", type(builder).__module__))
        self.__doc__ = inspect.getdoc(builder)
        self._outer = dict(outer)

    def __call__(self, **values: Any) -> Any:
        """Return what the builder returns at a point under the engine's names."""
        return self.inner(**{self._outer.get(name, name): value for name, value in values.items()})

    @property
    def notices(self) -> tuple[str, ...]:
        """What the builder wants to say of its last call."""
        return tuple(getattr(self.inner, "notices", ()))

    @property
    def __signature__(self) -> inspect.Signature:
        """The builder's own arguments, and any other name."""
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        named = [
            parameter.replace(kind=parameter.KEYWORD_ONLY)
            for parameter in inspect.signature(self.inner).parameters.values()
            if parameter.kind in kinds
        ]
        point = inspect.Parameter("values", inspect.Parameter.VAR_KEYWORD)
        return inspect.Signature([*named, point])
