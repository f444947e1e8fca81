"""Studies whose builder is the objective: an epoch a call, reported, pruned, continued."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from tests.trials.small_study import ScriptedContext
from tuning import Float, Minimize, Study
from tuning.engines.remote import prepare
from tuning.errors import StudyError
from tuning.ledger.digests import ask_digest
from tuning.ledger.results import read_test_score
from tuning.ledger.winner import Evaluation
from tuning.storage.durable import write_json
from tuning.trial import Answer, Proposal, Status
from tuning.trials.functions import (
    evaluate,
    function_finalist,
    function_trial,
    function_winner,
    no_data,
)
from tuning.trials.jobs import EvaluationJob, FinalistJob, Stopped, TrialJob
from tuning.trials.training import Training


def slope(x: float = 0.0, fidelity: float = 1.0, seed: int | None = None) -> float:
    return x / fidelity + (0.0 if seed is None else (seed % 1000) / 1e6)


def study(builder=slope, **changes):
    space = {"x": Float(1.0, 2.0)}
    settings = {"epochs": 4, "trainer": "function", "seed": 1, "space": space, **changes}
    return Study(
        name="slope", builder=builder, data=no_data, objective=Minimize("val_value"), **settings
    )


def test_a_builder_that_takes_anything_is_given_the_point_but_not_the_batch_size():
    def anything(**arguments):
        assert sorted(arguments) == ["x"]
        return arguments["x"]

    assert evaluate(study(anything, fixed={"batch_size": 8}), {"x": 1.5}, epoch=1, seed=3) == 1.5


WHOLE = Proposal(0, {"x": 1.5}, 4)


def train(folder, context, proposal=WHOLE, searched=None, **settings):
    searched = searched or study()
    training = Training(
        job=TrialJob(source="", overrides={}, proposal=proposal, folder=folder, **settings),
        worker_study=SimpleNamespace(study=searched),
        point=searched.split_params(proposal.params),
        seed=7,
        context=context,
    )
    return function_trial(training)


def test_each_epoch_is_reported_at_its_share_of_the_studys_epochs(tmp_path):
    context = ScriptedContext()
    result = train(tmp_path, context)
    assert [report.epoch for report in context.reports] == [1, 2, 3, 4]
    assert [round(report.value) for report in context.reports] == [6, 3, 2, 2]
    assert (result.status, result.epochs) == (Status.COMPLETED, 4)
    assert result.value == context.reports[-1].value


def test_a_pruned_trial_has_the_value_of_its_last_epoch(tmp_path):
    context = ScriptedContext(Answer.PRUNE, at=1)
    result = train(tmp_path, context)
    assert (result.status, result.epochs) == (Status.PRUNED, 2)
    assert result.value == context.reports[-1].value


def test_stop_gives_the_slot_back_and_decides_nothing(tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, ScriptedContext(Answer.STOP))


def test_a_continued_trial_begins_where_its_parent_ended(tmp_path):
    train(tmp_path, ScriptedContext(), Proposal(0, {"x": 1.5}, 2), keep_end=True)
    context = ScriptedContext()
    result = train(tmp_path, context, Proposal(1, {"x": 1.5}, 4, parent=0), parent=tmp_path)
    assert [report.epoch for report in context.reports] == [3, 4]
    assert result.epochs == 2


def test_a_value_that_is_not_finite_makes_the_trial_diverge(tmp_path):
    result = train(tmp_path, ScriptedContext(), searched=study(lambda x=0.0: float("inf")))
    assert (result.status, result.value, result.epochs) == (Status.DIVERGED, None, 1)


def test_for_a_benchmark_the_value_without_noise_stands_for_the_test_score(tmp_path):
    train(tmp_path, ScriptedContext(), score_test=True)
    assert read_test_score(tmp_path) == 1.5


def test_an_objective_of_optunas_is_called_once_a_trial(tmp_path):
    calls = []

    def objective(trial):
        calls.append(trial.suggest_float("x", 1.0, 2.0))
        return calls[-1] ** 2

    searched = study(objective)
    searched.check()
    calls.clear()
    result = train(tmp_path, ScriptedContext(), searched=searched)
    assert (result.status, result.value) == (Status.COMPLETED, 2.25)
    assert calls == [1.5]


def test_noise_differs_by_training_seed_point_and_epoch():
    def value(x, epoch, seed):
        return evaluate(study(lambda x=0.0, seed=0: float(seed)), {"x": x}, epoch=epoch, seed=seed)

    assert len({value(1.0, 1, 7), value(1.0, 1, 8), value(1.1, 1, 7), value(1.0, 2, 7)}) == 4
    assert value(1.0, 1, 7) == value(1.0, 1, 7)


def test_a_builder_that_returns_no_number_is_refused_before_the_search():
    with pytest.raises(StudyError) as refused:
        evaluate(study(lambda x=0.0: "low"), {"x": 1.0}, epoch=1, seed=0)
    assert str(refused.value) == (
        "study 'slope': <lambda>() must return a number where trainer='function', got 'low'"
    )


@pytest.mark.parametrize("field", [{"cv": 3}, {"patience": 2}])
def test_folds_and_early_stopping_are_refused_for_functions(field):
    with pytest.raises(StudyError, match="neither folds nor early stopping"):
        study(**field)


def test_the_winners_value_without_noise_is_its_test_score(tmp_path):
    job = EvaluationJob(
        source="",
        overrides={},
        params={"x": 1.5},
        epochs=4,
        seed=3,
        weights=None,
        saved=tmp_path / "winner.keras",
        file=tmp_path / "evaluation.json",
    )
    assert function_winner(study(), job) == Evaluation(test={"value": 1.5}, baseline={}, model=None)


@pytest.mark.parametrize("engine", ["optuna:tpe", "randomizedsearchcv"])
def test_engines_of_optuna_and_scikit_learn_propose_for_a_study_without_a_model(engine):
    prepared, _ = prepare("studies/branin.py", {"engine": engine, "trials": 3})
    try:
        assert set(prepared.ask(0).params) == {"x1", "x2"}
    finally:
        prepared.close()


def test_a_finalist_that_is_not_finite_on_a_fresh_seed_has_no_value(tmp_path):
    searched = study(lambda x=0.0: x if x > 1 else float("nan"))
    values = []
    for x in (0.5, 1.5):
        job = FinalistJob(
            source="",
            overrides={},
            number=3,
            params={"x": x},
            epochs=4,
            index=0,
            file=tmp_path / "0.json",
        )
        values.append(function_finalist(searched, job, 7, "cpu:0").value)
    assert values == [None, 1.5]


class TrialPruned(Exception):
    """Optuna's, which is known by its name."""


def objective(trial):
    """Report three steps and return the number of the trial, unless it is pruned on the way."""
    x = trial.suggest_float("x", 1.0, 2.0)
    for step in range(3):
        trial.report(x + step, step)
        trial.report(-1.0, step)  # as in Optuna the first of a step counts
        if trial.should_prune():
            raise TrialPruned
    if x > 1.75:
        raise TrialPruned
    return trial.number


def asked(builder=objective):
    return study(builder, space={}, epochs=1)


def test_an_objective_of_optunas_knows_its_number_and_reports_on_its_way(tmp_path):
    context = ScriptedContext()
    result = train(tmp_path, context, Proposal(5, {"x": 1.5}, 1), asked())
    reported = [(report.epoch, report.value) for report in context.reports]
    assert reported == [(1, 1.5), (2, 2.5), (3, 3.5), (4, 5.0)]
    assert (result.status, result.value) == (Status.COMPLETED, 5.0)


def test_an_objective_of_optunas_knows_its_number_in_the_finals_too(tmp_path):
    place = {"source": "", "overrides": {}, "params": {"x": 1.5}, "epochs": 1, "number": 5}
    final = FinalistJob(**place, index=0, file=tmp_path / "final.json")
    assert function_finalist(asked(), final, 7, "cpu:0").value == 5.0
    saved = tmp_path / "winner.keras"
    last = EvaluationJob(**place, seed=7, weights=None, saved=saved, file=tmp_path / "winner.json")
    assert function_winner(asked(), last).test == {"value": 5.0}


def test_an_objective_that_asks_is_told_what_the_pruner_says(tmp_path):
    context = ScriptedContext(Answer.PRUNE, at=1)
    result = train(tmp_path, context, Proposal(5, {"x": 1.5}, 1), asked())
    assert (result.status, result.value, result.epochs) == (Status.PRUNED, 2.5, 2)


def test_an_objective_may_prune_itself_and_has_the_last_value_it_reported(tmp_path):
    result = train(tmp_path, ScriptedContext(), Proposal(5, {"x": 1.9}, 1), asked())
    assert (result.status, result.value) == (Status.PRUNED, pytest.approx(3.9))


def test_an_objective_is_stopped_at_a_report(tmp_path):
    with pytest.raises(Stopped):
        train(tmp_path, ScriptedContext(Answer.STOP), Proposal(5, {"x": 1.5}, 1), asked())


def test_a_point_that_is_pruned_while_its_space_is_looked_for_shows_what_was_asked():
    def pruned(trial):
        if trial.suggest_int("width", 1, 4) > 2:
            raise TrialPruned
        return trial.suggest_float("x", 0.0, 1.0)

    space = asked(pruned).space
    assert list(space) == ["width", "x"]
    assert space["x"].conditions == (("width", (1, 2)),)


@pytest.mark.parametrize(("other", "epochs"), [(False, [3, 4]), (True, [1, 2, 3, 4])])
def test_a_trial_goes_on_from_the_end_of_its_own_parent_alone(tmp_path, other, epochs):
    folders = [tmp_path / "0", tmp_path / "1"]
    for number, folder in enumerate(folders):
        asked = Proposal(number, {"x": 1.25 + number / 2}, 2)
        write_json(folder / "spec.json", asked.to_json())
        asked = replace(asked, digest=ask_digest(asked.to_json()))
        train(folder, ScriptedContext(), asked, keep_end=True)
    if other:
        shutil.copy(folders[1] / "end.json", folders[0] / "end.json")
    context = ScriptedContext()
    train(tmp_path / "2", context, Proposal(2, {"x": 1.25}, 4, 0), parent=folders[0])
    assert [report.epoch for report in context.reports] == epochs
