"""`StreamSource`: whatever gives batches, as a `tf.data.Dataset` that is the same for equal seeds.

TensorFlow is imported when a source is opened: the driver never opens one.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from tuning.errors import StudyError

if TYPE_CHECKING:
    import tensorflow as tf

Source: TypeAlias = Any
"""A batched `tf.data.Dataset`, a `keras.utils.PyDataset`, or a function of `batch_size` and `seed`
(either, both or none) that returns one of these or a generator of batches.
"""

_BY_FUNCTION = ("batch_size", "seed")


class StreamSource:
    """The batches of one part: (X, y) or (X, y, weight), each one array or several by name.

    Attributes:
        part: "train", "validation" or "test".
        cache: Whether the batches of the first pass are kept in memory.
        fixes_batches: Whether nobody else can choose the rows of a batch.
    """

    def __init__(self, part: str, source: Source, *, cache: bool = False) -> None:
        self.part = part
        self.cache = cache
        self._source = source
        self._names = _names_taken(source) if _is_function(source) else ()
        self.fixes_batches = "batch_size" not in self._names
        self._cached: dict[int, tf.data.Dataset] = {}

    def opened(
        self, batch_size: int, seed: int = 0, *, epoch: int = 0, shuffle: bool = False
    ) -> tf.data.Dataset:
        """Return the batches; each pass over them is an epoch.

        A function is called anew, so equal seeds give equal epochs whatever was read before. What
        is no function goes on from where its last reader left its own random state.

        Args:
            batch_size: Rows a batch, where the source is a function that takes it.
            seed: For the same; and for the order of the batches where that is ours to draw.
            epoch: The pass to begin with, from 0: that of an interrupted training.
            shuffle: Draw an order of the batches of a `PyDataset`, as `fit` does, and of those that
                are kept in memory.
        """
        import tensorflow as tf

        if not self.cache:
            dataset = self._made(batch_size, seed, epoch=epoch, shuffle=shuffle)
        else:
            key = 0 if self.fixes_batches else batch_size
            if key not in self._cached:
                self._cached[key] = self._made(batch_size, 0, epoch=0, shuffle=False).cache()
            dataset = self._cached[key]
            if shuffle:
                dataset = _shuffled(dataset, seed)
                _skip_passes(dataset, epoch)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def end_pass(self) -> None:
        """Tell a `PyDataset` that an epoch has ended, as `fit` does."""
        if hasattr(self._source, "on_epoch_end"):
            self._source.on_epoch_end()

    def _made(self, batch_size: int, seed: int, *, epoch: int, shuffle: bool) -> tf.data.Dataset:
        import keras
        import tensorflow as tf

        made = self._called(batch_size, seed) if _is_function(self._source) else self._source
        if isinstance(made, tf.data.Dataset):
            if made.cardinality() == tf.data.INFINITE_CARDINALITY:
                raise self._fault("never ends; leave .repeat() out: an epoch is one pass")
            _skip_passes(made, epoch)
            return made
        if isinstance(made, keras.utils.PyDataset):
            if made.num_batches is None:
                raise self._fault("never ends: its num_batches is None; say how many there are")
            # One that a function has made is nobody else's to tell of the end of a pass.
            is_ours = made is not self._source and self.part == "train"
            return _of_py_dataset(made, seed, first=epoch, shuffle=shuffle, ends_passes=is_ours)
        if _is_function(self._source) and hasattr(made, "__iter__"):
            return self._of_generators(made, batch_size, seed, first=epoch)
        raise self._fault(
            f"is a {type(made).__name__}; give a tf.data.Dataset, a keras.utils.PyDataset, or a "
            "function (batch_size, seed) that returns one of these or a generator of batches"
        )

    def _called(self, batch_size: int, seed: int) -> Any:
        values = {"batch_size": batch_size, "seed": seed}
        return self._source(**{name: values[name] for name in self._names})

    def _of_generators(
        self, first_batches: Any, batch_size: int, seed: int, *, first: int
    ) -> tf.data.Dataset:
        """Return the batches of a function that must be called for each pass."""
        import tensorflow as tf

        sample = next(iter(first_batches), None)
        if sample is None:
            raise self._fault("gave no batch")
        epochs = itertools.count(first)

        def batches() -> Iterator[Any]:
            for batch in self._called(batch_size, epoch_seed(seed, next(epochs))):
                yield _as_tuple(batch)

        return tf.data.Dataset.from_generator(batches, output_signature=_signature(sample))

    def _fault(self, text: str) -> StudyError:
        return StudyError(f"{self.part}: the stream {text}", where="Stream")


def epoch_seed(seed: int, epoch: int) -> int:
    """Return the seed that a generator function is called with; `seed` itself for the first."""
    if epoch == 0:
        return seed
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0] >> 1)


def unpacked(batch: Any) -> tuple[Any, Any, Any]:
    """Return X, y and weight of a batch; None in the place of weights that are not there."""
    if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
        raise StudyError(
            f"each batch must be (X, y) or (X, y, weight), got {_described(batch)}", where="Stream"
        )
    X, y, *weight = batch
    return X, y, weight[0] if weight else None


def _is_function(source: Source) -> bool:
    # A PyDataset may have `__call__`; what can be asked for a batch is no function.
    return callable(source) and not hasattr(source, "__getitem__")


def _names_taken(function: Callable[..., Any]) -> tuple[str, ...]:
    parameters = inspect.signature(function).parameters
    unknown = [
        name
        for name, parameter in parameters.items()
        if name not in _BY_FUNCTION and parameter.default is parameter.empty
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if unknown:
        name = getattr(function, "__name__", "the function")
        raise StudyError(
            f"{name} takes {', '.join(unknown)}; it may take batch_size and seed",
            where="Stream",
        )
    return tuple(name for name in _BY_FUNCTION if name in parameters)


def _skip_passes(dataset: tf.data.Dataset, epochs: int) -> None:
    """Put the random orders of `tf.data` where they stand after some passes; nothing is read.

    An iterator draws its seeds when it is made.
    """
    for _ in range(epochs):
        iter(dataset)


def _shuffled(dataset: tf.data.Dataset, seed: int) -> tf.data.Dataset:
    n_batches = sum(1 for _ in dataset)  # they are in memory, or come there now
    return dataset.shuffle(max(1, n_batches), seed=seed)


def _of_py_dataset(
    batches: Any, seed: int, *, first: int, shuffle: bool, ends_passes: bool
) -> tf.data.Dataset:
    """Return a `PyDataset` as `tf.data`, read by as many threads as it asks for.

    Args:
        batches: What is read.
        seed, first, shuffle: See `StreamSource.opened`.
        ends_passes: Call `on_epoch_end` before each pass but the first, those of an interrupted
            training included: only then is nothing read any more.
    """
    import keras
    import tensorflow as tf

    sample = _as_tuple(batches[0])
    signature = _signature(sample)
    specs = keras.tree.flatten(signature)
    n_batches = batches.num_batches
    epochs = itertools.count(first)
    n_ended = 0

    def order() -> Iterator[int]:
        nonlocal n_ended
        epoch = next(epochs)
        while ends_passes and n_ended < epoch:
            batches.on_epoch_end()
            n_ended += 1
        places = np.arange(n_batches)
        if shuffle:
            places = np.random.default_rng([seed, epoch]).permutation(n_batches)
        yield from places.tolist()

    def read(place: Any) -> list[Any]:
        leaves = keras.tree.flatten(_as_tuple(batches[int(place)]))
        return [np.asarray(a, s.dtype.as_numpy_dtype) for a, s in zip(leaves, specs, strict=True)]

    def batch(place: tf.Tensor) -> Any:
        leaves = tf.numpy_function(read, [place], [spec.dtype for spec in specs])
        for leaf, spec in zip(leaves, specs, strict=True):
            leaf.set_shape(spec.shape)
        return keras.tree.pack_sequence_as(signature, leaves)

    places = tf.data.Dataset.from_generator(order, output_signature=tf.TensorSpec([], tf.int64))
    workers = max(1, int(getattr(batches, "workers", 1)))
    return places.map(batch, num_parallel_calls=workers, deterministic=True)


def _as_tuple(batch: Any) -> Any:
    """Return a batch with tuples where it has lists, which `tf.data` would take for arrays."""
    if isinstance(batch, Mapping):
        return {name: _as_tuple(item) for name, item in batch.items()}
    if isinstance(batch, tuple | list):
        return tuple(map(_as_tuple, batch))
    return batch


def _signature(batch: Any) -> Any:
    """Return what `tf.data` must know of batches like this one: any number of rows."""
    import keras
    import tensorflow as tf

    def spec(array: Any) -> tf.TensorSpec:
        values = np.asarray(array)
        return tf.TensorSpec([None, *values.shape[1:]], tf.as_dtype(values.dtype))

    return keras.tree.map_structure(spec, _as_tuple(batch))


def _described(batch: Any) -> str:
    kind: Literal["tuple"] | str = type(batch).__name__
    return f"a {kind} of {len(batch)}" if isinstance(batch, tuple | list | dict) else f"a {kind}"
