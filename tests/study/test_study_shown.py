"""A study in a notebook: a line, and a table of what is searched."""

from __future__ import annotations

import pytest

from tuning import Dataset, Float, Int, Maximize, Minimize, Study


def data() -> Dataset:
    raise AssertionError("nobody asked for it")


def build(n=1, lr=0.1):
    raise AssertionError("nobody asked for it")


def build_of_hp(hp):
    raise AssertionError("nobody asked for it")


@pytest.fixture
def study():
    return Study(
        name="small",
        builder=build,
        data=data,
        objective=Minimize("val_rmse"),
        space={"n": Int(1, 3), "lr": Float(1e-3, 1e-1, log=True)},
        trials=7,
        epochs=9,
    )


def test_its_repr_says_what_is_searched_for_by_whom_over_what(study):
    assert repr(study) == (
        "Study('small': minimize val_rmse, optuna:tpe, 7 trials of at most 9 epochs, "
        "searching n, lr)"
    )


def test_its_html_has_each_parameter_with_its_values(study):
    page = study._repr_html_()
    for text in ("Study small", "minimize val_rmse", "build", "1 … 3", "0.001 … 0.1, log"):
        assert text in page


def test_a_builder_of_hp_is_not_run_to_be_shown():
    study = Study(name="small", builder=build_of_hp, data=data, objective=Maximize("val_accuracy"))
    assert repr(study).endswith("what its builder asks for)")
    assert "what its builder asks for" in study._repr_html_()


def test_a_long_fixed_argument_is_cut(study):
    page = study.with_(space={"n": Int(1, 3)}, fixed={"lr": [0.1] * 100})._repr_html_()
    assert "…" in page
    assert len(page) < 3000
