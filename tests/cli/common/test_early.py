"""What is refused before TensorFlow is started."""

from __future__ import annotations

import sys

import pytest

from tuning.cli.common.early import constants_of, refuse_engine, refuse_function_study
from tuning.cli.main import main
from tuning.errors import MissingError, StudyError

FILE = """
from tuning import Study
from nowhere import BASE
STUDY = Study(name="gauss", engine="optuna:gp", trainer="function", epochs=2 * 3)
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "gauss.py").write_text(FILE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def no_server(monkeypatch):
    """Fail where a forkserver is made: it would import TensorFlow."""

    def begin(*_):
        pytest.fail("TensorFlow was started")

    monkeypatch.setattr("tuning.executors.forkserver.ForkServer", begin)


def test_the_constants_of_a_study_are_known_without_running_its_file(project):
    known = {"name": "gauss", "engine": "optuna:gp", "trainer": "function"}
    assert constants_of("gauss") == known
    (project / "typed.py").write_text("STUDY: Study = BASE.with_(engine='a', trials=N)")
    assert constants_of(str(project / "typed.py")) == {"engine": "a"}


@pytest.mark.parametrize("text", ["STUDY = 3", "STUDY = (", "other = Study(engine='a')"])
def test_of_any_other_file_nothing_is_known(project, text):
    (project / "studies" / "gauss.py").write_text(text)
    assert constants_of("gauss") == {}


def test_an_engine_whose_library_is_missing_is_refused_at_once(
    project, no_server, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "torch", None)
    for words in (["run", "gauss"], ["run", "other", "--engine", "optuna:gp"]):
        assert main(words) == 3
        assert "needs PyTorch: pip install -e '.[gp]'" in capsys.readouterr().err


def test_the_engine_of_the_command_line_is_the_one_that_counts(project, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    refuse_engine("gauss", "optuna:random")
    with pytest.raises(MissingError):
        refuse_engine("gauss", None)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("optuna", "optuna:tpe"),
        ("Optuna", "optuna:tpe"),
        ("tpe", "optuna:tpe"),
        ("keras_tuner", "keras-tuner:random"),
        ("kerastuner", "keras-tuner:random"),
        ("hyperband", "keras-tuner:hyperband"),
        ("optuna:gq", "optuna:qmc"),
        ("gridsearch", "gridsearchcv"),
    ],
)
def test_an_engine_that_is_not_there_is_answered_with_one_that_is(typed, meant):
    with pytest.raises(StudyError, match=f"Did you mean '{meant}'\\?"):
        refuse_engine(None, typed)


def test_an_unknown_engine_is_refused_before_anything_starts(project, no_server, capsys):
    assert main(["run", "gauss", "--engine", "optuna"]) == 2
    assert "Did you mean 'optuna:tpe'?" in capsys.readouterr().err


def test_a_function_study_has_no_rate_to_test(project, capsys):
    with pytest.raises(StudyError, match="trains no network"):
        refuse_function_study("gauss", "lr-range")
    assert main(["lr-range", "gauss"]) == 2
    assert "lr-range: study 'gauss' trains no network" in capsys.readouterr().err
