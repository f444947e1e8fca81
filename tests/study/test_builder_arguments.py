"""Which arguments each kind of builder takes, and what fills them."""

from __future__ import annotations

import functools

import numpy as np
import pytest

from tuning.data.dataset import Dataset
from tuning.space.domains import Choice, Int
from tuning.study.fingerprint import fingerprint
from tuning.study.objective import Minimize
from tuning.study.study import Study


def data():
    rows = np.arange(24.0).reshape(12, 2)
    return Dataset("rows", rows, rows[:, 0], "regression")


def classes():
    rows = np.arange(24.0).reshape(12, 2)
    return Dataset("rows", rows, np.arange(12) % 3, "multiclass")


def with_keywords(batch_size, **rest):
    return batch_size, rest


class Builder:
    """An object that is called."""

    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, depth: int = 1, lr: float = 0.1):
        return self.width, depth, lr

    def build(self, depth: int = 1):
        return self.width, depth


def study_of(builder, space, **fields):
    values = {"data": data, "objective": Minimize("val_rmse"), **fields}
    return Study(name="taken", builder=builder, space=space, **values)


def test_a_builder_with_keywords_gets_a_batch_size_that_it_names():
    study = study_of(with_keywords, {"depth": Int(1, 3), "batch_size": Choice(16, 32)})
    arguments, fit = study.split_params({"depth": 2, "batch_size": 16})[:2]
    assert study.builder(**arguments) == (16, {"depth": 2})
    assert fit["batch_size"] == 16


@pytest.mark.parametrize(
    ("builder", "result"),
    [
        (Builder(7), (7, 2, 0.1)),
        (Builder(7).build, (7, 2)),
        (functools.partial(Builder(7), lr=0.5), (7, 2, 0.5)),
    ],
)
def test_objects_methods_and_partials_take_the_point(builder, result):
    study = study_of(builder, {"depth": Int(1, 3)})
    arguments = study.split_params({"depth": 2}).builder
    assert study.builder(**arguments) == result
    assert fingerprint(builder) == fingerprint(builder)


def test_scikeras_meta_and_compile_kwargs_are_filled_where_they_have_no_default():
    def build(meta, compile_kwargs, depth=1):
        return meta, compile_kwargs

    study = study_of(build, {"depth": Int(1, 3)}, data=classes)
    meta, compile_kwargs = build(**study.from_data(classes()))
    assert compile_kwargs == {}
    assert (meta["n_features_in_"], meta["X_shape_"]) == (2, (12, 2))
    assert (meta["n_classes_"], meta["target_type_"]) == (3, "multiclass")
    assert meta["n_outputs_expected_"] == 1


def test_an_argument_called_meta_with_a_default_is_left_alone():
    def build(depth=1, meta=None):
        return meta

    study = study_of(build, {"depth": Int(1, 3)})
    assert "meta" not in study.from_data(data())
