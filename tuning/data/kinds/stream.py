"""`Stream`: data that do not fit into memory, as batches of three parts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import psutil

from tuning.data.arrays import Array, Arrays, count_rows, each, join, leaves, named, take
from tuning.data.cache import data_folder
from tuning.data.dataset import Dataset, Task, Tasks
from tuning.data.kinds.stream_array import StreamArray, StreamPart, stable_bytes
from tuning.data.kinds.stream_source import Source, StreamSource, unpacked
from tuning.errors import DamagedFileError, StudyError
from tuning.storage.arrays import load_arrays
from tuning.storage.aside import forget
from tuning.storage.durable import raise_on_full_disk
from tuning.storage.locks import locked

SAMPLE_ROWS = 32
"""Rows a batch when facts and labels are read of a function that takes `batch_size`."""


def Stream(  # noqa: N802 - reads as a declaration in a study file
    train: Source,
    validation: Source,
    test: Source,
    *,
    task: Tasks | None = None,
    classes: tuple[str, ...] = (),
    cache: bool = False,
    version: str = "",
    name: str = "stream",
    **fields: Any,
) -> Dataset:
    """Return batches of (X, y) or (X, y, weight) as a data set whose inputs are read as they come.

    Each part is a batched `tf.data.Dataset`, a `keras.utils.PyDataset`, or a function that takes
    `batch_size` and `seed` (either, both, none) and returns one of these or a generator of batches.
    Only such a function lets the study choose the batch size, and makes a trial depend on its seed
    alone. X and y may be dictionaries by the names of inputs and outputs.

    The targets and weights of all parts are read once and kept in memory and in `TUNING_HOME/data`:
    scores are computed from them. Validation and test must give the same rows in the same order at
    each pass.

    Args:
        train, validation, test: Each with an end; a pass is an epoch.
        task: As in `Dataset`; None: "regression" for real targets, "binary" for two whole numbers,
            "multiclass" for more.
        classes: Names of the classes, by number.
        cache: Keep the batches of the first pass in memory; the later ones of training come in an
            order drawn by the seed.
        version: Any text. What is pinned is this text, types and shapes, the first batch of each
            part and all targets: change it when other rows were changed.
        name: Short name, for display.
        **fields: Others of `Dataset`, such as `unit`, `source`.

    Raises:
        StudyError: A source that is none of these, never ends or has no batches; batches that are
            no (X, y); targets that do not fit into memory; a validation or test part in another
            order at each pass.
    """
    sources = [
        StreamSource(part, source, cache=cache)
        for part, source in (("train", train), ("validation", validation), ("test", test))
    ]
    heads = [_Head.of(source, version) for source in sources]
    faults = [fault for head in heads for fault in head.faults(heads[0])]
    if faults:
        raise StudyError(faults, where=f"stream '{name}'")

    targets = _targets(heads, _digest(heads))
    y = join([target.y for target in targets])
    parts = _parts(heads, targets)
    names = list(heads[0].X) if isinstance(heads[0].X, Mapping) else [""]
    inputs = {name: cast(Array, StreamArray(parts, name)) for name in names}
    if task is None:
        task = _task_of(y) if not isinstance(y, Mapping) else {k: _task_of(v) for k, v in y.items()}

    return Dataset(
        name=name,
        X=inputs if isinstance(heads[0].X, Mapping) else inputs[""],
        y=y,
        task=task,
        classes=classes,
        scale=False,
        parts={
            source.part: np.arange(*part.rows) for source, part in zip(sources, parts, strict=True)
        },
        weight=_weights(targets),
        notices=tuple(notice for head in heads for notice in head.notices()),
        **fields,
    )


def fixes_batches(dataset: Dataset) -> bool:
    """Whether a data set comes in batches whose size nobody else can choose."""
    first = leaves(dataset.X)[0]
    return isinstance(first, StreamArray) and first.parts[0].source.fixes_batches


@dataclass(frozen=True, eq=False, kw_only=True)
class _Head:
    """The first batch of a part.

    Attributes:
        source: Where it comes from.
        X, y, weight: The batch.
        facts: Types and shapes of its elements, and the user's version, as text.
        is_random: Whether it begins with another batch when it is opened again.
        changes: Whether it does so in a second pass.
    """

    source: StreamSource
    X: Any
    y: Any
    weight: Any
    facts: str
    is_random: bool
    changes: bool

    @classmethod
    def of(cls, source: StreamSource, version: str) -> _Head:
        """Read it."""
        # As a worker reads it: in the order of the source, without an order of ours.
        batches = source.opened(SAMPLE_ROWS)
        first = _first_of(batches)
        if first is None:
            raise StudyError(f"{source.part}: the stream has no batches", where="Stream")
        X, y, weight = unpacked(first)
        return cls(
            source=source,
            X=_by_name(X),
            y=_by_name(y),
            weight=_by_name(weight),
            facts=f"{version} {batches.element_spec}",
            is_random=not _equal(first, _first_of(source.opened(SAMPLE_ROWS))),
            changes=not _equal(first, _first_of(batches)),
        )

    def faults(self, train: _Head) -> Iterator[str]:
        """Yield what is wrong with it, beside the first batch of the training part."""
        part = self.source.part
        arrays = [*leaves(self.X), *leaves(self.y)]
        if not all(isinstance(array, np.ndarray | np.generic) for array in arrays):
            yield (
                f"{part}: batches must be dense arrays, got {type(arrays[0]).__name__}; "
                "pad them, e.g. by .padded_batch"
            )
            return
        counts = {len(array) if np.ndim(array) else 0 for array in arrays}
        if len(counts) > 1 or 0 in counts:
            shapes = ", ".join(str(np.shape(array)) for array in arrays)
            yield (
                f"{part}: the arrays of a batch must have as many rows each, got {shapes}; "
                "a tf.data.Dataset must be batched: call .batch(32)"
            )
            return
        if part == "train":
            return
        if _form(self.X) != _form(train.X) or _form(self.y) != _form(train.y):
            yield (
                f"{part}: batches of X {_form(self.X)} and y {_form(self.y)}, those of training "
                f"have {_form(train.X)} and {_form(train.y)}"
            )
        if self.changes or self.is_random:
            yield (
                f"{part}: two passes began with different batches; leave shuffling and random "
                "changes out of it: its predictions are compared with targets that were read before"
            )

    def notices(self) -> Iterator[str]:
        """Yield what the user should know."""
        if self.is_random:
            yield (
                f"{self.source.part}: the stream draws its own random order, so a trial's figures "
                "depend on what its worker has read before; give a function of seed that makes it"
            )


@dataclass(frozen=True, eq=False)
class _Targets:
    """Targets and weights of all rows of a part."""

    y: Arrays
    weight: Arrays | None

    def in_one_order(self) -> _Targets:
        """Return them sorted: what comes in a random order is the same data in any."""
        arrays = [*leaves(self.y), *(() if self.weight is None else leaves(self.weight))]
        columns = [array.reshape(len(array), -1) for array in arrays]
        order = np.lexsort(np.concatenate(columns, axis=1).T[::-1])
        weight = None if self.weight is None else take(self.weight, order)
        return _Targets(take(self.y, order), weight)


def _targets(heads: list[_Head], digest: str) -> list[_Targets]:
    """Return the targets of each part, read now or by an earlier process."""
    path = data_folder() / f"stream-{digest}.npz"
    with locked(path.with_suffix(".lock")):  # each worker wants them at its start
        known = _kept_targets(path, heads, digest)
        if known is not None:
            return known
        targets = [_read(head) for head in heads]
        arrays: dict[str, Any] = {_OF: np.array(digest)}
        for head, target in zip(heads, targets, strict=True):
            arrays |= _for_file(head, target)
        with raise_on_full_disk():
            temporary = path.with_name(f".{path.name}.tmp.npz")
            np.savez(temporary, **arrays)
            forget(path)  # nothing, or what is no whole file of ours
            temporary.replace(path)
    return targets


_OF = "digest"
"""The array in which a file of targets says of which stream they are."""


def _kept_targets(path: Path, heads: list[_Head], digest: str) -> list[_Targets] | None:
    """Return the targets that are kept of a stream; None: none are, or not whole, or another's."""
    try:
        stored = load_arrays(path)
        if stored is None or str(stored.get(_OF, digest)) != digest:
            return None
        return [_from_file(stored, head) for head in heads]
    except (DamagedFileError, OSError, KeyError):
        return None


def _read(head: _Head) -> _Targets:
    """Read a part once from its beginning to its end."""
    room = psutil.virtual_memory().available / 2
    ys: list[Arrays] = []
    weights: list[Arrays] = []
    n_bytes = 0
    for batch in head.source.opened(SAMPLE_ROWS).as_numpy_iterator():
        _, y, weight = unpacked(batch)
        ys.append(_by_name(y))
        n_bytes += sum(array.nbytes for array in leaves(ys[-1]))
        if weight is not None:
            weights.append(_by_name(weight))
        if n_bytes > room:
            raise StudyError(
                f"{head.source.part}: the targets of a Stream must fit into memory, those of "
                f"{sum(map(count_rows, ys))} rows take {n_bytes / 1e9:.1f} GB already",
                where="Stream",
            )
    targets = _Targets(join(ys), join(weights) if weights else None)
    return targets.in_one_order() if head.is_random else targets


def _weights(targets: list[_Targets]) -> Arrays | None:
    """Return the weights of all rows: 1 in a part that gives none where another does."""
    known = next((target.weight for target in targets if target.weight is not None), None)
    if known is None:
        return None
    weights: list[Arrays] = []
    for target in targets:
        ones = np.ones(count_rows(target.y), np.float32)
        usual = dict.fromkeys(known, ones) if isinstance(known, Mapping) else ones
        weights.append(usual if target.weight is None else target.weight)
    return join(weights)


def _for_file(head: _Head, targets: _Targets) -> dict[str, Array]:
    part = head.source.part
    arrays = {f"{part} y {name}": array for name, array in named(targets.y)}
    if targets.weight is not None:
        arrays |= {f"{part} weight {name}": array for name, array in named(targets.weight)}
    return arrays


def _from_file(file: Mapping[str, Array], head: _Head) -> _Targets:
    part = head.source.part

    def read(field: str, like: Any) -> Any:
        if not isinstance(like, Mapping):
            return file[f"{part} {field} "]
        return {name: file[f"{part} {field} {name}"] for name in like}

    weight = None if head.weight is None else read("weight", head.weight)
    return _Targets(read("y", head.y), weight)


def _parts(heads: list[_Head], targets: list[_Targets]) -> list[StreamPart]:
    parts = []
    first = 0
    for head, target in zip(heads, targets, strict=True):
        part = StreamPart(
            head.source,
            y=target.y,
            first_X=head.X,
            first=first,
            facts=head.facts,
            is_random=head.is_random,
        )
        first = part.rows[1]
        parts.append(part)
    return parts


def _digest(heads: list[_Head]) -> str:
    """Return what the targets are kept under: all that is known before they are read."""
    sha = hashlib.sha256()
    for head in heads:
        sha.update(head.facts.encode())
        # A training part in random order begins with other rows each time.
        if not head.is_random:
            for array in (*leaves(head.X), *leaves(head.y)):
                sha.update(stable_bytes(array))
    return sha.hexdigest()[:32]


def _by_name(arrays: Any) -> Any:
    """Return several arrays in the model's order as a mapping with the names "0", "1", …."""
    if isinstance(arrays, list | tuple):
        return {str(place): array for place, array in enumerate(arrays)}
    return arrays


def _first_of(batches: Any) -> Any:
    return next(iter(batches.as_numpy_iterator()), None)


def _equal(first: Any, second: Any) -> bool:
    pairs = zip(_flat(first), _flat(second), strict=False)
    return all(np.array_equal(one, other) for one, other in pairs)


def _flat(batch: Any) -> Iterator[Array]:
    if isinstance(batch, Mapping):
        batch = list(batch.values())
    if isinstance(batch, tuple | list):
        for item in batch:
            yield from _flat(item)
    else:
        yield batch


def _form(arrays: Any) -> Any:
    return each(lambda array: f"{array.dtype} {array.shape[1:]}", arrays)


def _task_of(y: Array) -> Task:
    if y.dtype.kind not in "biu":
        return "regression"
    if y.ndim == 2 and y.shape[1] > 1:
        return "multilabel"
    return "binary" if y.max() <= 1 else "multiclass"
