"""`Windows`: each row is what went before, and what came after; the series is in memory once."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest

from tuning.data.kinds.window_array import WindowArray
from tuning.data.kinds.windows import Windows
from tuning.data.parts import split
from tuning.errors import StudyError

RNG = np.random.default_rng(0)
SERIES = RNG.normal(size=(50, 3))


@pytest.mark.parametrize(("horizon", "stride"), [(1, 1), (4, 1), (3, 5)])
def test_row_i_is_the_window_there_and_y_what_comes_horizon_moments_after(horizon, stride):
    dataset = Windows(SERIES, 7, target=2, horizon=horizon, stride=stride)

    unrolled = np.asarray(dataset.X)
    for i, row in enumerate(unrolled):
        first = i * stride
        np.testing.assert_array_equal(row, SERIES[first : first + 7])
        assert dataset.y[i] == SERIES[first + 7 + horizon - 1, 2]
    assert len(unrolled) == (50 - 7 - horizon) // stride + 1
    assert dataset.input_shape == (7, 3)


def test_every_step_is_the_vector_of_the_next_moments():
    dataset = Windows(SERIES[:, 0], 5, horizon=3, every_step=True)
    assert dataset.y.shape == (43, 3)
    np.testing.assert_array_equal(dataset.y[10], SERIES[15:18, 0])


def test_the_time_of_a_row_is_from_its_first_moment_to_its_target():
    hours = np.datetime64("2026-01-01T00") + np.arange(50) * np.timedelta64(1, "h")
    dataset = Windows(SERIES, 5, target=0, horizon=2, stride=10, time=hours)
    np.testing.assert_array_equal(dataset.time[1], [hours[10], hours[16]])


def test_columns_by_name_leave_the_others_out():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(SERIES, columns=["load", "temperature", "wind"])
    dataset = Windows(frame, 4, target="load", columns=["wind", "load"])
    assert dataset.feature_names == ("wind", "load")
    np.testing.assert_array_equal(np.asarray(dataset.X)[0], SERIES[:4][:, [2, 0]])
    np.testing.assert_array_equal(dataset.y, SERIES[4:, 0])


def test_a_target_of_its_own_may_be_class_numbers():
    rises = (np.diff(SERIES[:, 0], prepend=0) > 0).astype(int)
    dataset = Windows(SERIES, 4, target=rises, task="binary")
    np.testing.assert_array_equal(dataset.y, rises[4:])


def test_rows_share_the_series_and_parts_can_be_joined_again():
    X = Windows(SERIES, 4, target=0).X
    first = X[:10]
    later = X[np.array([20, 12])]
    joined = np.concatenate([first, later])
    assert isinstance(joined, WindowArray)
    assert joined.series is X.series
    np.testing.assert_array_equal(np.asarray(joined)[10], SERIES[20:24])


def test_parts_that_were_pickled_share_one_series_again():
    parts = split(Windows(SERIES, 4, target=0, scale=True), seed=0).scaled()
    again = pickle.loads(pickle.dumps(parts))  # noqa: S301
    assert again.train.X.series is again.validation.X.series
    assert len(again.search_part) == len(parts.train) + len(parts.validation)
    np.testing.assert_array_equal(np.asarray(again.train.X), np.asarray(parts.train.X))


def test_the_figures_are_those_of_the_moments_covered_and_no_others():
    X = Windows(SERIES, 4, target=0).X
    mean, deviation = X[[3, 5, 20]].figures()
    covered = np.r_[SERIES[3:9], SERIES[20:24]]
    np.testing.assert_allclose(mean.reshape(4, 3), [covered.mean(axis=0)] * 4)
    np.testing.assert_allclose(deviation.reshape(4, 3), [covered.std(axis=0)] * 4)


def test_scaled_windows_equal_the_unrolled_ones_scaled_and_share_one_series():
    X = Windows(SERIES, 4, target=0).X
    mean, deviation = X[:20].figures()
    scaled = X[:20].standardised(mean, deviation)
    flat = np.asarray(X[:20]).reshape(20, -1)
    expected = ((flat - mean) / deviation).reshape(20, 4, 3).astype(np.float32)
    np.testing.assert_allclose(np.asarray(scaled), expected, rtol=1e-6)
    assert X[20:].standardised(mean, deviation).series is scaled.series


def test_the_digest_tells_series_and_windows_apart():
    def digest(X):
        sha = hashlib.sha256()
        X.update(sha)
        return sha.hexdigest()

    X = Windows(SERIES, 4, target=0).X
    assert digest(X) == digest(Windows(SERIES.copy(), 4, target=0).X)
    others = [Windows(SERIES, 5, target=0).X, X[1:], Windows(SERIES + 1, 4, target=0).X]
    assert len({digest(X), *map(digest, others)}) == 4


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"window": 0, "target": 0}, "window must be a whole number from 1 on, got 0"),
        ({"window": 3, "target": 0, "horizon": 1.5}, "horizon must be a whole number"),
        ({"window": 50, "target": 0}, "50 moments do not make two rows of window=50"),
        ({"window": 3}, "target is missing: name the column to predict, one of x0, x1, x2"),
        ({"window": 3, "target": "x4"}, "no column 'x4'"),
        ({"window": 3, "target": np.zeros(7)}, "target has 7 moments, the series has 50"),
        ({"window": 3, "target": 0, "time": np.zeros(50)}, "time must increase"),
        ({"window": 3, "target": 0, "columns": []}, "columns: name at least one"),
    ],
)
def test_what_is_wrong_is_said(arguments, words):
    with pytest.raises(StudyError, match=words.replace("(", r"\(")):
        Windows(SERIES, **arguments)


def test_all_faults_come_at_once():
    with pytest.raises(StudyError) as caught:
        Windows(SERIES, 3, target="a", columns=["b"], time=np.zeros(50))
    assert len(caught.value.faults) == 3


def test_a_series_of_texts_is_refused_in_words():
    with pytest.raises(StudyError, match="series must hold numbers"):
        Windows(np.array([["a", "b"]] * 9), 3, target=0)


def test_a_split_scales_by_the_training_moments_and_unrolls_nothing():
    dataset = Windows(SERIES, 4, target=0)
    parts = split(dataset, seed=1).scaled()
    assert isinstance(parts.test.X, WindowArray)
    assert parts.test.X.series is parts.train.X.series
    covered = np.unique(parts.train.X.starts[:, None] + np.arange(4))
    np.testing.assert_allclose(parts.scaler.mean[:3], SERIES[covered].mean(axis=0))


def test_the_digest_of_the_data_set_is_that_of_its_series():
    first = Windows(SERIES, 4, target=0).digest
    assert Windows(SERIES, 4, target=0).digest == first
    assert Windows(SERIES, 4, target=0, columns=[0]).digest != first


def test_a_series_with_gaps_is_a_fault_of_the_data_set():
    gappy = SERIES.copy()
    gappy[7, 1] = np.nan
    with pytest.raises(StudyError, match="1 NaN or infinite values, the first at moment 7"):
        split(Windows(gappy, 4, target=0), seed=1)
