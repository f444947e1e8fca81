"""California housing: the very arrays of scikit-learn's fetcher, or a clear word."""

import hashlib
import shutil

import joblib
import numpy as np
import pytest

from tuning.data import california
from tuning.data.california import california_housing
from tuning.errors import MissingError

# sha256 of what sklearn.datasets.fetch_california_housing(return_X_y=True) returns, `.tobytes()` of
# each
FETCHED_X = "c8f43774aa27b7ec034e60db31b6124e12b4a0d42b55b0c8eb1320089e2ebc37"
FETCHED_Y = "ae80bb98487c04d7383ed8aecda8e207583dfd3e66f6679fded97597c3f6c87e"


def test_arrays_equal_those_of_fetch_california_housing_bit_for_bit():
    housing = california_housing()
    digests = [hashlib.sha256(array.tobytes()).hexdigest() for array in (housing.X, housing.y)]
    assert digests == [FETCHED_X, FETCHED_Y]
    assert (housing.X.shape, housing.X.dtype, housing.y.shape, housing.y.dtype) == (
        (20640, 8),
        "f8",
        (20640,),
        "f8",
    )


def test_features_and_unit_are_named_as_scikit_learn_names_them():
    housing = california_housing()
    assert housing.feature_names == (
        "MedInc",
        "HouseAge",
        "AveRooms",
        "AveBedrms",
        "Population",
        "AveOccup",
        "Latitude",
        "Longitude",
    )
    assert (housing.unit, housing.task, housing.n_outputs) == ("100,000 USD", "regression", 1)


def test_scikit_learns_fetcher_makes_the_same_arrays_of_the_same_table(tmp_path):
    from sklearn.datasets import fetch_california_housing

    with np.load(california.FILE, allow_pickle=False) as raw:
        names = (
            "value",
            "income",
            "age",
            "rooms",
            "bedrooms",
            "population",
            "households",
            "lat",
            "lon",
        )
        units = (1, 1e4, 1, 1, 1, 1, 1, 100, -100)  # the file holds whole numbers
        table = np.column_stack([raw[name] / unit for name, unit in zip(names, units, strict=True)])
    joblib.dump(
        table, tmp_path / "cal_housing_py3.pkz"
    )  # where the fetcher keeps what it has downloaded
    X, y = fetch_california_housing(
        data_home=str(tmp_path), download_if_missing=False, return_X_y=True
    )
    assert np.array_equal(X, california_housing().X)
    assert np.array_equal(y, california_housing().y)


def test_one_caller_cannot_change_the_arrays_of_the_next():
    with pytest.raises(ValueError, match="read-only"):
        california_housing().X[0, 0] = 1.0


@pytest.mark.parametrize("damage", ["flipped", "truncated"])
def test_a_damaged_file_is_told_with_what_to_do(tmp_path, monkeypatch, damage):
    raw = bytearray(california.FILE.read_bytes())
    raw[1000] ^= 1
    copy = tmp_path / "california_housing.npz"
    copy.write_bytes(raw if damage == "flipped" else raw[:-10])
    monkeypatch.setattr(california, "FILE", copy)
    with pytest.raises(MissingError, match=r"is damaged \(sha256 .*Restore it: `git checkout"):
        california_housing()


def test_a_missing_file_is_told_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(california, "FILE", tmp_path / "gone.npz")
    with pytest.raises(MissingError, match=r"gone.npz is missing. Restore it"):
        california_housing()


def test_another_numpys_arithmetic_would_be_noticed(tmp_path, monkeypatch):
    copy = tmp_path / "california_housing.npz"
    shutil.copy(california.FILE, copy)
    monkeypatch.setattr(california, "FILE", copy)
    monkeypatch.setattr(california, "Y_SHA256", "0" * 64)
    with pytest.raises(MissingError, match="y rebuilt from"):
        california_housing()
