"""Equal, within the spread, or different: what two trainings are compared by."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from tests.tracking.writer.searches import search, trial
from tuning.reproduction import origin
from tuning.reproduction.comparison import Comparison, Figure, Verdict, figures_of
from tuning.reproduction.origin import changes, definition_of, device_changes

BASE = Comparison(called="trial 1", objective=Figure("val_rmse", 0.5, 0.5), spread=0.01, n_seeds=2)


def with_again(value, **changes):
    return replace(BASE, objective=Figure("val_rmse", 0.5, value), **changes)


def test_equal_is_to_the_last_digit_and_of_every_figure():
    assert BASE.verdict is Verdict.EQUAL
    assert with_again(math.nextafter(0.5, 1)).verdict is Verdict.WITHIN
    others = [Figure("epoch 1, loss", 0.3, 0.31)]
    assert replace(BASE, others=others).verdict is Verdict.WITHIN
    assert replace(BASE, others=[Figure("loss", math.nan, math.nan)]).verdict is Verdict.EQUAL


def test_within_is_two_standard_errors_of_a_difference_of_means():
    assert BASE.limit == pytest.approx(0.02)
    assert with_again(0.5199).verdict is Verdict.WITHIN
    assert with_again(0.5201).verdict is Verdict.DIFFERENT
    assert with_again(0.5201, n_seeds=1).verdict is Verdict.WITHIN


def test_without_a_spread_a_value_or_the_same_rows_it_is_different():
    assert with_again(0.501, spread=None).verdict is Verdict.DIFFERENT
    assert with_again(None).verdict is Verdict.DIFFERENT
    assert with_again(0.501, same_rows=False).verdict is Verdict.DIFFERENT


def test_curves_are_compared_epoch_by_epoch():
    _, result = trial(3)
    assert all(figure.is_equal for figure in figures_of(result, result, "val_rmse"))
    fold = result.folds[0]
    curve = (fold.curve[0], {**fold.curve[1], "val_loss": 9.0}, *fold.curve[2:])
    other = replace(result, folds=(replace(fold, curve=curve),))
    unequal = [each for each in figures_of(result, other, "val_rmse") if not each.is_equal]
    assert [figure.name for figure in unequal] == ["epoch 2, val_loss"]


def test_versions_commits_and_fields_of_the_study_are_named(tmp_path, monkeypatch):
    header = search(tmp_path).header
    monkeypatch.setattr(origin, "git_commit", lambda: "0ther")
    monkeypatch.setattr(origin, "versions_now", lambda: {"keras": "3.16.0"})
    now = {**header.definition, "epochs": 31, "new_field": 1}
    assert list(changes(header, header.definition, now)) == [
        "study: epochs was 30, is 31",
        "code: commit c0ffee, now 0ther",
        "versions: keras 3.15.1, now 3.16.0",
    ]


def test_each_trial_has_the_definition_that_it_was_asked_under(tmp_path):
    header = search(tmp_path).header
    later = replace(
        header, versions=(header.definition, {**header.definition, "epochs": 7}), begins=(0, 5)
    )
    assert definition_of(later, 4)["epochs"] == 30
    assert definition_of(later, 5)["epochs"] == 7


def test_another_kind_of_device_is_named():
    assert list(device_changes("cpu:0", "cpu:3")) == []
    assert list(device_changes("GPU-1234", "cpu:0")) == ["device: GPU-1234, now cpu:0"]
