"""`Stream`: batches of three parts as a data set; what cannot be a stream is refused in words."""

from __future__ import annotations

import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.data.facts import notices_on
from tuning.data.kinds.stream import Stream, fixes_batches
from tuning.data.kinds.stream_array import StreamArray
from tuning.data.kinds.stream_source import StreamSource, epoch_seed
from tuning.data.parts import split
from tuning.errors import StudyError
from tuning.storage.arrays import load_arrays

RNG = np.random.default_rng(0)
X = RNG.normal(size=(50, 3)).astype("float32")
Y = (X[:, 0] > 0).astype("int64")


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path))
    return tmp_path


def batched(first, last, size=8):
    return tf.data.Dataset.from_tensor_slices((X[first:last], Y[first:last])).batch(size)


def making(first, last):
    """A function of batch size and seed that shuffles."""

    def make(batch_size, seed):
        rows = tf.data.Dataset.from_tensor_slices((X[first:last], Y[first:last]))
        return rows.shuffle(last - first, seed=seed).batch(batch_size)

    return make


def numpy_batches(first, last):
    def generate(batch_size):
        for start in range(first, last, batch_size):
            rows = slice(start, min(last, start + batch_size))
            yield X[rows], Y[rows]

    return generate


class Sequence(keras.utils.PyDataset):
    def __init__(self, first, last, **settings):
        super().__init__(**settings)
        self.first, self.last = first, last
        self.ended = 0

    def __len__(self):
        return -(-(self.last - self.first) // 8)

    def __getitem__(self, place):
        start = self.first + 8 * place
        rows = slice(start, min(self.last, start + 8))
        return X[rows], Y[rows]

    def on_epoch_end(self):
        self.ended += 1


def rows_of(source, **settings):
    batch_size = settings.pop("batch_size", 8)
    batches = StreamSource("train", source).opened(batch_size, **settings)
    return [np.concatenate([x for x, _ in batches.as_numpy_iterator()]) for _ in range(2)]


@pytest.mark.parametrize("make", [batched, numpy_batches, Sequence])
def test_each_kind_of_source_gives_its_rows_in_their_order(make):
    for epoch in rows_of(make(0, 30)):
        np.testing.assert_array_equal(epoch, X[:30])


class Turned(Sequence):
    """Takes its batches in the other order after each epoch."""

    def __getitem__(self, place):
        return super().__getitem__(place if self.ended % 2 == 0 else len(self) - 1 - place)


def test_what_a_function_makes_is_told_of_the_end_of_each_epoch():
    first, second = rows_of(lambda: Turned(0, 32))
    np.testing.assert_array_equal(first, X[:32])
    np.testing.assert_array_equal(second, X[:32].reshape(4, 8, 3)[::-1].reshape(32, 3))
    # A training that goes on from its second epoch has seen the end of the first.
    np.testing.assert_array_equal(rows_of(lambda: Turned(0, 32), epoch=1)[0], second)


def test_facts_and_targets_are_read_from_the_stream():
    dataset = Stream(batched(0, 30), batched(30, 40), batched(40, 50))
    assert dataset.task == "binary"
    assert dataset.input_shape == (3,)
    np.testing.assert_array_equal(dataset.y, Y)
    parts = split(dataset, seed=1)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [30, 10, 10]
    assert isinstance(parts.test.X, StreamArray)
    np.testing.assert_array_equal(parts.test.y, Y[40:])


@pytest.mark.parametrize(
    ("targets", "task"),
    [
        (Y.astype("float32"), "regression"),
        (Y * 2, "multiclass"),
        (np.stack([Y, 1 - Y], axis=1), "multilabel"),
        (Y[:, None], "binary"),
    ],
)
def test_the_task_is_read_from_the_targets(targets, task):
    source = tf.data.Dataset.from_tensor_slices((X, targets)).batch(10)
    dataset = Stream(source, source, source)
    assert dataset.task == task
    assert dataset.y.ndim == (2 if task == "multilabel" else 1)


def test_several_inputs_and_weights_come_by_name():
    rows = ({"left": X[:, :1], "right": X[:, 1:]}, Y, np.arange(50, dtype="float32"))
    source = tf.data.Dataset.from_tensor_slices(rows).batch(10)
    dataset = Stream(source, source, source)
    assert dataset.input_shape == {"left": (1,), "right": (2,)}
    np.testing.assert_array_equal(dataset.weight[:50], np.arange(50))


def test_a_part_without_weights_counts_1_where_another_has_some():
    weighted = tf.data.Dataset.from_tensor_slices((X, Y, np.full(50, 3.0, "float32"))).batch(10)
    dataset = Stream(batched(0, 30), weighted, batched(30, 50))
    np.testing.assert_array_equal(dataset.weight, [1.0] * 30 + [3.0] * 50 + [1.0] * 20)


def test_a_function_of_seed_gives_equal_epochs_for_equal_seeds_and_takes_the_batch_size():
    first, again, other = (rows_of(making(0, 30), seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first[0], first[1])
    assert not np.array_equal(first, other)
    sizes = [len(x) for x, _ in StreamSource("train", making(0, 30)).opened(7)]
    assert sizes == [7, 7, 7, 7, 2]


@pytest.mark.parametrize("source", [making(0, 30), Sequence(0, 30)])
def test_an_interrupted_training_goes_on_with_the_order_of_its_epoch(source):
    whole = rows_of(source, seed=3, shuffle=True)
    rest = rows_of(source, seed=3, shuffle=True, epoch=1)
    np.testing.assert_array_equal(rest[0], whole[1])
    assert not np.array_equal(whole[0], whole[1])


def test_a_generator_is_called_for_each_epoch_with_a_seed_of_its_own():
    seeds = []

    def generate(seed):
        seeds.append(seed)
        yield X[:8], Y[:8]

    rows_of(generate, seed=5)
    assert seeds[-2:] == [5, epoch_seed(5, 1)]


def test_a_py_dataset_is_read_by_its_threads_in_order():
    np.testing.assert_array_equal(rows_of(Sequence(0, 50, workers=3))[0], X)


def test_what_is_kept_in_memory_is_read_once_and_comes_in_an_order_of_the_seed():
    calls = []

    def generate():
        calls.append(1)
        for start in range(0, 40, 8):
            yield X[start : start + 8], Y[start : start + 8]

    source = StreamSource("train", generate, cache=True)
    epochs = []
    for seed in (1, 1, 2):
        batches = source.opened(8, seed, shuffle=True)
        epochs.append(np.concatenate([x for x, _ in batches.as_numpy_iterator()]))
    assert len(calls) == 2  # a look at its form, and the pass
    np.testing.assert_array_equal(epochs[0], epochs[1])
    assert not np.array_equal(epochs[0], epochs[2])
    np.testing.assert_array_equal(np.sort(epochs[2], axis=0), np.sort(X[:40], axis=0))


def test_targets_are_read_once_for_all_processes(home):
    passes = []

    def make(first, last):
        def generate():
            passes.append(first)
            yield X[first:last], Y[first:last]

        return generate

    sources = (make(0, 30), make(30, 40), make(40, 50))
    first = Stream(*sources)
    before = len(passes)
    again = Stream(*sources)
    assert again.digest == first.digest
    assert len(passes) - before < before
    assert len(list((home / "data").glob("stream-*.npz"))) == 1


@pytest.mark.parametrize("damage", ["cut", "another stream's", "zeros", "a folder", "a pipe"])
def test_kept_targets_that_are_damaged_or_of_another_stream_are_read_anew(home, damage):
    sources = batched(0, 30), batched(30, 40), batched(40, 50)
    whole = Stream(*sources)
    (path,) = (home / "data").glob("stream-*.npz")
    data = path.read_bytes()
    if damage == "another stream's":
        Stream(*(source.map(lambda x, y: (x, 1 - y)) for source in sources))
        (theirs,) = set((home / "data").glob("stream-*.npz")) - {path}
        shutil.copy(theirs, path)
    elif damage in ("cut", "zeros"):
        path.write_bytes(data[: len(data) // 2] if damage == "cut" else bytes(len(data)))
    else:
        path.unlink()
        path.mkdir() if damage == "a folder" else os.mkfifo(path)
    assert Stream(*sources).digest == whole.digest
    np.testing.assert_array_equal(Stream(*sources).y, whole.y)
    assert load_arrays(path)["digest"] == path.stem.removeprefix("stream-")


def test_the_digest_knows_version_targets_and_first_batches_but_no_random_order():
    def shuffled():
        return batched(0, 30, 30).unbatch().shuffle(30).batch(8)

    plain = Stream(shuffled(), batched(30, 40), batched(40, 50))
    again = Stream(shuffled(), batched(30, 40), batched(40, 50))
    assert plain.digest == again.digest
    assert "draws its own random order" in plain.notices[0]

    newer = Stream(shuffled(), batched(30, 40), batched(40, 50), version="2")
    moved = Stream(shuffled(), batched(30, 41), batched(41, 50))
    assert len({plain.digest, newer.digest, moved.digest}) == 3


def test_only_a_function_of_batch_size_leaves_the_batches_to_the_study():
    held_out = (batched(30, 40), batched(40, 50))
    assert fixes_batches(Stream(batched(0, 30), *held_out))
    assert not fixes_batches(Stream(making(0, 30), *held_out))


def test_rows_can_be_had_by_part_and_from_the_beginning_and_not_otherwise():
    X_of_stream = Stream(batched(0, 30), batched(30, 40), batched(40, 50)).X
    np.testing.assert_array_equal(X_of_stream[:5], X[:5])
    assert len(X_of_stream[np.arange(30, 40)]) == 10
    for rows in (np.arange(10), slice(5, 9), np.arange(30, 41)):
        with pytest.raises(StudyError, match="rows of a Stream cannot be had by their numbers"):
            X_of_stream[rows]
    with pytest.raises(StudyError, match="all at once"):
        np.asarray(X_of_stream)
    with pytest.raises(StudyError, match="leave cv out"):
        np.concatenate([X_of_stream, X_of_stream])[np.arange(40)]


@pytest.mark.parametrize(
    ("train", "words"),
    [
        (X, "is a ndarray; give a tf.data.Dataset"),
        (lambda: 5, "is a int; give a tf.data.Dataset"),
        (lambda rows: rows, "takes rows; it may take batch_size and seed"),
        (batched(0, 30).repeat(), "never ends; leave .repeat"),
        (batched(0, 30).take(0), "has no batches"),
        (batched(0, 30).map(lambda x, y: x), "each batch must be"),
        (batched(0, 30).unbatch(), "must be batched"),
        (batched(0, 30).map(lambda x, y: (x[:, :2], y)), "validation: batches of X"),
    ],
)
def test_what_is_no_stream_is_refused_in_words(train, words):
    with pytest.raises(StudyError, match=words):
        Stream(train, batched(30, 40), batched(40, 50))


@pytest.mark.parametrize("shuffled", [making(30, 40), batched(30, 40, 10).unbatch().shuffle(9)])
def test_a_validation_part_in_random_order_is_refused(shuffled):
    if isinstance(shuffled, tf.data.Dataset):
        shuffled = shuffled.batch(5)
    with pytest.raises(StudyError, match="validation: two passes began with different batches"):
        Stream(batched(0, 30), shuffled, batched(40, 50))


def test_targets_beyond_memory_are_refused(monkeypatch):
    memory = type("Memory", (), {"available": 100})
    monkeypatch.setattr("psutil.virtual_memory", lambda: memory)
    with pytest.raises(StudyError, match="targets of a Stream must fit into memory"):
        Stream(batched(0, 30), batched(30, 40), batched(40, 50))


def test_a_stream_is_not_standardised():
    dataset = Stream(batched(0, 30), batched(30, 40), batched(40, 50))
    assert split(dataset, seed=1).scaled().scaler.mean is None
    with pytest.raises(StudyError, match="put a Normalization or Rescaling layer first"):
        dataset.X.figures()


def test_that_a_stream_has_no_linear_baseline_is_said():
    stream = Stream(batched(0, 30), batched(30, 40), batched(40, 50))
    assert notices_on(stream)[-1] == (
        "no linear baseline: its rows are read as they come, and do not lie in memory together; "
        "the winner is compared with a dummy"
    )
