"""Flat parameters for the estimators: every argument of the builder is one, with its default from
the signature.

SciKeras wants them repeated to its constructor (scikeras#264) and says nothing of a misspelt one.
Here nothing is stored that the user did not give: what is absent is looked up in the builder's
signature, then in SciKeras'.
"""

from __future__ import annotations

import enum
import inspect
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

from tuning.errors import did_you_mean
from tuning.study.study import FROM_DATA

SCIKERAS_EXTRAS = (
    "meta",
    "compile_kwargs",
    "params",
)  # SciKeras fills these where a builder names them


class Unset(enum.Enum):
    """Stands for a builder argument without default that has not been set yet."""

    REQUIRED = "required"

    def __repr__(self) -> str:
        return "<required>"


def builder_defaults(builder: Callable[..., Any] | None) -> dict[str, Any]:
    """Return the arguments a builder takes by name, with defaults: `Unset.REQUIRED` where it has
    none.

    `input_shape`, `task` and `n_outputs` have the default None: taken from the data in `fit`.
    """
    if builder is None or not (
        inspect.isroutine(builder) or hasattr(builder, "func")
    ):  # functools.partial has it
        return {}
    return {
        p.name: None
        if p.name in FROM_DATA
        else Unset.REQUIRED
        if p.default is p.empty
        else p.default
        for p in _signature(builder).parameters.values()
        if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in SCIKERAS_EXTRAS
    }


@lru_cache(maxsize=32)
def own_defaults(estimator: Any) -> dict[str, Any]:
    """Return the named constructor arguments of a class and its bases, with defaults; the nearest
    class wins.
    """
    found: dict[str, Any] = {}
    for base in estimator.__mro__:
        init = base.__dict__.get("__init__")
        if base is object or not inspect.isfunction(init):
            continue
        for p in inspect.signature(init).parameters.values():
            if p.name != "self" and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY):
                found.setdefault(p.name, p.default)
    return found


def takes_any(builder: Any) -> bool:
    """Whether the builder is a function with `**kwargs`, or not known yet: then nothing can be
    refused.
    """
    if not inspect.isroutine(builder):
        return not callable(builder)
    return any(p.kind is p.VAR_KEYWORD for p in _signature(builder).parameters.values())


class BuilderParameters:
    """The parameter half of the estimators; goes before a SciKeras wrapper among the bases."""

    model: Any
    _routing_prefixes: set[str]

    def __getattr__(self, name: str) -> Any:
        # Reached only for what is not stored. Names of fitted state must stay absent for hasattr()
        # to work.
        if not name.startswith("_") and not name.endswith("_"):
            known = self._defaults()
            if name in known:
                return known[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def set_params(self, **params: Any) -> Any:
        """Set parameters: builder arguments and fit settings by name, SciKeras' routed ones as
        `model__x`.

        Raises:
            ValueError: A key that nothing takes; names the nearest valid one. Nothing is set then.
        """
        if "model" in params:
            self._forget_builder(params["model"])
        self._refuse_unknown(params)
        nested: dict[str, dict[str, Any]] = {}
        for key, value in params.items():
            head, _, tail = key.partition("__")
            if tail and head not in self._routing_prefixes:
                nested.setdefault(head, {})[tail] = value
            else:
                setattr(self, key, value)
        for head, inner in nested.items():
            getattr(self, head).set_params(**inner)
        return self

    def _builder(self) -> Callable[..., Any] | None:
        stored: Callable[..., Any] | None = self.__dict__.get("model")
        return stored if stored is not None else getattr(self, "_keras_build_fn", None)

    def _own(self) -> dict[str, Any]:
        kind: Any = type(self)
        return own_defaults(kind)

    def _defaults(self) -> dict[str, Any]:
        return {**self._own(), **builder_defaults(self._builder())}

    def _get_param_names(self) -> list[str]:
        routed = (name for name in self.__dict__ if "__" in name and not name.startswith("_"))
        stored = (name for name in self.__dict__ if self._taken_by_any_builder(name))
        return sorted({*self._own(), *builder_defaults(self._builder()), *routed, *stored})

    def _taken_by_any_builder(self, name: str) -> bool:
        builder = self._builder()
        plain = not name.startswith("_") and not name.endswith("_")
        return plain and takes_any(builder)

    def _forget_builder(self, new: Any) -> None:
        """Drop what was stored for the old builder: its defaults, and what the new one does not
        take.
        """
        old, coming = builder_defaults(self._builder()), builder_defaults(new)
        own = self._own()
        for name in [n for n in self.__dict__ if n in old]:
            if self.__dict__[name] is old[name] or (name not in coming and name not in own):
                del self.__dict__[name]
        self.model = new
        self._refuse_unknown(
            name for name in self.__dict__ if not name.startswith("_") and not name.endswith("_")
        )

    def _refuse_unknown(self, names: Iterable[str]) -> None:
        own, built = self._own(), builder_defaults(self._builder())
        builder = self._builder()
        for name in names:
            if name in own or name in built or self._is_routed(name, own, built):
                continue
            if takes_any(builder):
                continue
            label = getattr(builder, "__name__", "the builder")
            raise ValueError(
                f"{type(self).__name__}: nothing takes '{name}'.{did_you_mean(name, {*built, *own})} "
                f"{label} takes: {', '.join(built) or 'nothing'}; the estimator takes: {', '.join(sorted(own))}."
            )

    def _is_routed(self, name: str, own: Mapping[str, Any], built: Mapping[str, Any]) -> bool:
        head, _, tail = name.partition("__")
        if head == "model" and tail:
            return not built or tail in built or tail in SCIKERAS_EXTRAS
        return bool(tail) and (
            head in self._routing_prefixes or hasattr(getattr(self, head, None), "set_params")
        )


def _signature(builder: Callable[..., Any]) -> inspect.Signature:
    # A bound method would keep its estimator alive in the cache.
    return (
        _signature_of_function(builder)
        if inspect.isfunction(builder)
        else inspect.signature(builder)
    )


@lru_cache(maxsize=256)
def _signature_of_function(builder: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(builder)
