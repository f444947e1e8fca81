"""California housing, embedded: no network, and bit for bit what scikit-learn's fetcher gives."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path

import numpy as np

from tuning.data.dataset import Array, Dataset
from tuning.errors import MissingError

FILE = Path(__file__).with_name("california_housing.npz")
FILE_SHA256 = "8f8155cee82bb0924a959a8b55f0e806975cd9b45caeb081347cc826de49cd4f"
X_SHA256 = "c8f43774aa27b7ec034e60db31b6124e12b4a0d42b55b0c8eb1320089e2ebc37"
Y_SHA256 = "ae80bb98487c04d7383ed8aecda8e207583dfd3e66f6679fded97597c3f6c87e"

FEATURE_NAMES = (
    "MedInc",
    "HouseAge",
    "AveRooms",
    "AveBedrms",
    "Population",
    "AveOccup",
    "Latitude",
    "Longitude",
)


def california_housing() -> Dataset:
    """Return 20,640 block groups of the 1990 census: 8 features, median house value in 100,000 USD.

    The arrays equal `sklearn.datasets.fetch_california_housing(return_X_y=True)`, so either source
    gives the same splits, trials and scores. Source: StatLib; Pace & Barry 1997, "Sparse Spatial
    Autoregressions".

    Raises:
        MissingError: The embedded file is absent or damaged.
    """
    X, y = _arrays(FILE)
    return Dataset(
        name="california_housing",
        X=X,
        y=y,
        task="regression",
        feature_names=FEATURE_NAMES,
        unit="100,000 USD",
        source="StatLib; Pace & Barry 1997; 1990 US census",
    )


@cache
def _arrays(file: Path) -> tuple[Array, Array]:
    X, y = _rebuild(_checked_bytes(file))
    # Checked again after the divisions: another NumPy or processor might round one otherwise.
    for name, array, expected in (("X", X, X_SHA256), ("y", y, Y_SHA256)):
        sha256 = hashlib.sha256(array.tobytes()).hexdigest()
        if sha256 != expected:
            raise MissingError(
                f"California housing: {name} rebuilt from {file} has sha256 {sha256[:16]}…, "
                f"expected {expected[:16]}…; "
                f"NumPy {np.__version__} may calculate otherwise here, please report it"
            )
        array.setflags(write=False)  # shared by all callers
    return X, y


def _checked_bytes(file: Path) -> bytes:
    advice = (
        "Restore it: `git checkout -- tuning/data/california_housing.npz`, "
        "or install the package again."
    )
    try:
        raw = file.read_bytes()
    except FileNotFoundError as error:
        raise MissingError(f"California housing: {file} is missing. {advice}") from error

    sha256 = hashlib.sha256(raw).hexdigest()
    if sha256 != FILE_SHA256:
        raise MissingError(
            f"California housing: {file} is damaged (sha256 {sha256[:16]}…, "
            f"expected {FILE_SHA256[:16]}…). {advice}"
        )
    return raw


def _rebuild(raw: bytes) -> tuple[Array, Array]:
    """Return X and y from the original table's integers, in scikit-learn's order of operations."""
    with np.load(io.BytesIO(raw), allow_pickle=False) as table:
        households = table["households"].astype(float)
        columns = [
            table["income"] / 1e4,
            table["age"],
            table["rooms"] / households,
            table["bedrooms"] / households,
            table["population"],
            table["population"] / households,
            table["lat"] / 100,
            -(table["lon"] / 100),
        ]
        return np.column_stack(columns).astype(float), table["value"] / 1e5
