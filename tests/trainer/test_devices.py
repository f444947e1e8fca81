import keras
import numpy as np
import pytest
import tensorflow as tf

from tuning.errors import StudyError
from tuning.trainer.devices import SharedRows, batches_shared_out, scale_learning_rate
from tuning.trainer.rows import Rows


def rows(n):
    return Rows(np.arange(n, dtype="float32").reshape(n, 1), np.zeros(n, "float32"))


def shared(n_rows, batch_size, n_replicas):
    return SharedRows(
        rows(n_rows),
        batch_size,
        n_replicas,
        order=lambda epoch: np.roll(np.arange(n_rows), epoch),
    )


def taken(data):
    return [X[:, 0].astype(int).tolist() for X, _ in map(data.__getitem__, range(len(data)))]


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "n_replicas", "sizes"),
    [
        (8, 4, 2, [4, 4]),
        (11, 4, 2, [4, 4, 2]),
        (9, 4, 2, [4, 4]),
        (10, 4, 4, [4, 4]),
        (5, 8, 4, [4]),
    ],
)
def test_a_last_batch_that_cannot_be_shared_out_is_made_smaller(
    n_rows, batch_size, n_replicas, sizes
):
    data = shared(n_rows, batch_size, n_replicas)
    assert [len(batch) for batch in taken(data)] == sizes
    assert data.n_left_out == n_rows - sum(sizes)


def test_each_epoch_has_its_own_order_and_leaves_out_other_rows():
    data = shared(5, 4, 2)
    data.begin(1)
    assert taken(data) == [[4, 0, 1, 2]]
    data.begin(2)
    assert taken(data) == [[3, 4, 0, 1]]


def test_a_batch_that_cannot_be_shared_out_is_refused():
    with pytest.raises(StudyError, match="batch_size 17 cannot be shared out evenly over 2 GPUs"):
        shared(34, 17, 2)


def test_batches_of_a_stream_are_shared_out_too():
    batches = tf.data.Dataset.range(9).map(lambda n: (n, 2 * n)).batch(4)
    evenly = list(batches_shared_out(batches, 2).as_numpy_iterator())
    assert [X.tolist() for X, _ in evenly] == [[0, 1, 2, 3], [4, 5, 6, 7]]


def compiled(optimizer):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(optimizer=optimizer, loss="mse")
    return model


def test_the_learning_rate_is_multiplied():
    model = compiled(keras.optimizers.SGD(0.25))
    scale_learning_rate(model, 4)
    assert float(model.optimizer.learning_rate) == 1.0


def test_a_schedule_is_not_multiplied_but_refused():
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    with pytest.raises(StudyError, match="follows a schedule; multiply it in the builder"):
        scale_learning_rate(compiled(keras.optimizers.SGD(schedule)), 2)
