"""What Keras tells only under private names: which layers read an input, which hide in others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def readers(model: Any, tensor: Any) -> list[Any]:
    """Return the operations of a functional model that take a tensor first, in its order.

    Args:
        model: Functional.
        tensor: One of its inputs, or what one of its operations returns.
    """
    own = {id(operation) for operation in model.operations}
    producer = tensor._keras_history.operation
    found = []
    for node in producer._outbound_nodes:
        takes_it = any(argument is tensor for argument in node.input_tensors)
        if takes_it and id(node.operation) in own:
            found.append(node.operation)
    return found


def outputs_of(model: Any, operation: Any) -> list[Any]:
    """Return the tensors that an operation returns within a functional model."""
    own = {id(tensor) for node in _nodes(model) for tensor in node.input_tensors}
    own |= {id(tensor) for tensor in model.outputs}
    return [
        tensor for node in operation._inbound_nodes for tensor in node.outputs if id(tensor) in own
    ]


def _nodes(model: Any) -> list[Any]:
    return [node for nodes in model._nodes_by_depth.values() for node in nodes]


def takes_one_tensor(operation: Any) -> bool:
    """Whether an operation was called with one tensor, and numbers beside it at most."""
    return all(len(node.input_tensors) == 1 for node in operation._inbound_nodes)


def all_layers(model: Any) -> Iterator[Any]:
    """Yield the model and every layer within it, however deep."""
    yield from model._flatten_layers(include_self=True, recursive=True)


def waits_for_adapt(layer: Any) -> bool:
    """Whether a layer has neither been adapted nor been given what `adapt` would find."""
    from keras import layers

    if isinstance(layer, layers.Normalization):
        # `finalize_state` sets `mean`; before, only the weights of a count of zero rows are there.
        return layer.input_mean is None and not _has_counted(layer)
    if isinstance(layer, layers.TextVectorization):
        return _waits(layer._lookup_layer)
    if isinstance(layer, layers.StringLookup | layers.IntegerLookup):
        return _waits(layer)
    if isinstance(layer, layers.Discretization):
        return layer.bin_boundaries is None
    return False


def _has_counted(normalization: Any) -> bool:
    mean = getattr(normalization, "adapt_mean", None)
    if mean is None:
        return False
    variance = normalization.adapt_variance
    return bool(abs(mean.numpy()).any() or (variance.numpy() != 1).any())


def _waits(lookup: Any) -> bool:
    if lookup._has_input_vocabulary:
        return False
    # The first numbers are kept for masked and unknown tokens.
    return bool(lookup.vocabulary_size() <= lookup._token_start_index())


def reads_text(layer: Any) -> bool:
    """Whether a layer takes texts alone."""
    from keras import layers

    return isinstance(layer, layers.StringLookup | layers.TextVectorization)


def inside_of(layer: Any) -> Any:
    """Return the lookup that a text vectorization keeps within it; None for other layers."""
    return getattr(layer, "_lookup_layer", None)


def mask_of(tensor: Any) -> Any:
    """Return which steps of a tensor are no padding, bool `(rows, steps)`; None: nobody knows."""
    return getattr(tensor, "_keras_mask", None)
