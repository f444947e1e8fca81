"""Studies over builders of KerasTuner's and Optuna's: known by their argument, found when used."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cloudpickle
import keras
import keras_tuner
import pytest

from tuning.errors import StudyError
from tuning.space.domains import Choice, Float, Int
from tuning.study.discovered_space import _known
from tuning.study.fingerprint import fingerprint
from tuning.study.foreign.foreign_builder import ForeignBuilder, adapted
from tuning.study.info import DISCOVERY
from tuning.study.objective import Minimize
from tuning.study.source import load_source
from tuning.study.study import Study, load_study
from tuning.study.unit_cube import initial_points
from tuning.trials.functions import no_data
from tuning.trials.worker_study import load_worker_study

ROOT = Path(__file__).parents[3]


def ask(hp):
    """Return a number, so that a test needs no model."""
    value = hp.Int("width", 1, 4) * hp.Float("rate", 0.1, 1.0, default=0.5)
    return value + (hp.Int("more", 1, 2) if hp.Boolean("deep") else 0)


class Hyper(keras_tuner.HyperModel):
    """KerasTuner's class, with something of its own to hold."""

    def __init__(self, most: int = 4) -> None:
        self.most = most
        super().__init__()

    def build(self, hp):
        return hp.Int("width", 1, self.most)


class Asker:
    """An object that is called."""

    def __init__(self, most: int = 3) -> None:
        self.most = most

    def __call__(self, hp):
        return hp.Int("width", 1, self.most)

    def method(self, hp):
        return hp.Int("width", 1, self.most)


def study_of(builder, **fields):
    values = {"data": no_data, "objective": Minimize("val_y"), "trainer": "function", **fields}
    return Study(name="asked", builder=builder, **values)


def by_annotation(parameters: keras_tuner.HyperParameters):
    return parameters.Int("width", 1, 9)


@pytest.mark.parametrize(
    ("builder", "high"),
    [
        (by_annotation, 9),
        (Hyper, 4),
        (Hyper(7), 7),
        (Asker(), 3),
        (Asker(6).method, 6),
        (lambda trial: trial.suggest_int("width", 1, 5), 5),
    ],
)
def test_each_form_of_builder_is_known_and_its_space_found(builder, high):
    study = study_of(builder)
    assert not study.space.known
    assert study.space.domains == {"width": Int(1, high)}
    assert study.builder(width=2) == 2


def test_an_argument_called_hp_that_is_searched_or_has_a_default_is_a_plain_value():
    def searched(hp):
        return hp

    def with_default(hp=3):
        return hp

    assert adapted(searched, ["hp"]) is searched
    assert adapted(with_default) is with_default


def test_the_space_given_besides_narrows_by_name_and_adds_the_batch_size():
    study = study_of(ask, space={"width": Choice(2, 3), "batch_size": Choice(16, 32)})
    assert study.space["width"] == Choice(2, 3)
    assert study.space["more"] == Int(1, 2).when(deep=True)
    assert study.space["batch_size"] == Choice(16, 32)
    assert study.space.starts == ()  # the builder's own width, 1, is no longer there


def test_a_search_begins_with_the_defaults_that_the_builder_names():
    study = study_of(ask, space={"batch_size": Choice(16, 32)})
    point = {"width": 1, "rate": 0.5, "deep": False, "batch_size": 16}
    assert study.space.starts == (point,)
    assert initial_points(study) == [point]
    assert initial_points(study.with_(engine="optuna:grid")) == []


def test_what_is_fixed_is_told_and_is_no_parameter():
    study = study_of(ask, fixed={"deep": True, "rate": 0.25})
    assert list(study.space) == ["width", "more"]
    arguments = study.split_params({"width": 2, "more": 1}).builder
    assert study.builder(**arguments) == 2 * 0.25 + 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"space": {"widht": Int(1, 2)}}, "space: ask asks for no 'widht'. Did you mean 'width'?"),
        ({"fixed": {"depe": True}}, "fixed: ask asks for no 'depe'. Did you mean 'deep'?"),
    ],
)
def test_names_that_the_builder_does_not_ask_for_are_refused(fields, words):
    with pytest.raises(StudyError) as refused:
        study_of(ask, **fields).check()
    assert words in str(refused.value)
    assert str(refused.value).startswith("study 'asked'")


def test_a_builder_that_fails_while_its_space_is_looked_for_is_named():
    def broken(hp):
        raise ValueError("no luck")

    with pytest.raises(StudyError, match="broken raised ValueError while it was run"):
        study_of(broken).check()


def test_a_builder_that_asks_for_nothing_is_refused():
    with pytest.raises(StudyError, match="asks for no parameter: there is nothing to search"):
        study_of(lambda hp: 1).check()


def test_a_parameter_that_shows_up_late_has_its_default_and_a_notice():
    study = study_of(lambda hp: (hp.Int("width", 1, 3), hp.Int("late", 5, 9)))
    assert study.builder(width=2) == (2, 5)
    assert study.builder.notices == (
        "late is asked for here, but was not discovered: it has its default, 5",
    )


def test_a_function_is_left_where_it_begins_to_train():
    calls = []

    def objective(trial):
        width = trial.suggest_int("width", 1, 2)
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(width)])
        model.compile(loss="mse")
        model.fit([[0.0]], [[0.0]], verbose=0)
        calls.append(width)

    assert list(study_of(objective).space) == ["width"]
    assert calls == []
    assert "fit" not in vars(keras.Model) or callable(keras.Model.fit)


def test_the_definition_is_equal_in_every_process_and_after_a_pickle(tmp_path):
    file = tmp_path / "asked_study.py"
    file.write_text(
        "from tuning import Minimize, Study\n"
        "from tuning.trials.functions import no_data\n"
        "def build(trial):\n"
        "    deep = trial.suggest_categorical('deep', [True, False])\n"
        "    return trial.suggest_categorical('units', [1, 2] if deep else [3, 4])\n"
        "STUDY = Study(name='asked', builder=build, data=no_data,\n"
        "              objective=Minimize('val_y'), trainer='function')\n"
    )
    code = f"from tuning import load_study; print(load_study({str(file)!r}).hash)"
    printed = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        # Not this process' own: sets and dictionaries are to lie in another order.
        env={"PYTHONHASHSEED": "1", "TF_CPP_MIN_LOG_LEVEL": "3"},
    ).stdout
    assert printed.split()[-1] == load_study(str(file)).hash
    study = study_of(ask)
    travelled = cloudpickle.loads(cloudpickle.dumps(study))
    assert not travelled.space.known
    assert travelled.hash == study.hash


def test_what_was_discovered_is_passed_on_and_the_builder_not_run_again(tmp_path):
    calls = tmp_path / "calls"
    file = tmp_path / "passed_study.py"
    file.write_text(
        "from tuning import Minimize, Study\n"
        "from tuning.trials.functions import no_data\n"
        "def build(trial):\n"
        f"    with open({str(calls)!r}, 'a') as file:\n"
        "        file.write('.')\n"
        "    return trial.suggest_int('units', 1, 9)\n"
        "STUDY = Study(name='passed', builder=build, data=no_data,\n"
        "              objective=Minimize('val_y'), trainer='function')\n"
    )
    study = load_source(str(file), {})
    text = study.space.as_text
    n_calls = len(calls.read_text())
    assert n_calls > 1

    _known.clear()
    overrides = {"epochs": 3, DISCOVERY: text}
    worker = load_worker_study(str(file), overrides)
    assert len(calls.read_text()) == n_calls
    assert worker.study.space == study.space
    assert worker.study.hash == study.with_(epochs=3).hash

    # Another value of what is fixed is another space: it is looked for.
    _known.clear()
    fixed = load_source(
        str(file), {"fixed": {"units": 3}, "space": {"batch_size": Choice(8, 16)}, DISCOVERY: text}
    )
    assert list(fixed.space) == ["batch_size"]
    assert len(calls.read_text()) > n_calls


def test_a_study_is_made_without_running_its_builder():
    def never(hp):
        raise AssertionError("the driver must not run a builder")

    study = study_of(never, engine="optuna:random", trials=None, timeout=5.0)
    assert study.with_(seed=3).builder is study.builder


def test_fingerprints_tell_objects_apart_by_what_they_hold():
    kinds = (Hyper(4), Hyper(5), Asker(3), Asker(4), Asker(3).method, Asker(4).method)
    digests = [fingerprint(adapted(kind)) for kind in kinds]
    assert len(set(digests)) == len(kinds)
    assert digests == [fingerprint(adapted(kind)) for kind in kinds]
    assert isinstance(adapted(Hyper), ForeignBuilder)


def test_a_stepped_real_number_is_in_the_definition():
    study = study_of(lambda hp: hp.Float("rate", 0.0, 0.5, step=0.1))
    assert study.space["rate"] == Float(0.0, 0.5, step=0.1)
    assert study.definition()["space"]["rate"].endswith("step=0.1)")
