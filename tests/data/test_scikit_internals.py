"""Each private name of scikit-learn still means what the faces take it to mean."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import sklearn
from sklearn.datasets import _lfw, fetch_lfw_people

from tuning.data import scikit_internals as internals
from tuning.data.scikit_internals import read_faces

REASON = (
    f"scikit-learn {sklearn.__version__}: see data/scikit_internals.py, checked with "
    f"{internals.CHECKED_WITH}"
)


@pytest.fixture
def folder(tmp_path):
    """Six photographs of two people, as scikit-learn lays them out."""
    from PIL import Image

    home = tmp_path / "lfw_home"
    for person in ("Ann_A", "Bob_B"):
        (home / "lfw_funneled" / person).mkdir(parents=True)
        for i in range(3):
            picture = np.random.default_rng(i).integers(0, 256, (250, 250, 3), np.uint8)
            Image.fromarray(picture).save(home / "lfw_funneled" / person / f"{i}.jpg")
    for name in ("pairs.txt", "pairsDevTrain.txt", "pairsDevTest.txt"):
        (home / name).touch()
    return tmp_path


def test_what_fetches_takes_a_folder_and_a_number_of_retries():
    assert {"data_home", "n_retries"} <= set(inspect.signature(_lfw._check_fetch_lfw).parameters), (
        REASON
    )


def test_what_reads_takes_a_cut_a_size_and_a_least_number():
    assert {"slice_", "resize", "min_faces_per_person"} <= set(
        inspect.signature(_lfw._fetch_lfw_people).parameters
    ), REASON


def test_a_face_is_cut_out_as_the_public_function_does():
    default = inspect.signature(fetch_lfw_people).parameters["slice_"].default
    assert default == internals._FACE, REASON


def test_faces_are_those_of_the_public_function_and_no_pickle_stays(folder):
    X, names = read_faces(folder, least=2)
    assert not list(folder.rglob("*.pkl"))
    public = fetch_lfw_people(data_home=str(folder), resize=0.25, min_faces_per_person=2)
    assert np.array_equal(X, public.images), REASON
    assert names.tolist() == public.target_names[public.target].tolist(), REASON
    assert (X.shape, X.dtype, X.max() <= 1) == ((6, 31, 23), np.float32, True), REASON
    # The public one keeps a pickle, which is why it is not used.
    assert list(folder.rglob("*.pkl")), REASON
