"""What a model is made of that is not Keras': what a reader of its file must have imported."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from tuning.builders.inputs import graph_internals
from tuning.trainer import keras_internals

if TYPE_CHECKING:
    import keras

_LIBRARIES = ("keras", "tensorflow", "numpy", "builtins", "tuning")
"""What comes with the product: nobody needs to import it by name."""


def own_objects(model: keras.Model) -> dict[str, Any]:
    """Return the classes and functions of a live model that are not Keras', by their names.

    Its own class, those of its layers, however deep, of what these hold (activations, initializers,
    regularizers, constraints), of its losses, metrics and optimizer.
    """
    found: dict[str, Any] = {}
    for layer in graph_internals.all_layers(model):
        for thing in (layer, *_held(layer)):
            _add(found, thing)
    metrics = keras_internals.compiled_metrics(model)
    for thing in (*_leaves(model.loss), *model.metrics, *metrics, model.optimizer):
        _add(found, thing)
    return found


def _held(layer: Any) -> Iterator[Any]:
    for value in vars(layer).values():
        yield from _leaves(value)


def _leaves(value: Any) -> list[Any]:
    """Return what a list, tuple or mapping holds; anything else alone."""
    if isinstance(value, Mapping):
        return list(value.values())
    if isinstance(value, list | tuple):
        return list(value)
    return [] if value is None else [value]


def _add(found: dict[str, Any], thing: Any) -> None:
    if isinstance(thing, types.FunctionType):
        named: Any = thing
    elif isinstance(thing, type):
        named = thing
    elif hasattr(thing, "get_config"):
        named = type(thing)
    else:
        return
    package = str(named.__module__).partition(".")[0]
    # A lambda has no name to be found by.
    if package not in _LIBRARIES and named.__name__.isidentifier():
        found.setdefault(named.__name__, named)


def imports_of(objects: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a reader must import, one line of Python each."""
    by_module: dict[str, list[str]] = {}
    for name, thing in objects.items():
        by_module.setdefault(thing.__module__, []).append(name)
    return tuple(
        f"from {module} import {', '.join(sorted(names))}"
        for module, names in sorted(by_module.items())
    )


def module_objects(builder: Callable[..., Any]) -> dict[str, Any]:
    """Return the user's own layers and functions by name: whatever the builder's module defines.

    A module that imports Keras only when needed has a function `custom_objects()` that returns
    them.
    """
    home = getattr(builder, "__module__", "")
    if home not in sys.modules:
        return {}

    own = {
        name: value
        for name, value in vars(sys.modules[home]).items()
        if getattr(value, "__module__", None) == home
    }

    if "custom_objects" in own:
        own |= own["custom_objects"]()
    return own
