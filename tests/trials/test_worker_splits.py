"""Which rows a worker trains, stops and scores on: groups, time, splitters, data arguments."""

from __future__ import annotations

import cloudpickle
import keras
import numpy as np
import pytest
from sklearn.model_selection import GroupKFold, RepeatedKFold, ShuffleSplit, TimeSeriesSplit
from sklearn.neighbors import KNeighborsClassifier

from tests.trials.small_study import ScriptedContext, job, net, study
from tuning import Choice, Dataset, Float, Maximize
from tuning.data.data_values import DataValues, bytes_of
from tuning.errors import ChangedError, StudyError
from tuning.study.builder_arguments import FIT_PARAMETERS
from tuning.trial import Status, TrialResult
from tuning.trials.folds import prepare_fit
from tuning.trials.trial import run_trial
from tuning.trials.worker_study import load_worker_study

SERIES = np.sin(np.arange(150) / 5.0)


def numbered(**keys) -> Dataset:
    """Rows whose only input is their number."""
    numbers = np.arange(120.0)
    return Dataset(
        "numbered", numbers.reshape(-1, 1), numbers % 7, "regression", scale=False, **keys
    )


def in_time() -> Dataset:
    return numbered(time=np.arange(120))


def in_groups() -> Dataset:
    return numbered(groups=np.arange(120) // 6)


def windows(window: int = 4) -> Dataset:
    """The next value after each window; a row spans its window and that value."""
    starts = np.arange(len(SERIES) - window)
    X = SERIES[starts[:, None] + np.arange(window)]
    spans = np.column_stack([starts, starts + window])
    return Dataset("windows", X, SERIES[starts + window], "regression", time=spans)


MADE: list[int] = []
"""The windows that `counted` was called with."""


def counted(window: int = 4) -> Dataset:
    MADE.append(window)
    return windows(window)


def worker_study(**changes):
    return load_worker_study(cloudpickle.dumps(study(**changes)), {})


def numbers(rows) -> set[int]:
    return set(rows.X[:, 0].astype(int).tolist())


def test_by_time_the_winner_is_trained_on_all_rows_up_to_the_test_part():
    defined = worker_study(data=in_time, patience=2)
    assert numbers(defined.fold(0).train) == set(range(67))
    assert numbers(defined.fold(0).stopping) == set(range(67, 90))

    final = defined.final()
    assert numbers(final.train) == set(range(90))
    point = defined.study.split_params({"lr": 0.05})
    fit = prepare_fit(defined, point, final, epochs=3, seed=0)
    assert fit.stopper is None
    fit.train()
    assert fit.last_epoch == 3


def test_at_random_the_winner_is_that_of_the_training_part_as_ever():
    defined = worker_study(data=numbered, patience=2)
    assert defined.final() is defined.fold(0)


def test_folds_by_time_stop_by_their_last_rows_and_score_later_ones():
    defined = worker_study(data=in_time, patience=2, cv=3)
    assert defined.n_fits == 3
    for fold in range(3):
        rows = defined.fold(fold)
        assert max(numbers(rows.train)) < min(numbers(rows.stopping))
        assert max(numbers(rows.stopping)) < min(numbers(rows.scoring))
    assert numbers(defined.final().train) == set(range(90))


def test_a_tuned_threshold_by_time_is_found_on_the_last_rows_before_the_test_part():
    def classes():
        data = in_time()
        return Dataset("c", data.X, np.arange(120) % 2, "binary", scale=False, time=data.time)

    defined = worker_study(
        data=classes, objective=Maximize("val_accuracy"), threshold="tuned", patience=2
    )
    assert numbers(defined.final().train) == set(range(72))
    assert numbers(defined.final().stopping) == set(range(72, 90))
    assert max(numbers(defined.fold(0).stopping)) < min(numbers(defined.fold(0).scoring))


def test_groups_stay_whole_in_folds_and_in_the_rows_that_stop_them():
    defined = worker_study(data=in_groups, patience=2, cv=3)
    for fold in range(3):
        rows = defined.fold(fold)
        sides = [
            {number // 6 for number in numbers(part)}
            for part in (rows.train, rows.stopping, rows.scoring)
        ]
        assert sum(map(len, sides)) == len(set.union(*sides))


@pytest.mark.parametrize(
    ("cv", "data", "n_fits"),
    [
        (RepeatedKFold(n_splits=3, n_repeats=2, random_state=0), numbered, 6),
        (ShuffleSplit(4, random_state=0), numbered, 4),
        (GroupKFold(5), in_groups, 5),
        (TimeSeriesSplit(4, gap=2), in_time, 4),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_splitter_makes_as_many_fits_as_it_cuts_folds(cv, data, n_fits, tmp_path):
    defined = study(data=data, cv=cv, epochs=1)
    result = run_trial(job(tmp_path, defined), ScriptedContext())
    assert (result.status, len(result.folds)) == (Status.COMPLETED, n_fits)


def noise_within_groups() -> Dataset:
    """Inputs that tell the group; each group has a label of its own, drawn at random."""
    random = np.random.default_rng(5)
    of_group = np.arange(1600) // 4
    centres = random.normal(size=(400, 6))
    X = centres[of_group] + 0.01 * random.normal(size=(1600, 6))
    return Dataset("noise", X, random.integers(0, 2, 400)[of_group], "binary", groups=of_group)


@pytest.mark.parametrize(
    ("split", "least", "most"), [(None, 0.38, 0.62), ("random", 0.9, 1.0)], ids=["group", "random"]
)
def test_labels_that_are_noise_within_groups_are_guessed_by_chance(split, least, most):
    settings = {"data": noise_within_groups, "objective": Maximize("val_accuracy"), "split": split}
    defined = worker_study(cv=4, patience=2, **settings)

    def accuracy(train, scored):
        model = KNeighborsClassifier(1).fit(train.X, train.y)
        return float(np.mean(model.predict(scored.X) == scored.y))

    folds = [defined.fold(fold) for fold in range(4)]
    parts = worker_study(**settings).parts.scaled()
    scores = {
        "folds": np.mean([accuracy(rows.train, rows.scoring) for rows in folds]),
        "stopping": np.mean([accuracy(rows.train, rows.stopping) for rows in folds]),
        "validation": accuracy(parts.train, parts.validation),
        "test": accuracy(parts.train, parts.test),
    }
    assert all(least <= score <= most for score in scores.values()), scores


# Arguments of the data.


def test_an_argument_of_the_data_gives_each_trial_its_own_rows(tmp_path):
    defined = study(data=windows, space={"window": Choice(4, 9)}, epochs=1)
    results = {}
    for number, window in enumerate((4, 9, 9)):
        trial = job(tmp_path / str(number), defined, number=number, params={"window": window})
        results[number] = run_trial(trial, ScriptedContext())

    assert [result.status for result in results.values()] == [Status.COMPLETED] * 3
    digests = [result.data_digest for result in results.values()]
    assert digests == [windows(4).digest, windows(9).digest, windows(9).digest]
    assert TrialResult.from_json(results[1].to_json()).data_digest == digests[1]


def test_where_no_argument_is_searched_a_result_says_nothing_of_its_data(tmp_path):
    result = run_trial(job(tmp_path, study(epochs=1)), ScriptedContext())
    assert "data_digest" not in result.to_json()


def test_a_fixed_argument_of_the_data_is_that_of_all_trials():
    defined = worker_study(data=windows, fixed={"window": 7})
    assert defined.parts.input_shape == (7,)
    assert defined.for_params({"lr": 0.1}) is defined
    assert defined.builder_arguments["input_shape"] == (7,)


def test_an_argument_without_a_default_is_checked_with_the_first_of_its_values():
    def needs(window):
        return windows(window)

    defined = worker_study(data=needs, space={"window": Choice(5, 8)})
    assert defined.parts.input_shape == (5,)


def test_windows_share_no_moment_with_the_part_before():
    defined = worker_study(data=windows, fixed={"window": 7})
    parts = defined.parts
    assert parts.train.time.max() < parts.validation.time.min()
    assert parts.validation.time.max() < parts.test.time.min()
    assert parts.notices[-1] == "14 rows stand in no part: their group or time is on both sides"


def test_data_of_a_value_are_made_once():
    defined = worker_study(data=counted, space={"window": Choice(4, 5)})
    MADE.clear()
    assert defined.for_data({"window": 5}) is defined.for_data({"window": 5})
    assert defined.for_data({"window": 4}) is defined
    assert MADE == [5]


def test_values_are_kept_as_memory_allows():
    parts = worker_study(data=windows).parts

    class Kept:
        def __init__(self):
            self.parts = parts

    values = DataValues(most_bytes=2 * bytes_of(parts))
    first = values.get("a", Kept)
    values.get("b", Kept)
    assert values.get("a", Kept) is first
    values.get("c", Kept)  # "b" was used longest ago
    assert len(values) == 2
    assert values.get("a", Kept) is first


def test_data_that_are_no_longer_what_a_trial_had_are_refused():
    defined = worker_study(data=windows, space={"window": Choice(4, 5)})
    assert defined.for_data({"window": 5}, windows(5).digest)
    with pytest.raises(ChangedError, match=r"data\(window=5\) gives other rows than before"):
        defined.for_data({"window": 5}, windows(6).digest)


def test_wrong_data_of_a_value_name_the_value():
    defined = worker_study(data=windows, space={"window": Choice(4, 148)})
    with pytest.raises(StudyError, match=r"data\(window=148\): cannot split 2 rows in three"):
        defined.for_data({"window": 148})


def test_a_name_that_builder_and_data_take_goes_to_both():
    def builder(window: int, lr: float, input_shape: tuple[int, ...] = (4,)) -> keras.Model:
        return net(lr, window, input_shape=input_shape)

    space = {"window": Choice(4, 9), "lr": Float(0.01, 0.1)}
    defined = study(data=windows, builder=builder, space=space)
    point = defined.split_params({"window": 9, "lr": 0.1})
    assert (point.data, point.builder) == ({"window": 9}, {"window": 9, "lr": 0.1})


def test_what_nobody_takes_is_refused_with_what_the_data_take():
    with pytest.raises(StudyError) as raised:
        study(data=windows, space={"windw": Choice(4, 9)})
    assert "nothing takes 'windw'. Did you mean 'window'?" in str(raised.value)
    fit_takes = f"fit takes: {', '.join(FIT_PARAMETERS)}"
    assert str(raised.value).endswith(f"{fit_takes}; data takes: window.")


def test_an_argument_of_the_data_that_nobody_gives_is_missing():
    def needs(window):
        return windows(window)

    with pytest.raises(StudyError, match="needs needs 'window', which has no default"):
        study(data=needs)


@pytest.mark.parametrize("engine", ["gridsearchcv", "halvingrandomsearchcv"])
def test_engines_of_scikit_learn_cannot_search_arguments_of_the_data(engine):
    with pytest.raises(StudyError, match=f"{engine} gives every trial the same rows, but 'window'"):
        study(data=windows, space={"window": Choice(4, 9)}, engine=engine)
    assert study(data=windows, fixed={"window": 9}, engine=engine)


def test_a_split_is_part_of_the_definition_where_one_is_asked_for():
    assert "split" not in study().definition()
    assert study(split="random").definition()["split"] == "random"
    with pytest.raises(StudyError, match=r"split 'grup' is unknown\. Did you mean 'group'"):
        study(split="grup")


def test_a_study_with_a_splitter_is_the_same_in_another_process():
    defined = study(data=in_time, cv=TimeSeriesSplit(4, gap=2))
    again = cloudpickle.loads(cloudpickle.dumps(defined))
    assert again.hash == defined.hash != study(data=in_time, cv=TimeSeriesSplit(4, gap=3)).hash
