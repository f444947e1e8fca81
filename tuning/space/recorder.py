"""`Recorder`: answers a builder's requests for parameters and writes down what was asked for.

A builder of another library's (`build(hp)`, `build(trial)`) says its space by asking. It is given a
recorder in the place of that library's object: without values it answers with defaults, with a
point of the space it answers with that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from tuning.space.domains import Choice, Conditions, Domain
from tuning.trial import Params


@dataclass(frozen=True, kw_only=True)
class Request:
    """One parameter that a builder asked for.

    Attributes:
        name: As the builder calls it, with the scopes around it.
        domain: Without conditions.
        default: The answer where nothing else is known.
        is_named: The builder says the default itself, and so where a search should begin.
        conditions: Of the scopes around it.
        note: What of the request the domain cannot say; "": nothing.
    """

    name: str
    domain: Domain
    default: Any
    is_named: bool = False
    conditions: Conditions = ()
    note: str = ""


class Recorder:
    """What both libraries' recorders share.

    Args:
        values: Answers by name. While a space is explored one that the domain of the request does
            not hold is passed over.
        fixed: Answers that are no parameters of the search.
        exploring: Whether the space is being discovered; else `values` are a point of it.
    """

    def __init__(
        self,
        values: Params = MappingProxyType({}),
        *,
        fixed: Params = MappingProxyType({}),
        exploring: bool = False,
    ) -> None:
        self.requests: dict[str, Request] = {}
        """The first request for each parameter, in order."""
        self.answers: dict[str, Any] = {}
        """Every value that the builder has been told."""
        self.undiscovered: dict[str, Any] = {}
        """The defaults of what was asked for in a search without being in its space."""
        self.fit_changes: frozenset[str] = frozenset()
        """What a `HyperModel.fit` changes of the training besides parameters of these names."""
        self.own_fit = ""
        """Why a `HyperModel.fit` must be carried out as it is, in words; "": it need not."""
        self._values: Mapping[str, Any] = values
        self._fixed: Mapping[str, Any] = fixed
        self._exploring = exploring

    def answer(self, request: Request) -> Any:
        """Return the value of a parameter; the same for every request of one run."""
        name = request.name
        if name in self.answers:
            return self.answers[name]

        if name in self._fixed:
            value = self._fixed[name]
        else:
            self.requests[name] = request
            value = self._value(request)
        self.answers[name] = value
        return value

    def _value(self, request: Request) -> Any:
        name = request.name
        if self._exploring:
            is_told = name in self._values and request.domain.contains(self._values[name])
            return self._values[name] if is_told else request.default

        if name in self._values:
            return self._values[name]
        self.undiscovered[name] = request.default
        return request.default


def choice_of(values: list[Any]) -> Choice:
    """Return a choice of any objects: what is no plain value goes by its name.

    Values that are equal are one.
    """
    plain = [_plain(value) for value in values]
    different: list[Any] = []
    for value in plain:
        if not Choice(*different).contains(value):
            different.append(value)
    return Choice(*different)


def original(values: list[Any], value: Any) -> Any:
    """Return the object that a value of `choice_of(values)` stands for."""
    for candidate in values:
        if Choice(_plain(candidate)).contains(value):
            return candidate
    return value  # one of the user's own, from a space that was given besides


def _plain(value: Any) -> Any:
    if hasattr(value, "item") and not isinstance(value, str | bytes):
        value = value.item()  # NumPy's numbers
    if isinstance(value, list | tuple):
        return tuple(map(_plain, value))
    if value is None or isinstance(value, str | int | float):
        return value
    return str(getattr(value, "__name__", None) or repr(value).partition(" at 0x")[0])
