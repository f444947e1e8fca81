"""The data sets of the courses, with their parameters."""

import numpy as np
import pytest

from tuning.data import toy
from tuning.data.faults import dataset_faults

ALL = (toy.blobs, toy.circles, toy.moons, toy.iris, toy.digits, toy.wine, toy.breast_cancer)


@pytest.mark.parametrize("load", ALL, ids=lambda load: load.__name__)
def test_every_toy_data_set_has_no_fault_and_bears_its_functions_name(load):
    dataset = load()
    assert list(dataset_faults(dataset)) == []
    assert dataset.name == load.__name__


@pytest.mark.parametrize("load", ALL, ids=lambda load: load.__name__)
def test_every_toy_data_set_is_the_same_at_each_call(load):
    assert load().digest == load().digest


@pytest.mark.parametrize(
    ("load", "shape", "n_outputs"),
    [
        (toy.blobs, (1000, 2), 1),
        (toy.iris, (150, 4), 3),
        (toy.digits, (1797, 8, 8), 10),
        (toy.wine, (178, 13), 3),
        (toy.breast_cancer, (569, 30), 1),
    ],
)
def test_shapes_and_outputs_are_those_of_the_table(load, shape, n_outputs):
    assert (load().X.shape, load().n_outputs) == (shape, n_outputs)


def test_iris_names_its_classes_by_strings():
    assert toy.iris().classes == ("setosa", "versicolor", "virginica")
    assert np.unique(toy.iris().y).tolist() == [0, 1, 2]


def test_digits_run_from_0_to_1_and_are_not_standardised():
    digits = toy.digits()
    assert (digits.X.min(), digits.X.max(), digits.scale) == (0.0, 1.0, False)


def test_blobs_are_as_separable_as_the_course_found_them():
    from sklearn.linear_model import LogisticRegression

    blobs = toy.blobs()
    assert LogisticRegression().fit(blobs.X, blobs.y).score(blobs.X, blobs.y) == pytest.approx(
        0.915, abs=0.015
    )
