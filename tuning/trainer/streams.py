"""Streams: a whole pass over a `tf.data.Dataset` as one graph call over the unmodified model.

`fit` goes back to Python for each batch. Here the loop over batches lies inside the graph, which
asks the iterator for the next batch itself and calls the model's own `train_step`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from cachetools import LRUCache

from tuning.data.arrays import Array, Arrays, named
from tuning.data.kinds.stream_array import StreamPart, stream_part
from tuning.errors import StudyError
from tuning.trainer.compiled import KEPT_STRUCTURES, CompiledSteps, Scored, graph_for, scored
from tuning.trainer.reasons import Visibility
from tuning.trainer.rows import Rows, as_fit_takes

PREDICTED_ROWS = 256
"""Rows a batch where a function that takes `batch_size` is read for predictions."""


@dataclass(frozen=True, eq=False)
class OpenStream:
    """One part of a stream, opened for one fit: in place of the tensors of its rows.

    Attributes:
        part: What is known of it.
        batches: A `tf.data.Dataset`; a pass over it is an epoch.
    """

    part: StreamPart
    batches: tf.data.Dataset

    @property
    def shape(self) -> tuple[int]:
        """Its rows."""
        return (len(self.part),)


def open_stream(
    rows: Rows,
    batch_size: int,
    *,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = False,
    class_weight: Mapping[int, float] | None = None,
) -> OpenStream:
    """Open the stream that rows come from.

    Args:
        rows: Their X is a stream.
        batch_size: Rows a batch, where the source leaves that to us.
        seed, shuffle: See `StreamSource.opened`.
        epoch: The epoch to begin with, from 0.
        class_weight: Weight of each class number, multiplied into the weights of the rows.
    """
    part = stream_part(rows.X)
    if part is None:
        raise TypeError("these rows are arrays")
    batches = part.source.opened(batch_size, seed, epoch=epoch, shuffle=shuffle)
    if class_weight is not None:
        batches = batches.map(lambda *batch: _weighted(batch, class_weight))
    return OpenStream(part, batches)


def _weighted(batch: Any, class_weight: Mapping[int, float]) -> Any:
    """Return a batch with the weights of its classes; a class that is not named counts 1."""
    x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
    numbers = tf.argmax(y, axis=-1) if y.shape.rank == 2 and y.shape[1] != 1 else y
    numbers = tf.cast(tf.round(tf.cast(tf.reshape(numbers, [-1]), tf.float32)), tf.int64)
    is_class = numbers[:, None] == tf.constant(list(class_weight), tf.int64)
    values = tf.constant([float(value) for value in class_weight.values()], tf.float32)
    of_rows = tf.linalg.matvec(tf.cast(is_class, tf.float32), values)
    factor = tf.where(tf.reduce_any(is_class, axis=1), of_rows, 1.0)
    if weight is not None:
        factor *= tf.cast(tf.reshape(weight, [-1]), tf.float32)
    return x, y, factor


class StreamSteps:
    """The epoch and the validation pass of one structure over streams; see `CompiledSteps`.

    Args:
        steps: Of the same structure: their model is trained, their state is moved.
    """

    xla_refusal = ""

    def __init__(self, steps: CompiledSteps) -> None:
        self.graph_model = steps.graph_model
        self._steps = steps
        # Traced anew for elements of other types or shapes alone.
        self._train = tf.function(self._train_pass, autograph=False)
        self._score = tf.function(self._score_pass, autograph=False)

    def bind(self, model: keras.Model) -> None:
        """Make the graph work on the state of a model."""
        self._steps.bind(model)

    def show(self, model: keras.Model, looks: Visibility) -> None:
        """Put the state where callbacks look."""
        self._steps.show(model, looks)

    def release(self, model: keras.Model) -> None:
        """Move the state worked on back into `model`, if it is the one bound."""
        self._steps.release(model)

    def run_epoch(
        self, order: Array, arrays: tuple[Any, ...], batch_size: int, *, xla: bool
    ) -> dict[str, Any]:
        """Train one epoch: a pass over the stream; return the metrics over it.

        Args:
            order: Its length alone counts: a stream has its own order.
            arrays: The stream.
            batch_size: Rows a batch.
            xla: Of no consequence here.
        """
        stream: OpenStream = arrays[0]
        # Fewer rows are asked for where a callback has said stop before the first batch.
        batches = stream.batches
        if len(order) < len(stream.part):
            batches = batches.take(math.ceil(len(order) / batch_size))
        metrics = dict(self._train(iter(batches)))
        stream.part.source.end_pass()
        return metrics

    def evaluate(self, arrays: tuple[Any, ...], *, predicts: bool = True) -> Scored:
        """Return metrics and predictions over a stream, as `evaluate` and `predict` would.

        Args:
            arrays: The stream.
            predicts: Of no consequence here; see `CompiledSteps.evaluate`.

        Raises:
            StudyError: Its targets are not those that it has given before.
        """
        stream: OpenStream = arrays[0]
        metrics, predicted, targets = self._score(iter(stream.batches))
        check_targets(stream.part, targets)
        return Scored(dict(metrics), predicted)

    # What follows is traced: TensorFlow runs the graph, not these lines.

    def _train_pass(self, batches: Any) -> dict[str, tf.Tensor]:
        model = self.graph_model
        model.reset_metrics()

        def train(batch: Any) -> tuple[Any]:
            model.train_step(batch.get_value())
            return (batches.get_next_as_optional(),)

        first = batches.get_next_as_optional()
        tf.while_loop(lambda batch: batch.has_value(), train, (first,), parallel_iterations=1)
        return dict(model.get_metrics_result())

    def _score_pass(self, batches: Any) -> tuple[dict[str, tf.Tensor], Any, Any]:
        model = self.graph_model
        model.reset_metrics()
        form = _Form(self.graph_model, batches.element_spec)

        def score(i: tf.Tensor, batch: Any, *written: tf.TensorArray) -> tuple[Any, ...]:
            x, y, weight = keras.utils.unpack_x_y_sample_weight(batch.get_value())
            predicted = scored(model, x, y, weight)
            tensors = [*keras.tree.flatten(predicted), *keras.tree.flatten(y)]
            written = tuple(
                array.write(i, tensor) for array, tensor in zip(written, tensors, strict=True)
            )
            return (i + 1, batches.get_next_as_optional(), *written)

        start = (tf.constant(0), batches.get_next_as_optional(), *form.empty_arrays())
        _, _, *written = tf.while_loop(
            lambda i, batch, *_: batch.has_value(), score, start, parallel_iterations=1
        )
        predicted, y = form.packed([array.concat() for array in written])
        return dict(model.get_metrics_result()), predicted, y


class _Form:
    """How predictions and targets of a batch are nested, and their types."""

    def __init__(self, model: keras.Model, element_spec: Any) -> None:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(element_spec)
        inputs = keras.tree.map_structure(lambda s: keras.KerasTensor(s.shape, s.dtype.name), x)
        outputs = keras.tree.map_structure(lambda o: o.dtype, model.compute_output_spec(inputs))
        self._predicted = outputs
        self._y = keras.tree.map_structure(lambda spec: spec.dtype.name, y)

    def empty_arrays(self) -> list[tf.TensorArray]:
        """Return an array for each tensor, to be filled batch by batch."""
        types = [*keras.tree.flatten(self._predicted), *keras.tree.flatten(self._y)]
        # The last batch has fewer rows, so no shape is known to all of them.
        settings = {"size": 0, "dynamic_size": True, "infer_shape": False}
        return [tf.TensorArray(name, **settings) for name in types]

    def packed(self, tensors: list[tf.Tensor]) -> tuple[Any, Any]:
        """Return predictions and targets, nested as those of a batch."""
        n_outputs = len(keras.tree.flatten(self._predicted))
        predicted = keras.tree.pack_sequence_as(self._predicted, tensors[:n_outputs])
        return predicted, keras.tree.pack_sequence_as(self._y, tensors[n_outputs:])


def check_targets(part: StreamPart, targets: Any) -> None:
    """Raise `StudyError` where a pass gave other targets than the stream was read with."""
    given = keras.tree.flatten(targets)
    expected = keras.tree.flatten(as_fit_takes(part.y))
    same = all(
        np.array_equal(np.asarray(one), other) for one, other in zip(given, expected, strict=True)
    )
    if not same:
        raise StudyError(
            "a stream gives other targets, or in another order, than when it was first read; leave "
            "shuffling out of validation and test, and give Stream(version=…) another text where "
            "the data were changed"
        )


_kept: LRUCache[int, StreamSteps] = LRUCache(KEPT_STRUCTURES)
"""By the id of the steps that each holds."""


def stream_steps_for(model: keras.Model, stream: OpenStream, batch_size: int) -> StreamSteps:
    """Return steps over streams for a model: those of an earlier equal structure, else new ones."""
    steps = graph_for(model, sample_of(stream), batch_size)
    known = _kept.get(id(steps))
    if known is None:
        known = _kept[id(steps)] = StreamSteps(steps)
    return known


def sample_of(stream: OpenStream) -> tuple[Any, ...]:
    """Return a batch of the stream's types and shapes; reading one would move its random order."""
    part = stream.part
    n_rows = len(next(iter(named(part.first_X)))[1])
    y: Arrays = {name: array[:n_rows] for name, array in named(part.y)}
    if not isinstance(part.y, Mapping):
        y = part.y[:n_rows]
    batch = [as_fit_takes(part.first_X), as_fit_takes(y)]
    if len(stream.batches.element_spec) > 2:
        spec = stream.batches.element_spec[2]
        batch.append(keras.tree.map_structure(lambda s: np.ones(n_rows, s.dtype.name), spec))
    return tuple(keras.tree.map_structure(tf.constant, item) for item in batch)
