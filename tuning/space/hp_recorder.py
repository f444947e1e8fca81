"""`HpRecorder`: stands for KerasTuner's `HyperParameters` in a builder `build_model(hp)`."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from tuning.space.domains import Choice, Conditions, Domain, Float, Int
from tuning.space.recorder import Recorder, Request, choice_of, original
from tuning.trial import Params

_REVERSE_LOG = "sampling='reverse_log' is searched evenly"


class HpRecorder(Recorder):
    """Answers as `HyperParameters` does: the methods have its names, arguments and results.

    Source: KerasTuner 1.4.8, `HyperParameters`.
    """

    def __init__(
        self,
        values: Params = MappingProxyType({}),
        *,
        fixed: Params = MappingProxyType({}),
        exploring: bool = False,
    ) -> None:
        super().__init__(values, fixed=fixed, exploring=exploring)
        self._name_scopes: list[str] = []
        self._conditions: list[tuple[str, tuple[Any, ...]]] = []
        self._inactive: set[str] = set()

    @property
    def values(self) -> dict[str, Any]:
        """The values told so far, by name."""
        return self.answers

    def Int(  # noqa: N802 - KerasTuner's name and arguments
        self,
        name: str,
        min_value: int,
        max_value: int,
        *positional: Any,
        **settings: Any,
    ) -> Any:
        """Return a whole number from `min_value` to `max_value`, both included."""
        given = _numeric_settings(positional, settings)
        domain = _int_domain(int(min_value), int(max_value), given)
        default = min_value if given.get("default") is None else given["default"]
        return self._ask(name, domain, int(default), given)

    def Float(  # noqa: N802
        self,
        name: str,
        min_value: float,
        max_value: float,
        *positional: Any,
        **settings: Any,
    ) -> Any:
        """Return a number from `min_value` to `max_value`."""
        given = _numeric_settings(positional, settings)
        domain = _float_domain(float(min_value), float(max_value), given)
        default = min_value if given.get("default") is None else given["default"]
        return self._ask(name, domain, float(default), given)

    def Choice(  # noqa: N802
        self,
        name: str,
        values: Sequence[Any],
        ordered: bool | None = None,
        default: Any = None,
        **scope: Any,
    ) -> Any:
        """Return one of `values`."""
        listed = list(values)
        domain = choice_of(listed)
        begin = domain.cut()[0] if default is None else default
        answer = self._ask(name, domain, begin, {"default": default, **scope})
        return None if answer is None else original(listed, answer)

    def Boolean(self, name: str, default: bool = False, **scope: Any) -> Any:  # noqa: N802
        """Return True or False."""
        # What is not named is False, which says nothing of where to begin.
        named = True if default else None
        return self._ask(name, Choice(False, True), default, {"default": named, **scope})

    def Fixed(self, name: str, value: Any, **scope: Any) -> Any:  # noqa: N802
        """Return `value`, which is no parameter of the search."""
        full = self._get_name(name)
        with self._scope(scope.get("parent_name"), scope.get("parent_values")):
            if not self._is_active(tuple(self._conditions)):
                self._inactive.add(full)
                return None
            return self.answers.setdefault(full, value)

    def get(self, name: str) -> Any:
        """Return the value of a parameter that was asked for before.

        Raises:
            ValueError: It does not exist under the values told.
            KeyError: Nothing of this name was asked for.
        """
        full = self._get_name(name)
        if full in self.answers:
            return self.answers[full]
        if full in self._inactive:
            raise ValueError(f"{full} is currently inactive.")
        raise KeyError(f"{full} does not exist.")

    def __getitem__(self, name: str) -> Any:
        return self.get(name)

    def __contains__(self, name: str) -> bool:
        return self._get_name(name) in self.answers

    @contextlib.contextmanager
    def name_scope(self, name: str) -> Iterator[None]:
        """Put `name/` before the names of what is asked for within."""
        self._name_scopes.append(name)
        try:
            yield
        finally:
            self._name_scopes.pop()

    @contextlib.contextmanager
    def conditional_scope(self, parent_name: str, parent_values: Any) -> Iterator[None]:
        """Let what is asked for within exist where the parent has one of the values; else None.

        Raises:
            ValueError: The parent was not asked for before.
        """
        full = self._get_name(parent_name)
        if full not in self.answers and full not in self._inactive:
            raise ValueError(f"`HyperParameter` named: {full} not defined.")
        listed = parent_values if isinstance(parent_values, list | tuple) else [parent_values]
        self._conditions.append((full, tuple(listed)))
        try:
            yield
        finally:
            self._conditions.pop()

    def copy(self) -> HpRecorder:
        """Return one whose requests are no parameters: what it is asked for has its default."""
        return HpRecorder(dict(self.answers), exploring=True)

    def is_active(self, hyperparameter: Any) -> bool:
        """Whether a parameter exists under the values told."""
        return str(getattr(hyperparameter, "name", hyperparameter)) in self.answers

    def _ask(self, name: str, domain: Domain, default: Any, given: dict[str, Any]) -> Any:
        full = self._get_name(name)
        with self._scope(given.get("parent_name"), given.get("parent_values")):
            conditions = tuple(self._conditions)
            if not self._is_active(conditions):
                self._inactive.add(full)
                return None
            return self.answer(
                Request(
                    name=full,
                    domain=domain,
                    default=default,
                    is_named=given.get("default") is not None,
                    conditions=self._searched(conditions),
                    note=_REVERSE_LOG if given.get("sampling") == "reverse_log" else "",
                )
            )

    def _scope(self, parent: str | None, values: Any) -> contextlib.AbstractContextManager[None]:
        if parent is None:
            return contextlib.nullcontext()
        return self.conditional_scope(parent, values)

    def _is_active(self, conditions: Conditions) -> bool:
        return all(
            parent in self.answers and self.answers[parent] in values
            for parent, values in conditions
        )

    def _searched(self, conditions: Conditions) -> Conditions:
        """Return those conditions whose parents are parameters, not fixed values."""
        return tuple(each for each in conditions if each[0] in self.requests)

    def _get_name(self, name: str) -> str:
        return "/".join([*self._name_scopes, str(name)])


def _numeric_settings(positional: tuple[Any, ...], settings: dict[str, Any]) -> dict[str, Any]:
    """Return what is given besides the bounds, by KerasTuner's names."""
    names = ("step", "sampling", "default", "parent_name", "parent_values")
    given = {**dict(zip(names, positional, strict=False)), **settings}
    given["sampling"] = str(given.get("sampling") or "linear").lower()
    return given


def _int_domain(low: int, high: int, given: dict[str, Any]) -> Domain:
    step = given.get("step")
    if given["sampling"] == "linear":
        return Int(low, high, step=1 if step is None else int(step))
    if step is not None:
        return Choice(*sorted({round(value) for value in _multiplied(low, high, step, given)}))
    return Int(low, high, log=given["sampling"] == "log")


def _float_domain(low: float, high: float, given: dict[str, Any]) -> Domain:
    step = given.get("step")
    if given["sampling"] == "linear":
        return Float(low, high, step=None if step is None else float(step))
    if step is not None:
        return Choice(*_multiplied(low, high, step, given))
    return Float(low, high, log=given["sampling"] == "log")


def _multiplied(low: float, high: float, step: float, given: dict[str, Any]) -> list[float]:
    """Return the values of a stepped log range: each is `step` times the one before."""
    n_values = int(math.log(high / low, step) + 1e-8) + 1
    rising = [float(np.round(low * step**number, 12)) for number in range(n_values)]
    if given["sampling"] == "log":
        return rising
    return sorted(float(np.round(high + low - value, 12)) for value in rising)
