"""What a model does first with each of its inputs, as far as its preparation depends on it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from tuning.builders.inputs import graph_internals
from tuning.builders.inputs.preparation import FirstLayer

if TYPE_CHECKING:
    import keras

_LOOKUPS = (
    "Embedding",
    "ReversibleEmbedding",
    "IntegerLookup",
    "StringLookup",
    "Hashing",
    "HashedCrossing",
    "CategoryEncoding",
)
_OWN = ("Normalization", "Rescaling", "TextVectorization", "Discretization", "MelSpectrogram")
_ARITHMETIC = ("Subtract", "Divide", "TrueDivide", "Multiply", "Cast", "OneHot")
"""Operations of `keras.ops` on one input: `inputs / 255.0`."""

_MOST_CARE: tuple[FirstLayer, ...] = ("lookup", "own", "mask")

_PASSING_ON = (
    "InputLayer",
    "Dropout",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "GaussianNoise",
    "Identity",
    "Reshape",
    "Flatten",
    "Permute",
    "RepeatVector",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "Cropping1D",
    "Cropping2D",
    "Resizing",
    "CenterCrop",
    "Concatenate",
    "GetItem",
    "ExpandDims",
    "Squeeze",
    "Transpose",
    "Split",
)
"""Layers after which numbers mean what they meant before; so do all whose name begins with
"Random", which augment images.
"""


def first_layers_of(model: keras.Model, names: list[str]) -> dict[str, FirstLayer]:
    """Return what reads each input first; where several do, what asks for the most care.

    Args:
        model: Built. Of a subclass, which shows no graph, any lookup counts for all inputs.
        names: Of the data's inputs; [""] for an only one.
    """
    import keras

    if isinstance(model, keras.Sequential):
        return {name: _first(_in_sequence(model)) for name in names}
    inputs = getattr(model, "inputs", None)
    if not inputs or not hasattr(model, "operations"):
        kind = _first(map(_kind_of, graph_internals.all_layers(model)))
        return dict.fromkeys(names, kind)

    by_name = {tensor.name: tensor for tensor in inputs}
    in_order = dict(zip(names, inputs, strict=False))
    return {
        name: _first(_from(model, by_name.get(name, in_order.get(name)), set())) for name in names
    }


def _first(kinds: Iterable[FirstLayer]) -> FirstLayer:
    found = set(kinds)
    return next((kind for kind in _MOST_CARE if kind in found), "")


def _in_sequence(model: Any) -> Iterator[FirstLayer]:
    """Yield the kind of the first layer that changes what numbers mean."""
    for layer in model.layers:
        inner = _inner(layer)
        if inner is not None:
            yield from inner
            return
        if not _passes_on(layer):
            yield _kind_of(layer)
            return


def _from(model: Any, tensor: Any, seen: set[int]) -> Iterator[FirstLayer]:
    """Yield the kinds of all operations that take a tensor of a functional model."""
    if tensor is None or id(tensor) in seen:
        return
    seen.add(id(tensor))
    for operation in graph_internals.readers(model, tensor):
        inner = _inner(operation)
        if inner is not None:
            yield from inner
        elif _passes_on(operation):
            for output in graph_internals.outputs_of(model, operation):
                yield from _from(model, output, seen)
        else:
            yield _kind_of(operation)


def _inner(layer: Any) -> Iterator[FirstLayer] | None:
    """Return the kinds within a model within a model; None where a layer is no such thing."""
    import keras

    if isinstance(layer, keras.layers.TimeDistributed):
        return iter([_kind_of(layer.layer)])
    if not isinstance(layer, keras.Model):
        return None
    return iter(first_layers_of(layer, [""]).values())


def _passes_on(operation: Any) -> bool:
    name = type(operation).__name__
    return name in _PASSING_ON or name.startswith("Random")


def _kind_of(operation: Any) -> FirstLayer:
    import keras

    kinds = [kind.__name__ for kind in type(operation).__mro__]
    if any(name in kinds for name in _LOOKUPS):
        return "lookup"
    if any(name in kinds for name in _OWN):
        return "own"
    if "Masking" in kinds:
        return "mask"
    is_operation = not isinstance(operation, keras.layers.Layer)
    if is_operation and type(operation).__name__ in _ARITHMETIC:
        return "own" if graph_internals.takes_one_tensor(operation) else ""
    return ""
