"""Flat parameters for the estimators: every argument of the builder is one.

Its default is that of the signature. SciKeras wants them repeated to its constructor (scikeras#264)
and says nothing of a misspelt one. Here nothing is stored that the user did not give: what is
absent is looked up in the builder's signature, then in SciKeras'.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, TypeGuard

from tuning.errors import did_you_mean
from tuning.study.builder_arguments import FROM_DATA

SCIKERAS_EXTRAS = ("meta", "compile_kwargs", "params")
"""Arguments that SciKeras fills where a builder names them."""

CALLBACKS = "callbacks"
"""Callbacks are given as classes or objects; `callbacks__monitor` is an argument of a class."""

_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


class Unset(enum.Enum):
    """Stands for a builder argument without default that has not been set yet."""

    REQUIRED = "required"

    def __repr__(self) -> str:
        return "<required>"


def is_builder(builder: Any) -> TypeGuard[Callable[..., Any]]:
    """Whether it is called to build a model: a function, a partial, an object with `__call__`.

    A compiled model can be called too, but is none: neither is a class.
    """
    if not callable(builder) or isinstance(builder, type):
        return False
    return not hasattr(builder, "compile") or not hasattr(builder, "fit")


def builder_defaults(builder: Callable[..., Any] | None) -> dict[str, Any]:
    """Return the arguments a builder takes by name, with defaults.

    `Unset.REQUIRED` stands where it has none. `input_shape`, `task` and `n_outputs` have the
    default None: they are taken from the data in `fit`.
    """
    if not is_builder(builder):
        return {}

    defaults: dict[str, Any] = {}
    for parameter in _signature(builder).parameters.values():
        name = parameter.name
        if parameter.kind not in _BY_NAME or name in SCIKERAS_EXTRAS:
            continue
        if name in FROM_DATA:
            defaults[name] = None
        elif parameter.default is parameter.empty:
            defaults[name] = Unset.REQUIRED
        else:
            defaults[name] = parameter.default
    return defaults


@lru_cache(maxsize=32)
def own_defaults(estimator: Any) -> dict[str, Any]:
    """Return the named constructor arguments of a class and its bases, with defaults.

    The nearest class wins.
    """
    defaults: dict[str, Any] = {}
    for base in estimator.__mro__:
        init = base.__dict__.get("__init__")
        if base is object or not inspect.isfunction(init):
            continue
        for parameter in inspect.signature(init).parameters.values():
            if parameter.name != "self" and parameter.kind in _BY_NAME:
                defaults.setdefault(parameter.name, parameter.default)
    return defaults


def takes_any(builder: Any) -> bool:
    """Whether nothing can be refused: the builder has `**kwargs`, or is not known yet."""
    if getattr(builder, "asks_for_parameters", False):
        return True
    if not is_builder(builder):
        return not callable(builder)
    parameters = _signature(builder).parameters.values()
    return any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def routed_to(destination: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters given as `destination__name`, by that name, and none nested deeper."""
    routed = {}
    for key, value in params.items():
        head, _, name = key.partition("__")
        if head == destination and name and "__" not in name:
            routed[name] = value
    return routed


class BuilderParameters:
    """The parameter half of the estimators; goes before a SciKeras wrapper among the bases."""

    model: Any
    _routing_prefixes: set[str]

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not stored. Names of fitted state must stay absent for hasattr()
        # to work.
        if _is_parameter_name(name):
            defaults = self._defaults()
            if name in defaults:
                return defaults[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def set_params(self, **params: Any) -> Any:
        """Set parameters: builder arguments and fit settings by name, routed ones as `model__x`.

        Raises:
            ValueError: A key that nothing takes; names the nearest valid one. Nothing is set then.
        """
        if "model" in params:
            self._forget_builder(params["model"])
        self._refuse_unknown(params)

        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            head, _, tail = key.partition("__")
            if tail and head not in self._routing_prefixes and head != CALLBACKS:
                nested.setdefault(head, {})[tail] = value
            else:
                setattr(self, key, value)
        for head, inner in nested.items():
            getattr(self, head).set_params(**inner)
        return self

    def _builder(self) -> Callable[..., Any] | None:
        for name in ("model", "build_fn"):  # SciKeras' older name for the same
            stored: Callable[..., Any] | None = self.__dict__.get(name)
            if stored is not None:
                return stored
        return getattr(self, "_keras_build_fn", None)

    def _own(self) -> dict[str, Any]:
        kind: Any = type(self)
        return own_defaults(kind)

    def _defaults(self) -> dict[str, Any]:
        return {**self._own(), **builder_defaults(self._builder())}

    def _get_param_names(self) -> list[str]:
        names = {*self._own(), *builder_defaults(self._builder())}
        any_goes = takes_any(self._builder())
        for name in self.__dict__:
            is_routed = "__" in name and not name.startswith("_")
            if is_routed or (any_goes and _is_parameter_name(name)):
                names.add(name)
        return sorted(names)

    def _forget_builder(self, new: Any) -> None:
        """Take a new builder; drop the old one's defaults, and what the new one does not take."""
        old_defaults = builder_defaults(self._builder())
        names_to_keep = {*builder_defaults(new), *self._own()}
        for name, default in old_defaults.items():
            if name not in self.__dict__:
                continue
            if self.__dict__[name] is default or name not in names_to_keep:
                del self.__dict__[name]
        self.model = new
        self._refuse_unknown(filter(_is_parameter_name, self.__dict__))

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        builder = self._builder()
        for name in self._unknown(names):
            taken = builder_defaults(builder)
            own = self._own()
            label = getattr(builder, "__name__", "the builder")

            raise ValueError(
                f"{type(self).__name__}: nothing takes '{name}'."
                f"{did_you_mean(name, {*taken, *own})} "
                f"{label} takes: {', '.join(taken) or 'nothing'}; "
                f"the estimator takes: {', '.join(sorted(own))}."
            )

    def _unknown(self, names: Iterable[str]) -> Iterator[str]:
        """Yield the names that neither the estimator nor its builder takes, directly or routed."""
        builder = self._builder()
        if takes_any(builder):
            return
        taken = builder_defaults(builder)
        own = self._own()
        for name in names:
            if name not in own and name not in taken and not self._is_routed(name, taken):
                yield name

    def _is_routed(self, name: str, taken: Mapping[str, Any]) -> bool:
        head, _, tail = name.partition("__")
        if not tail:
            return False
        # `callbacks__monitor` of one, `callbacks__0__monitor` of several.
        if head == CALLBACKS:
            return True
        if head == "model":
            return not taken or tail in taken or tail in SCIKERAS_EXTRAS
        is_nested = hasattr(getattr(self, head, None), "set_params")
        return head in self._routing_prefixes or is_nested


def _is_parameter_name(name: str) -> bool:
    """Whether it is neither private nor the name of fitted state."""
    return not name.startswith("_") and not name.endswith("_")


def _signature(builder: Callable[..., Any]) -> inspect.Signature:
    if inspect.isfunction(builder):
        return _signature_of_function(builder)
    return inspect.signature(builder)  # a bound method would keep its estimator alive in the cache


@lru_cache(maxsize=256)
def _signature_of_function(builder: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(builder)
