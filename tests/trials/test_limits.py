"""Constraints in a worker: what the built model breaks is never trained."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tests.trials.small_study import ScriptedContext, job, study
from tuning import Int, Maximize, Minimize, Study
from tuning.data.dataset import Dataset
from tuning.errors import StudyError
from tuning.ledger.results import read_result
from tuning.trial import Proposal, Status, TrialResult
from tuning.trials.functions import function_finalist, function_trial, no_data
from tuning.trials.jobs import FinalistJob, TrialJob
from tuning.trials.training import Training, measured, within_limits
from tuning.trials.trial import run_trial
from tuning.trials.worker_study import load_worker_study


def stack(depth: int = 1, width: int = 4, input_shape: tuple[int, ...] = (3,)) -> keras.Model:
    """Return `depth` hidden layers of `width` units."""
    hidden = [keras.layers.Dense(width) for _ in range(depth)]
    model = keras.Sequential([keras.Input(input_shape), *hidden, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def parameters_of(depth: int, width: int) -> int:
    sizes = [3, *[width] * depth, 1]
    return sum((n_in + 1) * n_out for n_in, n_out in itertools.pairwise(sizes))


def training_of(folder, searched: Study, params: dict, number: int = 0) -> Training:
    trial = job(folder, searched, number=number)
    worker_study = load_worker_study(trial.source, trial.overrides)
    return Training(
        job=trial,
        worker_study=worker_study,
        point=searched.split_params(params),
        seed=3,
        context=ScriptedContext(),
    )


@pytest.mark.parametrize("seed", range(4))
def test_in_random_spaces_exactly_what_keeps_to_the_constraints_is_trained(tmp_path, seed):
    rng = np.random.default_rng(seed)
    widest = int(rng.integers(4, 60))
    deepest = int(rng.integers(1, 4))
    limit = int(rng.integers(5, parameters_of(deepest, widest)))
    searched = study(
        builder=stack,
        space={"depth": Int(1, deepest), "width": Int(1, widest)},
        constraints=[f"n_parameters <= {limit}", f"size_kb < {4 * limit / 1000 + 0.001}"],
    )
    trained = []

    def spy(training: Training) -> TrialResult:
        trained.append(training.point.builder)
        return TrialResult(0, Status.COMPLETED, 1.0, {"val_rmse": 1.0})

    kept = []
    for _ in range(8):
        params = searched.space.sample(rng)
        result = within_limits(spy, training_of(tmp_path, searched, params))
        n_parameters = parameters_of(**params)
        if n_parameters <= limit:
            kept.append(params)
            assert result.status is Status.COMPLETED
        else:
            assert result.never_trained
            assert result.error.startswith(f"n_parameters {n_parameters:,} > {limit:,}")
        assert result.metrics["n_parameters"] == n_parameters
    assert trained == kept


def test_a_broken_constraint_leaves_a_result_without_an_epoch(tmp_path):
    searched = study(constraints=["n_parameters <= 20"])
    context = ScriptedContext()
    result = run_trial(job(tmp_path, searched), context)
    assert (result.status, result.value, result.epochs) == (Status.INFEASIBLE, None, 0)
    assert (result.error, result.folds) == ("n_parameters 21 > 20", ())
    assert context.reports == []
    assert not context.retired
    assert read_result(tmp_path) == result
    assert not (tmp_path / "halved.json").exists()  # that is for memory that runs out


def test_a_metric_is_judged_after_training_and_its_value_stays(tmp_path):
    searched = study(constraints=["val_mae <= 0.001"])
    result = run_trial(job(tmp_path, searched), ScriptedContext())
    assert (result.status, result.epochs) == (Status.INFEASIBLE, 4)
    assert result.value is not None
    assert not result.never_trained
    assert result.error == f"val_mae {result.metrics['val_mae']:,.4g} > 0.001"


def test_all_objectives_are_in_the_result_in_their_order(tmp_path):
    objectives = [Minimize("val_rmse"), Minimize("size_kb"), Minimize("val_mae")]
    searched = study(objective=objectives[0]).with_(objectives=objectives)
    result = run_trial(job(tmp_path, searched), ScriptedContext())
    assert result.values == (result.value, 21 * 4 / 1000, result.metrics["val_mae"])
    assert read_result(tmp_path) == result


def test_a_plain_study_builds_nothing_more_than_before(tmp_path):
    result = TrialResult(0, Status.COMPLETED, 1.0, {"val_rmse": 1.0})
    assert within_limits(lambda _: result, training_of(tmp_path, study(), {"lr": 0.05})) is result


def test_the_latency_is_measured_on_the_built_model(tmp_path):
    searched = study(constraints=["latency_ms <= 1000"])
    training = training_of(tmp_path, searched, {"lr": 0.05})
    figures = measured(training.worker_study, training.point, seed=1)
    assert 0 < figures["latency_ms"] < 1000


def words() -> Dataset:
    texts = np.array([["red apple"], ["blue sky"]] * 30, object)
    return Dataset("words", texts, np.arange(60) % 2, "binary")


def reader(width: int = 2) -> keras.Model:
    """Return a model whose vocabulary nobody has given it yet."""
    layers = keras.layers
    vectorize = layers.TextVectorization(max_tokens=9, output_sequence_length=3)
    table = layers.Embedding(9, width)
    model = keras.Sequential(
        [keras.Input((1,), dtype="string"), vectorize, table, layers.Flatten()]
    )
    model.add(layers.Dense(1, "sigmoid"))
    model.compile("sgd", "binary_crossentropy")
    return model


def test_the_latency_is_that_of_a_row_as_training_prepares_it(tmp_path):
    searched = study(
        builder=reader,
        data=words,
        objective=Maximize("val_accuracy"),
        space={"width": Int(1, 3)},
        constraints=["latency_ms <= 1000"],
    )
    training = training_of(tmp_path, searched, {"width": 2})
    assert measured(training.worker_study, training.point, seed=1)["latency_ms"] > 0


def test_a_metric_that_no_model_has_is_refused_before_a_trial(tmp_path):
    searched = study(constraints=["val_accuracy >= 0.5"])
    with pytest.raises(StudyError, match="accuracy"):
        training_of(tmp_path, searched, {"lr": 0.05})


# Studies whose builder is the objective.


def figures(x: int = 1) -> dict[str, float]:
    return {"val_a": x / 2, "val_b": 1 / x, "n_parameters": 10 * x}


def function_study(**changes) -> Study:
    values = {
        "objectives": [Minimize("val_a"), Minimize("val_b")],
        "constraints": ["n_parameters <= 50", "val_b <= 0.6"],
        **changes,
    }
    return Study(
        name="f",
        builder=figures,
        data=no_data,
        space={"x": Int(1, 9)},
        epochs=3,
        trainer="function",
        **values,
    )


@pytest.mark.parametrize(
    ("x", "status", "epochs"),
    [(1, Status.INFEASIBLE, 3), (4, Status.COMPLETED, 3), (6, Status.INFEASIBLE, 0)],
)
def test_functions_have_constraints_and_several_objectives(tmp_path, x, status, epochs):
    searched = function_study()
    training = Training(
        job=TrialJob(source="", overrides={}, proposal=Proposal(0, {"x": x}, 3), folder=tmp_path),
        worker_study=SimpleNamespace(study=searched),
        point=searched.split_params({"x": x}),
        seed=1,
        context=ScriptedContext(),
    )
    result = within_limits(function_trial, training)
    assert (result.status, result.epochs) == (status, epochs)
    if epochs:
        assert result.values == (x / 2, 1 / x)


def test_a_finalist_of_a_function_has_all_its_figures(tmp_path):
    searched = function_study()
    final = FinalistJob(
        source="", overrides={}, number=0, params={"x": 4}, epochs=3, index=0, file=tmp_path / "0"
    )
    outcome = function_finalist(searched, final, 5, "cpu:0")
    assert outcome.figures == {"val_a": 2.0, "val_b": 0.25, "n_parameters": 40.0}


def test_a_function_that_returns_too_little_is_refused_in_words():
    from tuning.trials.functions import evaluate_all

    short = function_study(constraints=()).with_(builder=lambda x=1: (1.0,))
    with pytest.raises(StudyError) as refused:
        evaluate_all(short, {"x": 1}, epoch=1, seed=0)
    assert "must return 2 numbers (val_a, val_b)" in str(refused.value)
