"""`Study`: every fault at once in exact words, its definition, and who gets which parameter."""

from __future__ import annotations

import re
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.model_selection import TimeSeriesSplit

from tuning.data.dataset import Dataset
from tuning.errors import StudyError
from tuning.space.space import Choice, Float, Int, Space
from tuning.study.engine_spec import engine_specs
from tuning.study.objective import Maximize, Minimize
from tuning.study.study import Study, derive_seed


def build_model(n_hidden=1, n_neurons=30, lr=1e-3, input_shape=(8,)):
    return None


def build_other(n_hidden=1, n_neurons=30, lr=1e-3, input_shape=(8,)):
    return 1


def data():
    return Dataset("t", np.zeros((4, 3)), np.zeros((4, 2)), "regression")


SPACE = {"n_hidden": Int(0, 3), "n_neurons": Int(1, 100)}
GIVEN = {
    "name": "housing",
    "builder": build_model,
    "data": data,
    "objective": Minimize("val_rmse"),
    "space": SPACE,
}
STUDY = Study(**GIVEN)
TAKES = (
    "build_model takes: n_hidden, n_neurons, lr, input_shape; "
    "fit takes: batch_size, epochs, patience, class_weight."
)


def error_of(**changes):
    with pytest.raises(StudyError) as caught:
        Study(**{**GIVEN, **changes})
    return caught.value


def test_a_name_that_nothing_takes_is_told_as_the_readme_says():
    assert str(error_of(space={"n_hidden": Int(0, 3), "n_neuron": Int(1, 100)})) == (
        f"study 'housing': nothing takes 'n_neuron'. Did you mean 'n_neurons'? {TAKES}"
    )


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"name": "My study"},
            "name 'My study' must match [a-z0-9][a-z0-9_-]* and have at most 64 characters",
        ),
        ({"name": 3}, "name 3 must match [a-z0-9][a-z0-9_-]* and have at most 64 characters"),
        ({"builder": 3}, "builder must be a function that returns a compiled keras.Model, got 3"),
        ({"data": "x.csv"}, "data must be a function that returns a Dataset, got 'x.csv'"),
        (
            {"data": Dataset("rows", np.zeros((99, 2)), np.zeros(99), "regression")},
            "data must be a function that returns a Dataset, got a Dataset; give a function that "
            "returns it, so that each worker can make its own",
        ),
        (
            {"callbacks": [object()]},
            "callbacks must be a function that returns fresh Keras callbacks, e.g. "
            "lambda: [ReduceLROnPlateau('val_loss')], got a list",
        ),
        (
            {"space": {"n_hidden": [1, 2]}},
            "space: 'n_hidden' is [1, 2]; use Int, Float or Choice, e.g. Choice(1, 2)",
        ),
        (
            {"space": {"n_hidden": 2}},
            "space: 'n_hidden' is 2; use Int, Float or Choice; a value that is not searched "
            "belongs into fixed=",
        ),
        (
            {"objective": "val_rmse"},
            'objective must be Minimize("val_…") or Maximize("val_…"), got \'val_rmse\'',
        ),
        (
            {"objective": Minimize("rmse")},
            "objective 'rmse' is not a validation metric; use 'val_rmse'",
        ),
        ({"fixed": {"widht": 3}}, f"nothing takes 'widht'. {TAKES}"),
        ({"fixed": {"n_hidden": 3}}, "'n_hidden' is both searched and fixed; keep one"),
        (
            {"space": {"n_hidden": Int(3, 0)}},
            f"space: 'n_hidden': {Int(3, 0)}: low 3 is above high 0; swap them",
        ),
        (
            {"intervals": {"lr": (0.1, 1.0)}},
            "intervals: 'lr' is not from a range test in the space",
        ),
        (
            {"engine": "optuna:tpo"},
            "engine 'optuna:tpo' is unknown. "
            f"Did you mean 'optuna:tpe'? There are: {', '.join(engine_specs())}",
        ),
        (
            {"pruner": "median", "engine": "capacity"},
            "pruner 'median' works with Optuna's engines only, not with capacity; "
            "use --pruner none",
        ),
        (
            {"trainer": "fast"},
            "trainer 'fast' is unknown. There are: auto, compiled, fit, function",
        ),
        (
            {"trials": None},
            "trials is None and there is no timeout, but optuna:tpe never ends by itself; "
            "give one of them",
        ),
        (
            {
                "trials": None,
                "engine": "keras-tuner:random",
                "space": {**SPACE, "lr": Float(0.1, 1.0)},
                "fixed": {},
            },
            "trials is None and there is no timeout, "
            "but keras-tuner:random never ends by itself; give one of them",
        ),
        (
            {"space": {**SPACE, "batch_size": Choice(0, 32)}},
            f"batch_size must be whole numbers, at least 1, got {Choice(0, 32)}; "
            "e.g. Choice(16, 32, 64)",
        ),
        (
            {"space": {**SPACE, "batch_size": Choice(None, 32)}},
            f"batch_size must be whole numbers, at least 1, got {Choice(None, 32)}; "
            "e.g. Choice(16, 32, 64)",
        ),
        (
            {"space": {**SPACE, "batch_size": Float(16, 64)}},
            f"batch_size must be whole numbers, at least 1, got {Float(16, 64)}; "
            "e.g. Choice(16, 32, 64)",
        ),
        (
            {"space": {**SPACE, "batch_size": Int(-4, 8)}},
            f"batch_size must be whole numbers, at least 1, got {Int(-4, 8)}; "
            "e.g. Choice(16, 32, 64)",
        ),
    ],
)
def test_each_fault_in_its_words(changes, fault):
    assert error_of(**changes).faults == (fault,)


@pytest.mark.parametrize(
    ("name", "bad", "least"),
    [
        ("epochs", 0, 1),
        ("epochs", True, 1),
        ("epochs", 2.0, 1),
        ("batch_size", "32", 1),
        ("seed", -1, 0),
        ("patience", 0, 1),
        ("trials", 0, 1),
        ("top_k", None, 1),
        ("seeds", 0, 1),
        ("attempts", 0, 1),
        ("max_failures", 0, 1),
        ("gpus_per_trial", 0, 1),
    ],
)
def test_whole_numbers_have_a_least_value(name, bad, least):
    assert error_of(**{name: bad}).faults == (
        f"{name} must be a whole number, at least {least}, got {bad!r}",
    )


@pytest.mark.parametrize("bad", [1, True, "3", TimeSeriesSplit])
def test_cv_is_a_number_of_folds_or_a_splitter(bad):
    assert error_of(cv=bad).faults == (
        "cv must be a whole number, at least 2, or a splitter such as TimeSeriesSplit(), "
        f"got {bad!r}",
    )
    assert STUDY.with_(cv=TimeSeriesSplit(4)).definition()["cv"].startswith("TimeSeriesSplit(gap=0")


@pytest.mark.parametrize("bad", [0, -1.0, "60", True, float("nan")])
@pytest.mark.parametrize("name", ["timeout", "trial_timeout", "no_progress_timeout"])
def test_times_are_seconds_above_0(name, bad):
    assert error_of(**{name: bad}).faults == (
        f"{name} must be a number of seconds above 0, got {bad!r}",
    )


def test_only_two_of_the_times_may_be_left_open():
    Study(**GIVEN, timeout=None, trial_timeout=None)
    fault = "no_progress_timeout must be a number of seconds above 0, got None"
    assert error_of(no_progress_timeout=None).faults == (fault,)


@pytest.mark.parametrize("bad", [0.0, 1.0, 0, -3, True, "0.25", float("nan")])
def test_sizes_are_shares_between_0_and_1_or_rows(bad):
    assert error_of(test_size=bad).faults == (
        f"test_size must be a share between 0 and 1, or rows, at least 1, got {bad!r}",
    )


def test_every_fault_is_told_at_once_in_order():
    error = error_of(
        name="Housing!",
        data=None,
        objective=Minimize("rmse"),
        epochs=0,
        space={"n_neuron": Int(9, 1)},
    )
    assert [fault.split()[0] for fault in error.faults] == [
        "name",
        "data",
        "objective",
        "space:",
        "epochs",
        "nothing",
    ]
    assert str(error).startswith("study 'Housing!': 6 faults:\n  - name 'Housing!' must match")


def test_unknown_and_missing_fields_are_told_together():
    with pytest.raises(StudyError) as caught:
        Study(name="a", bilder=build_model, data=data, objective=Minimize("val_rmse"), spaec={})
    assert caught.value.faults == (
        "a study has no 'bilder'. Did you mean 'builder'?",
        "a study has no 'spaec'. Did you mean 'space'?",
        "'builder' is missing",
        "'space' is missing",
    )


def test_a_study_without_a_space_is_told_so():
    with pytest.raises(StudyError, match="'space' is missing"):
        Study(name="a", builder=build_model, data=data, objective=Minimize("val_rmse"), space=None)


def test_an_argument_without_a_default_must_be_given_unless_the_data_or_fit_gives_it():
    def build(n_hidden, n_neurons, width, *, depth, task, n_outputs, input_shape, batch_size):
        return None

    assert error_of(builder=build).faults == tuple(
        f"build needs '{name}', which has no default: put it into space or fixed"
        for name in ("width", "depth")
    )
    Study(**{**GIVEN, "builder": build}, fixed={"width": 1, "depth": 2})


def test_a_builder_that_takes_anything_is_given_anything():
    Study(**{**GIVEN, "builder": lambda **rest: None}, fixed={"whatever": 1})


def test_batch_size_may_be_searched_by_any_study():
    assert (
        "batch_size" in Study(**{**GIVEN, "space": {**SPACE, "batch_size": Choice(16, 32)}}).space
    )


def test_with_gives_a_checked_copy_and_leaves_the_study_as_it_was():
    assert (STUDY.with_(epochs=7).epochs, STUDY.epochs) == (7, 30)
    with pytest.raises(StudyError, match=r"^study 'housing': epochs must be"):
        STUDY.with_(epochs=0)
    with pytest.raises(StudyError, match=r"a study has no 'epoch'\. Did you mean 'epochs'\?$"):
        STUDY.with_(epoch=7)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "other"},
        {"builder": lambda **rest: 3},
        {"builder": build_other},
        {"data": lambda: None},
        {"objective": Maximize("val_r2")},
        {"objective": Minimize("val_mae")},
        {"space": {**SPACE, "n_hidden": Int(0, 4)}},
        {"space": {"n_hidden": Int(0, 3)}},
        {"space": {**SPACE, "n_neurons": Int(1, 100).when(n_hidden=1)}},
        {"fixed": {"lr": 0.1}},
        {"engine": "optuna:random"},
        {"pruner": "asha"},
        {"epochs": 31},
        {"batch_size": 33},
        {"patience": 5},
        {"cv": 3},
        {"seed": 1},
        {"test_size": 0.2},
        {"validation_size": 0.2},
        {"gpus_per_trial": 2},
        {"gpus_per_trial": 2, "batch_size_is": "per_replica"},
        {"gpus_per_trial": 2, "batch_size_is": "per_replica", "scale_lr": True},
        {"trainer": "fit"},
    ],
)
def test_what_makes_searches_incomparable_changes_the_definition(change):
    assert STUDY.with_(**change).hash != STUDY.hash


@pytest.mark.parametrize(
    "change",
    [
        {"trials": 99},
        {"timeout": 9.0},
        {"trial_timeout": 9.0},
        {"no_progress_timeout": 9.0},
        {"attempts": 9},
        {"max_failures": 9},
        {"top_k": 9},
        {"seeds": 9},
    ],
)
def test_budgets_do_not_change_the_definition(change):
    assert STUDY.with_(**change).definition() == STUDY.definition()


TRIALS_SHAPE_PROPOSALS = (
    "gridsearchcv",
    "randomizedsearchcv",
    "halvinggridsearchcv",
    "halvingrandomsearchcv",
    "optuna:grid",
    "optuna:nsga2",
    "keras-tuner:grid",
    "keras-tuner:bayesian",
)


@pytest.mark.parametrize("engine", engine_specs())
def test_trials_are_in_the_definition_only_where_the_engine_goes_by_them(engine):
    study = STUDY.with_(engine=engine, trials=5)
    assert (study.with_(trials=6).hash != study.hash) is (engine in TRIALS_SHAPE_PROPOSALS)


def test_a_function_among_the_fixed_arguments_is_told_without_its_address():
    assert "0x" not in str(STUDY.with_(fixed={"lr": build_other}).definition()["fixed"])


def test_the_definition_names_where_a_range_test_looks_whatever_it_found():
    study = STUDY.with_(space={"lr": "from_range_test"})
    narrow = study.with_(intervals={"lr": (1e-3, 1e-1)})
    assert (
        narrow.definition()["from_range_test"]
        == study.definition()["from_range_test"]
        == {"lr": "1e-05 … 1.0"}
    )
    assert (narrow.space["lr"].low, narrow.hash == study.hash) == (1e-3, False)


def _split(study, params):
    point = study.split_params(params)
    return point.builder, {"batch_size": point.batch_size}


def test_each_parameter_goes_to_whom_takes_it_with_the_fixed_ones():
    study = STUDY.with_(
        space={"n_hidden": Int(0, 3), "batch_size": Choice(16, 32)}, fixed={"lr": 0.1}
    )
    assert _split(study, {"n_hidden": 2, "batch_size": 16}) == (
        {"lr": 0.1, "n_hidden": 2},
        {"batch_size": 16},
    )
    assert _split(study, {"n_hidden": 2}) == ({"lr": 0.1, "n_hidden": 2}, {"batch_size": 32})


def test_a_fixed_batch_size_is_trained_with():
    study = STUDY.with_(fixed={"lr": 0.1, "batch_size": 8})
    assert _split(study, {"n_hidden": 2}) == ({"lr": 0.1, "n_hidden": 2}, {"batch_size": 8})
    with pytest.raises(StudyError, match="batch_size must be a whole number, at least 1, got 0"):
        STUDY.with_(fixed={"batch_size": 0})


def test_a_model_in_place_of_its_function_is_told(monkeypatch):
    class Model:
        def __call__(self, inputs):
            return inputs

    # The driver imports no Keras; whoever made a model has.
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(Model=Model))
    assert str(error_of(builder=Model())) == (
        "study 'housing': builder must be a function that returns a compiled keras.Model, "
        "got a Model; give the function itself, builder=build_model"
    )


@pytest.mark.parametrize(
    ("objective", "better"),
    [
        (Maximize("val_rmse"), 'Minimize("val_rmse")'),
        (Minimize("val_accuracy"), 'Maximize("val_accuracy")'),
        (Maximize("val_loss"), 'Minimize("val_loss")'),
    ],
)
def test_an_objective_that_looks_for_the_worst_model_is_refused(objective, better):
    wrong = f"to {objective.direction} {objective.metric} finds the worst model; use {better}"
    with pytest.raises(StudyError, match=re.escape(wrong)):
        STUDY.with_(objective=objective)
    assert (
        STUDY.with_(objective=objective, trainer="function").objective == objective
    )  # the name means nothing there


def test_a_name_that_both_take_goes_to_both():
    study = STUDY.with_(
        builder=lambda n_hidden, batch_size: None,
        space={"n_hidden": Int(0, 3), "batch_size": Choice(16)},
    )
    assert _split(study, {"n_hidden": 2, "batch_size": 16}) == (
        {"n_hidden": 2, "batch_size": 16},
        {"batch_size": 16},
    )


def test_a_builder_that_takes_anything_gets_all_but_the_fit_settings():
    study = STUDY.with_(builder=lambda **rest: None, fixed={"lr": 0.1})
    assert _split(study, {"n_hidden": 2, "batch_size": 16}) == (
        {"lr": 0.1, "n_hidden": 2},
        {"batch_size": 16},
    )


def test_the_data_gives_what_the_builder_names_and_nobody_else_gives():
    def build(n_hidden=1, input_shape=(8,), task="", n_outputs=1):
        return None

    study = STUDY.with_(builder=build, space={"n_hidden": Int(0, 3)}, fixed={"task": "binary"})
    assert study.from_data(data()) == {"input_shape": (3,), "n_outputs": 2}
    assert STUDY.from_data(data()) == {"input_shape": (3,)}
    assert STUDY.with_(builder=lambda **rest: None).from_data(data()) == {}


def test_an_objective_knows_its_better_side_and_its_plain_name():
    low, high = Minimize("val_rmse"), Maximize("val_accuracy")
    assert (low.name, low.better(1, 2), high.better(1, 2), low.better(1, 1), high.better(1, 1)) == (
        "rmse",
        True,
        False,
        False,
        False,
    )
    assert [sorted([2.0, 1.0, 3.0], key=objective.key) for objective in (low, high)] == [
        [1, 2, 3],
        [3, 2, 1],
    ]


def test_derived_seeds_are_the_same_in_every_version():
    assert (derive_seed(0, "finalist", 0), derive_seed(42, "split")) == (2112095332, 1164351124)


def test_derived_seeds_differ_by_seed_purpose_and_rank_and_fit_31_bits():
    seeds = [
        derive_seed(s, p, i) for s in range(10) for p in ("finalist", "trial") for i in range(50)
    ]
    assert len(set(seeds)) == len(seeds) == 1000
    assert 0 <= min(seeds) <= max(seeds) < 2**31


def test_a_space_may_be_given_ready_made():
    assert STUDY.with_(space=Space(SPACE)).definition() == STUDY.definition()


def test_a_faulty_float_in_the_space_is_told_with_its_study():
    assert str(error_of(space={"lr": Float(0.0, 0.1, log=True)})) == (
        f"study 'housing': space: 'lr': {Float(0.0, 0.1, log=True)}: a log range must start "
        "above 0, got 0.0"
    )


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        (
            {"batch_size_is": "local"},
            "batch_size_is must be 'global' or 'per_replica', got 'local'",
        ),
        (
            {"gpus_per_trial": 2, "scale_lr": True},
            "scale_lr goes with batch_size_is='per_replica': a global batch is as large on any "
            "number of GPUs",
        ),
        (
            {"gpus_per_trial": 3},
            "batch_size 32 cannot be shared out evenly over 3 GPUs; use multiples of 3, or "
            "batch_size_is='per_replica'",
        ),
        ({"batch_size_is": "per_replica", "scale_lr": 2}, "scale_lr must be True or False, got 2"),
    ],
)
def test_how_a_batch_is_shared_out_is_checked(changes, fault):
    assert fault in error_of(**changes).faults


def test_a_batch_size_for_each_gpu_is_multiplied_by_their_number():
    study = STUDY.with_(gpus_per_trial=4, batch_size_is="per_replica", batch_size=16)
    assert study.split_params({}).batch_size == 64
