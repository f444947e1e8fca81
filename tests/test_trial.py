"""The records of a trial and their way through `result.json` and `spec.json`."""

from __future__ import annotations

import math
from dataclasses import asdict, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.patience import UNHURRIED
from tuning.space.space import Choice, Float, Int, Space
from tuning.storage.durable import read_json, write_json
from tuning.trial import Finding, FoldResult, Proposal, Status, TrialResult

WORDS = st.sampled_from(["", "half batch", "ValueError: größer\n"])
NUMBERS = st.floats(allow_nan=False)  # NaN is unequal to itself: it has tests of its own
METRICS = st.dictionaries(st.sampled_from(["loss", "val_loss", "val_rmse"]), NUMBERS, max_size=3)
FOLDS = st.builds(
    FoldResult,
    fold=st.integers(0, 9),
    value=NUMBERS,
    metrics=METRICS,
    curve=st.lists(METRICS.map(lambda m: {"epoch": 1.0, **m}), max_size=3).map(tuple),
    best_epoch=st.integers(1, 9),
    seconds=st.floats(0, 1e6),
    seed=st.integers(0, 2**31),
    scores=st.just({"test_scores": 0.5, "fit_error": None}),
    diagnosis=st.lists(
        st.builds(Finding, st.just("overfitting"), st.just("note"), WORDS), max_size=2
    ).map(tuple),
)
RESULTS = st.builds(
    TrialResult,
    number=st.integers(0, 999),
    status=st.sampled_from(Status),
    value=st.none() | NUMBERS,
    metrics=METRICS,
    folds=st.lists(FOLDS, max_size=2).map(tuple),
    error=WORDS,
    copied_from=st.none() | st.just(1),
    notices=st.lists(WORDS, max_size=2).map(tuple),
)
FILES = settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, *UNHURRIED],
)


def fold(number=0, rows=(), **rest):
    return FoldResult(number, 0.5, {}, tuple(rows), best_epoch=1, seconds=1.0, seed=0, **rest)


def through(path, stored):
    write_json(path, stored)
    return read_json(path)


@FILES
@given(result=RESULTS)
def test_a_result_comes_back_from_its_file_as_it_was(tmp_path, result):
    again = TrialResult.from_json(through(tmp_path / "result.json", result.to_json()))
    assert again == result
    assert isinstance(again.status, Status)


def test_values_that_are_not_finite_come_back_as_floats(tmp_path):
    rows = [{"epoch": 1.0, "loss": math.nan}, {"epoch": 2.0, "loss": math.inf}]
    result = TrialResult(0, Status.DIVERGED, math.nan, {"loss": -math.inf}, (fold(rows=rows),))
    again = TrialResult.from_json(through(tmp_path / "result.json", result.to_json()))
    assert isinstance(again.value, float)
    assert math.isnan(again.value)
    assert again.metrics == {"loss": -math.inf}
    assert math.isnan(again.curve[0]["loss"])
    assert again.curve[1] == {"epoch": 2.0, "loss": math.inf}


def test_whole_numbers_in_a_file_come_back_as_floats():
    again = FoldResult.from_json(
        {**asdict(fold()), "value": 1, "metrics": {"loss": 2}, "curve": [{"epoch": 1}]}
    )
    assert [type(v) for v in (again.value, again.metrics["loss"], again.curve[0]["epoch"])] == [
        float
    ] * 3


def test_a_result_of_an_earlier_version_is_read_without_the_newer_fields():
    newer = ("diagnosis", "copied_from", "training_s", "rss_mb", "slot", "started_at", "ended_at")
    stored = TrialResult(2, Status.COMPLETED, 0.5, folds=(fold(),)).to_json()
    old = {key: value for key, value in stored.items() if key not in newer}
    old["folds"] = [
        {k: v for k, v in f.items() if k not in ("diagnosis", "scores")} for f in stored["folds"]
    ]
    assert TrialResult.from_json(old) == TrialResult(2, Status.COMPLETED, 0.5, folds=(fold(),))


def test_the_curve_is_the_mean_over_the_folds_and_one_that_has_stopped_counts_with_its_last_epoch():
    first = fold(0, [{"epoch": 1.0, "loss": 4.0}, {"epoch": 2.0, "loss": 3.0}])
    second = fold(1, [{"epoch": 1.0, "loss": 2.0}])
    assert TrialResult(0, Status.COMPLETED, 0.5, folds=(first, second)).curve == (
        {"epoch": 1.0, "loss": 3.0},
        {"epoch": 2.0, "loss": 2.5},
    )


def test_a_metric_that_one_fold_lacks_is_the_mean_of_the_others():
    first, second = (
        fold(0, [{"epoch": 1.0, "loss": 4.0, "auc": 0.75}]),
        fold(1, [{"epoch": 1.0, "loss": 2.0}]),
    )
    assert TrialResult(0, Status.COMPLETED, folds=(first, second)).curve == (
        {"epoch": 1.0, "loss": 3.0, "auc": 0.75},
    )


def test_a_trial_without_folds_has_no_curve():
    assert TrialResult(0, Status.FAILED, error="ValueError: no").curve == ()


def test_a_proposal_comes_back_in_the_types_of_its_space(tmp_path):
    space = Space({"n": Int(1, 9), "lr": Float(0.0, 1.0), "shape": Choice(None, (2, 3), True)})
    proposal = Proposal(
        4, {"n": 3, "lr": 1.0, "shape": (2, 3)}, epochs=9, parent=1, continued=False, call=b"secret"
    )
    stored = through(tmp_path / "spec.json", proposal.to_json())
    again = Proposal.from_json(stored, space.decode(stored["params"]))
    assert again == proposal
    assert [type(v) for v in again.params.values()] == [int, float, tuple]
    assert (again.call, "call" in stored) == (None, False)


@pytest.mark.parametrize("status", Status)
def test_a_status_is_stored_as_its_word(status):
    assert TrialResult(0, status).to_json()["status"] == status.value


def test_the_spread_is_that_of_the_means_of_repeats_over_folds():
    fits = [
        replace(fold(i), value=value, seed=i // 2) for i, value in enumerate([1.0, 3.0, 5.0, 7.0])
    ]
    result = TrialResult(0, Status.COMPLETED, 4.0, folds=tuple(fits))
    assert result.spread == pytest.approx(math.sqrt(8))
    assert result.without_curves().spread == result.spread
    assert replace(result, folds=tuple(fits[:2])).spread is None
    assert replace(result, folds=tuple(fits[:2])).without_curves().folds == ()
    broken = (*fits[:3], replace(fits[3], value=math.nan))
    assert replace(result, folds=broken).spread is None


def test_what_a_trial_used_is_in_its_file_and_no_part_of_what_it_came_to(tmp_path):
    sample = {"at": 5.0, "process_memory_megabytes": 250.0}
    result = TrialResult(0, Status.COMPLETED, 1.0, cpu_s=3.5, gpu_s=2.0, samples=(sample,))
    write_json(tmp_path / "result.json", result.to_json())
    read = TrialResult.from_json(read_json(tmp_path / "result.json"))
    assert (read.cpu_s, read.gpu_s, read.samples) == (3.5, 2.0, (sample,))
    assert read == replace(result, cpu_s=4.0, samples=())


def test_a_result_of_which_nothing_was_measured_has_the_fields_it_always_had():
    stored = TrialResult(0, Status.COMPLETED, 1.0).to_json()
    assert not {"cpu_s", "gpu_s", "samples"} & stored.keys()
