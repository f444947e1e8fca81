"""Studies with several objectives or constraints: fields, faults, definition, pickling."""

from __future__ import annotations

import cloudpickle
import pytest

from tuning import Float, Maximize, Minimize, Study
from tuning.errors import StudyError
from tuning.study.info import DatasetFacts, describe
from tuning.study.objective import figures_asked, others_asked

BOTH = (Maximize("val_auc"), Minimize("n_parameters"))


def build(x=0.5):
    """Return nothing: no test builds."""


def rows():
    """Return nothing: no test loads."""


def study(**changes):
    values = {"objectives": BOTH, **changes}
    return Study(name="s", builder=build, data=rows, space={"x": Float(0, 1)}, **values)


def faults_of(**changes):
    with pytest.raises(StudyError) as refused:
        study(**changes)
    return refused.value.faults


def test_the_first_of_several_stands_where_one_objective_does():
    several = study()
    assert several.objective == BOTH[0]
    assert several.objectives == BOTH


def test_a_list_of_one_objective_is_that_objective():
    one = study(objectives=[Minimize("val_loss")])
    assert one.objectives == ()
    assert one.hash == study(objectives=(), objective=Minimize("val_loss")).hash


def test_objectives_replace_each_other_in_a_changed_copy():
    several = study()
    assert several.with_(epochs=3).objectives == BOTH
    assert several.with_(objective=Minimize("val_loss")).objectives == ()
    other = several.with_(objectives=[Minimize("val_loss"), Minimize("size_kb")])
    assert other.objective == Minimize("val_loss")


def test_a_study_without_either_is_told_so():
    assert faults_of(objectives=()) == ("'objective' is missing",)


def test_both_are_refused_where_they_disagree():
    assert faults_of(objective=Minimize("val_loss")) == (
        "objective and objectives are both given; keep one of them",
    )


@pytest.mark.parametrize(
    ("objectives", "words"),
    [
        ([Minimize("val_loss"), Minimize("val_loss")], "'val_loss' is given twice"),
        ([Minimize("val_loss"), Minimize("n_parameter")], "or one of n_parameters"),
        ([Minimize("val_loss"), Maximize("n_parameters")], "finds the worst model"),
        ([Minimize("n_parameters"), Minimize("val_loss")], "begin with a validation metric"),
        ([Minimize("n_parameters")], "alone needs no training"),
        ([Minimize("val_loss"), "val_auc"], "objective must be Minimize"),
        (Minimize("val_loss"), "objectives must be a list"),
    ],
)
def test_objectives_that_make_no_sense_are_refused_in_words(objectives, words):
    assert any(words in fault for fault in faults_of(objectives=objectives))


@pytest.mark.parametrize(
    "engine",
    ["gridsearchcv", "halvingrandomsearchcv", "optuna:cmaes", "keras-tuner:bayesian", "capacity"],
)
def test_engines_of_one_objective_refuse_several_in_words(engine):
    (fault,) = faults_of(engine=engine)
    assert fault == (
        f"objectives: {engine} searches one objective only; use optuna:tpe, optuna:random, "
        "optuna:qmc, optuna:nsga2, optuna:gp, optuna:grid"
    )


def test_a_pruner_is_refused_beside_several_objectives():
    (fault,) = faults_of(pruner="asha")
    assert fault.startswith("pruner 'asha' compares trials by one figure")


def test_the_winner_is_chosen_by_the_knee_or_by_an_objective():
    assert study(winner_by="val_auc").winner_by == "val_auc"
    assert "Did you mean 'knee'?" in faults_of(winner_by="kne")[0]
    assert faults_of(objectives=(), objective=Minimize("val_loss"), winner_by="val_auc") == (
        "winner_by='val_auc' is for several objectives; leave it out",
    )


def test_the_definition_names_them_only_where_there_are_some():
    plain = study(objectives=(), objective=Minimize("val_loss")).definition()
    assert not {"objectives", "constraints", "winner_by"} & plain.keys()
    changed = study(constraints=["size_kb <= 9"]).definition()
    assert changed["objectives"] == ["maximize val_auc", "minimize n_parameters"]
    assert changed["constraints"] == ["size_kb <= 9"]


def test_what_is_asked_of_a_model_and_of_its_training():
    asked = study(constraints=["latency_ms <= 2", "val_recall >= 0.8", "val_auc >= 0.5"])
    assert figures_asked(asked) == {"n_parameters", "latency_ms"}
    assert [other.metric for other in others_asked(asked)] == ["val_recall"]


def test_workers_and_driver_know_them():
    asked = study(constraints=["size_kb <= 9"])
    copy = cloudpickle.loads(cloudpickle.dumps(asked))
    assert (copy.objectives, copy.constraints) == (BOTH, ("size_kb <= 9",))
    info = describe(asked, DatasetFacts(name="d"))
    assert (info.objectives, info.constraints[0].figure) == (BOTH, "size_kb")
