"""What a simulated trial gives: recorded curves, their parts, and what stands for points between
them.
"""

import math

import pytest

from tests.simulation.recorded import GRID, LINE, replayed, seconds_of, value_of, write
from tuning.errors import StudyError
from tuning.simulation.outcomes import FunctionOutcomes, RecordedOutcomes, Training
from tuning.simulation.recording import load_recording
from tuning.study.objective import Minimize
from tuning.study.study import load_study
from tuning.trial import Proposal, Status

POINT = {"n": 3, "lr": 0.1}
LINE_POINTS = [{"lr": 10.0**-power} for power in (4, 3, 2, 1, 0)]


def trained(folder, params=POINT, seed=0, **changes):
    return replayed(folder, **changes).outcomes.training(params, seed)


def test_a_recorded_point_gives_its_curve_and_its_seconds(tmp_path):
    training = trained(tmp_path)
    assert training.values == [value_of(POINT, 0, 0, epoch) for epoch in range(1, 5)]
    assert training.ends == pytest.approx([seconds_of(POINT, epoch) for epoch in range(1, 5)])
    assert training.overhead_s == pytest.approx(0.5)


def test_seeds_go_round(tmp_path):
    outcomes = replayed(tmp_path, seeds=[1, 2]).outcomes
    assert outcomes.training(POINT, 0).values == outcomes.training(POINT, 2).values
    assert outcomes.training(POINT, 0).values != outcomes.training(POINT, 1).values


def test_folds_count_with_their_mean_and_the_sum_of_their_seconds(tmp_path):
    training = trained(tmp_path, cv=2)
    result = training.result(Proposal(3, POINT, 4), 0, 4)
    assert result.value == pytest.approx((value_of(POINT, 0, 0, 4) + value_of(POINT, 0, 1, 4)) / 2)
    assert training.ends[-1] == pytest.approx(2 * seconds_of(POINT, 4))
    assert (result.number, result.epochs, len(result.folds)) == (3, 8, 2)


def test_fewer_epochs_than_recorded_end_with_the_value_of_their_last(tmp_path):
    result = trained(tmp_path).result(Proposal(0, POINT, 2), 0, 2)
    assert (result.value, result.epochs) == (value_of(POINT, 0, 0, 2), 2)


def test_with_patience_the_best_epoch_so_far_is_kept(tmp_path):
    def u_shaped(params, seed, fold, epoch):
        return abs(epoch - 2) + params["lr"]

    training = trained(tmp_path, patience=3, value=u_shaped)
    assert [
        training.result(Proposal(0, POINT, e), 0, e).folds[0].best_epoch for e in (1, 2, 3, 4)
    ] == [1, 2, 2, 2]


def test_a_continued_trial_has_the_epochs_after_its_parents(tmp_path):
    result = trained(tmp_path).result(Proposal(0, POINT, 4), 2, 4)
    assert [row["epoch"] for row in result.curve] == [3, 4]
    assert result.epochs == 2
    assert result.training_s == pytest.approx(seconds_of(POINT, 4) - seconds_of(POINT, 2))


def test_a_trial_that_ended_before_it_diverged_is_completed(tmp_path):
    training = trained(tmp_path, ends={GRID.grid().index(POINT): Status.DIVERGED})
    assert training.result(Proposal(0, POINT, 3), 0, 3).status is Status.COMPLETED
    assert training.result(Proposal(0, POINT, 4), 0, 4).status is Status.DIVERGED


def test_a_trial_fails_where_a_fold_diverged_and_the_folds_after_it_are_not_begun(
    tmp_path,
):
    path = write(tmp_path, cv=3)
    read = load_recording(path)
    read.status[:] = "diverged"
    read.lengths[:, :, 1:] = [2, 0]
    read.values[:, :, 1, 2:] = read.values[:, :, 2] = read.seconds[:, :, 1, 2:] = read.seconds[
        :, :, 2
    ] = float("nan")
    training = RecordedOutcomes(read).training(POINT, 0)
    assert training.result(Proposal(0, POINT, 1), 0, 1).status is Status.COMPLETED
    assert training.result(Proposal(0, POINT, 2), 0, 2).status is Status.DIVERGED
    assert training.ends[-1] == pytest.approx(seconds_of(POINT, 4) + seconds_of(POINT, 2))


def test_a_failed_point_fails(tmp_path):
    training = trained(tmp_path, ends={GRID.grid().index(POINT): Status.FAILED})
    result = training.result(Proposal(0, POINT, 4), 0, 0)
    assert (result.status, result.value, result.epochs) == (Status.FAILED, None, 0)


def test_a_point_between_is_between_its_neighbours_and_nearest_to_the_nearest(tmp_path):
    outcomes = replayed(tmp_path, LINE, LINE_POINTS).outcomes
    low, near, far, high = (
        outcomes.training({"lr": lr}, 0).values[-1] for lr in (0.1, 0.12, 0.9, 1.0)
    )
    assert low < near < far < high
    assert near - low < far - low
    assert outcomes.between == 2
    assert "nearest" in outcomes.words


def test_exact_refuses_a_point_between_and_says_what_would_work(tmp_path):
    outcomes = replayed(tmp_path, LINE, LINE_POINTS, exact=True).outcomes
    with pytest.raises(StudyError) as told:
        outcomes.training({"lr": 0.5}, 0)
    assert str(told.value) == (
        "made: lr=0.5 was not recorded (5 points are); leave --exact out, "
        "take an engine that proposes grid points, "
        "or record more points"
    )


def test_what_fails_does_not_pull_at_its_neighbours_and_what_is_nearest_to_it_fails(tmp_path):
    outcomes = replayed(tmp_path, LINE, LINE_POINTS, ends={4: Status.FAILED}).outcomes
    assert outcomes.training({"lr": 0.9}, 0).status is Status.FAILED
    near = outcomes.training({"lr": 0.11}, 0)
    assert near.status is Status.COMPLETED
    assert near.values[-1] < 2.5


def test_a_neighbour_that_always_fails_has_no_say_in_what_is_expected(tmp_path):
    outcomes = replayed(tmp_path, LINE, LINE_POINTS, ends={4: Status.DIVERGED}).outcomes
    assert 0.0 < outcomes.expected({"lr": 0.2}) < 10.0


def test_a_point_that_fails_on_one_training_seed_is_worth_nothing(tmp_path):
    outcomes = replayed(
        tmp_path, LINE, LINE_POINTS, seeds=[1, 2], ends={(4, 1): Status.DIVERGED}
    ).outcomes
    assert outcomes.expected(LINE_POINTS[4]) == math.inf
    assert outcomes.expected({"lr": 0.9}) == math.inf  # whose nearest it is
    assert outcomes.training(LINE_POINTS[4], 0).status is Status.COMPLETED


def test_folds_count_with_the_epochs_that_each_has_trained():
    training = Training(
        objective=Minimize("val_loss"),
        ends=[1.0, 2.0, 3.0],
        values=[3.0, 2.0, 1.0],
        folds=[[3.0] * 3] * 2,
        lengths=[1, 3],
        best=[1, 3],
    )
    assert [training.epochs(*span) for span in ((0, 1), (0, 3), (1, 3), (2, 9))] == [2, 4, 2, 1]


def test_the_expected_value_is_the_mean_over_training_seeds(tmp_path):
    outcomes = replayed(tmp_path, seeds=[1, 2, 3]).outcomes
    assert outcomes.expected(POINT) == pytest.approx(value_of(POINT, 1, 0, 4))
    assert outcomes.best == pytest.approx(min(value_of(point, 1, 0, 4) for point in GRID.grid()))


def test_a_functions_values_are_those_of_a_real_trial_and_its_expected_value_is_without_noise():
    study = load_study("noisy_branin")
    outcomes = FunctionOutcomes(study)
    training = outcomes.training({"x1": 1.0, "x2": 2.0}, 0)
    assert len(training.values) == 27
    assert training.ends[-1] == 27.0
    assert outcomes.expected({"x1": 1.0, "x2": 2.0}) != training.values[-1]
    assert outcomes.best == pytest.approx(0.397887, abs=1e-6)
