"""Which arguments a builder takes, and where each of them comes from."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

Builder: TypeAlias = Callable[..., Any]

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
FIT_PARAMETERS = ("batch_size",)
"""Parameters of the training, which a builder need not take."""
FROM_DATA = ("input_shape", "task", "n_outputs")
"""Builder arguments that are filled in from the data."""
SCIKERAS = ("meta", "compile_kwargs")
"""Arguments that SciKeras fills, and a study too: facts of the data, and nothing on compiling."""


class SplitParams(NamedTuple):
    """A point of the space, by who takes which of its values.

    Attributes:
        builder: The builder's keyword arguments.
        fit: The settings of the training: `batch_size`.
        data: The data function's keyword arguments.
    """

    builder: dict[str, Any]
    fit: dict[str, Any]
    data: dict[str, Any]

    @property
    def batch_size(self) -> int:
        """Rows a step."""
        return int(self.fit["batch_size"])


class NamesTaken(NamedTuple):
    """What a builder takes by name: `names`, and with `**kwargs` any other."""

    names: frozenset[str]
    any_name: bool

    def takes(self, name: str) -> bool:
        """Whether a parameter of this name is an argument; a fit setting only where it is named."""
        return name in self.names or (self.any_name and name not in FIT_PARAMETERS)


def names_taken(builder: Builder) -> NamesTaken:
    """Return the names of the arguments that a builder takes by name."""
    parameters = inspect.signature(builder).parameters.values()
    names = {
        parameter.name
        for parameter in parameters
        if parameter.kind is not parameter.POSITIONAL_ONLY
    }
    # One that asks for its parameters may ask for these too.
    if getattr(builder, "asks_for_parameters", False):
        names.update(FIT_PARAMETERS)
    return NamesTaken(
        names=frozenset(names),
        any_name=any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters),
    )


def data_names(data: Callable[..., Any]) -> frozenset[str]:
    """Return the names of the arguments that a data function names."""
    try:
        parameters = inspect.signature(data).parameters.values()
    except (TypeError, ValueError):  # a builtin has no signature
        return frozenset()
    return frozenset(parameter.name for parameter in parameters if parameter.kind in _BY_NAME)


def names_needed(builder: Builder) -> list[str]:
    """Return the names of a function's arguments that have no default, in their order."""
    return [
        parameter.name
        for parameter in inspect.signature(builder).parameters.values()
        if parameter.kind in _BY_NAME and parameter.default is parameter.empty
    ]
