"""Recorders answer as the library's object does, word for word."""

from __future__ import annotations

import keras_tuner
import optuna
import pytest

from tuning.space.hp_recorder import HpRecorder
from tuning.space.trial_recorder import TrialRecorder


def everything(hp):
    """Ask for every kind of parameter and return what a builder can see."""
    seen = [hp.Int("n", 1, 5), hp.Choice("kind", ["a", "b"]), hp.Boolean("flag")]
    seen.append(hp.Float("rate", 0.1, 0.9, step=0.2, default=0.5))
    with hp.conditional_scope("kind", ["b"]):
        seen.append(hp.Int("under_b", 1, 2))
    seen.append(hp.Int("with_parent", 3, 4, parent_name="kind", parent_values=["a"]))
    with hp.name_scope("block"):
        seen.append(hp.Choice("size", [3, 5], default=5))
    seen += [hp.Fixed("constant", 7), hp["n"], hp.get("block/size"), "n" in hp, "under_b" in hp]
    seen.append(hp.Int("n", 1, 5))
    return seen, dict(hp.values)


@pytest.mark.parametrize("told", [{}, {"n": 3, "kind": "b", "under_b": 2, "block/size": 3}])
def test_hp_answers_as_kerastuners_own_object_does(told):
    own = keras_tuner.HyperParameters()
    own.values = dict(told)
    ours = HpRecorder(told, exploring=True)
    assert everything(ours) == everything(own)


@pytest.mark.parametrize("call", [lambda hp: hp.get("nothing"), lambda hp: hp["nothing"]])
def test_what_was_not_asked_for_is_a_key_error_as_in_kerastuner(call):
    with pytest.raises(KeyError, match="nothing does not exist"):
        call(HpRecorder())


def test_a_scope_without_its_parent_is_refused_as_in_kerastuner():
    scope = HpRecorder().conditional_scope("kind", ["a"])
    with pytest.raises(ValueError, match="`HyperParameter` named: kind not defined"), scope:
        pass


@pytest.mark.filterwarnings("ignore:Choices for a categorical")
def test_a_trial_answers_as_optunas_fixed_trial_does():
    def ask(trial):
        seen = [trial.suggest_int("n", 1, 9), trial.suggest_float("lr", 1e-5, 1e-1, log=True)]
        seen.append(trial.suggest_categorical("layers", [[1, 2], [3]]))
        trial.set_user_attr("note", 3)
        trial.report(0.5, 1)
        return seen, trial.params["n"], trial.user_attrs, trial.number, trial.should_prune()

    told = {"n": 4, "lr": 1e-3, "layers": [3]}
    ours = TrialRecorder({**told, "layers": (3,)})
    assert ask(ours) == ask(optuna.trial.FixedTrial(told))


def test_objects_that_are_no_plain_values_are_given_back_as_they_are():
    chosen = TrialRecorder({"function": "len"}).suggest_categorical("function", [sum, len])
    assert chosen is len


def test_what_is_asked_for_without_being_in_the_point_has_its_default_and_is_remembered():
    recorder = HpRecorder({"a": 1})
    assert (recorder.Int("a", 0, 3), recorder.Int("b", 2, 5, default=4)) == (1, 4)
    assert recorder.undiscovered == {"b": 4}
