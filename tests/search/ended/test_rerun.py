"""The same command once more, after its search has ended: whole runs of a function study."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
from pathlib import Path

import pytest

import tuning.search.run
from tests.search.run_parts import NoWriter
from tuning.errors import ChangedError, StorageError
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import SilentProgress
from tuning.search.engine_process import SupervisedEngine
from tuning.search.options import RunOptions
from tuning.search.outcome import report as outcome_report
from tuning.search.run import run_study
from tuning.storage.durable import read_json

STUDY = """
import numpy as np
from tuning import Dataset, Float, Minimize, Study

def value(x=1.0):
    return (x - 1.0) ** 2

def plane():
    X = np.random.default_rng(0).normal(size=(40, 2))
    return Dataset("plane", X, X.sum(axis=1), "regression")

STUDY = Study(
    name="again", builder=value, data=plane, objective=Minimize("val_value"),
    space={"x": Float(-5.0, 5.0)}, trainer="function", engine="optuna:random",
    trials=4, epochs=1, top_k=1, seeds=1, seed=3,
)
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Return where state folder and study lie, in all tests the same."""
    return tmp_path_factory.mktemp("again")


@pytest.fixture
def home(place, monkeypatch):
    """Return a state folder that does not exist yet."""
    folder = place / "home"
    shutil.rmtree(folder, ignore_errors=True)
    monkeypatch.setenv("TUNING_HOME", str(folder))
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def file(place):
    path = place / "again.py"
    path.write_text(STUDY)
    return path


@pytest.fixture
def run(home, file, forkserver):
    def run(*, trials=4, progress=None, **options):
        wanted = RunOptions(executor="inprocess", budget={"trials": trials}, **options)
        return run_study(file, wanted, progress, forkserver)

    return run


@pytest.fixture
def alone(monkeypatch):
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)


@pytest.fixture(scope="module")
def summaries():
    """Return what becomes the summary of the search that all tests begin with."""
    return []


@pytest.fixture
def first(run, alone, home, place, summaries):
    """Return the summary of an ended search; trained once, and put back for each test."""
    if summaries:
        shutil.copytree(place / "ended", home)
    else:
        summaries.append(run())
        shutil.copytree(home, place / "ended")
    return summaries[0]


@pytest.fixture
def engines(monkeypatch):
    """Return the list of engine processes that are begun from now on."""
    begun = []
    begin = SupervisedEngine._begin
    monkeypatch.setattr(
        SupervisedEngine, "_begin", lambda engine: (begun.append(engine), begin(engine))
    )
    return begun


def only_search(home: Path) -> Path:
    return next(home.glob("ledger/*/*/search.json")).parent


def shown(summary) -> dict:
    """Return what `--json` prints, but for the seconds."""
    return {**summary.to_json(), "seconds": None}


def test_an_ended_search_asks_no_engine_and_shows_the_same(run, alone, home, engines):
    first = run()  # not a copy, whose files are new to it
    report = Path(first.report)
    before = report.stat().st_mtime_ns, (only_search(home) / "status.json").read_bytes()
    engines.clear()
    again = run()
    assert engines == []
    assert shown(again) == shown(first)
    assert before == (
        report.stat().st_mtime_ns,
        (only_search(home) / "status.json").read_bytes(),
    )
    numbers = [(proposal.params, result.value) for proposal, result in again.trials]
    assert numbers == [(proposal.params, result.value) for proposal, result in first.trials]


@pytest.mark.usefixtures("first")
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("(x - 1.0) ** 2", "(x - 2.0) ** 2", "builder was"),
        ("Float(-5.0, 5.0)", "Float(-5.0, 6.0)", "space"),
        ("default_rng(0)", "default_rng(1)", "data_digest was"),
        ("seed=3", "seed=4", "seed was"),
    ],
)
def test_an_ended_search_of_a_changed_study_is_refused(run, file, home, old, new, words):
    written = (only_search(home) / "winner.json").read_bytes()
    file.write_text(STUDY.replace(old, new))
    with pytest.raises(ChangedError, match=words):
        run()
    assert (only_search(home) / "winner.json").read_bytes() == written


@pytest.mark.usefixtures("first")
def test_a_study_that_cannot_be_loaded_any_more_is_told_as_ever(run, file):
    file.write_text("import os\n" + STUDY.replace("return (x", "return return (x"))
    with pytest.raises(Exception, match=r"again\.py:"):
        run()


def test_more_trials_of_an_ended_search_are_those_of_one_run(run, alone, home):
    run(trials=3)
    run(trials=3)
    run(trials=6)
    halves = _trials(home)
    shutil.rmtree(home)
    run(trials=6)
    assert halves == _trials(home)
    assert len(halves) == 6


def _trials(home):
    files = SearchFiles(only_search(home))
    space = files.require_header().space
    return [
        (proposal.params, files.result(proposal.number).value)
        for proposal in files.proposals(space)
    ]


def test_a_damaged_result_of_an_ended_search_is_trained_again(run, home, first, engines):
    run()  # which knows all of it by its cache
    result = only_search(home) / "trials" / "00001" / "result.json"
    result.write_text(result.read_text()[:-40])
    assert shown(run()) == shown(first)
    assert len(engines) == 1
    assert json.loads(result.read_text())["number"] == 1


def test_a_lost_winner_of_an_ended_search_is_trained_without_an_engine(run, home, first, engines):
    (only_search(home) / "winner.json").unlink()
    shutil.rmtree(only_search(home) / "finalists")
    assert run().winner == first.winner
    assert engines == []


class Interrupting(SilentProgress):
    """Presses Ctrl-C once a word is said."""

    def __init__(self, word):
        self.word = word

    def phase(self, text):
        if self.word in text:
            os.kill(os.getpid(), signal.SIGINT)


def test_an_ended_search_that_is_interrupted_says_so_and_ends_as_before(run, home, first, engines):
    (only_search(home) / "winner.json").unlink()
    shutil.rmtree(only_search(home) / "finalists")
    interrupted = run(progress=Interrupting("finalist"))
    assert (interrupted.status, interrupted.winner) == ("interrupted", None)
    assert [result.value for _, result in interrupted.trials] == [
        result.value for _, result in first.trials
    ]
    assert read_json(only_search(home) / "status.json")["status"] == "interrupted"
    assert engines == []
    assert shown(run()) == shown(first)


def test_an_error_beside_an_ended_search_is_in_its_status(run, home, first, monkeypatch):
    Path(first.report).unlink()
    with monkeypatch.context() as patch:
        patch.setattr(outcome_report, "write_report", _no_space)
        with pytest.raises(StorageError, match="no space"):
            run()
    status = read_json(only_search(home) / "status.json")
    assert (status["status"], status["error"]) == ("failed", "no space")
    assert shown(run()) == shown(first)


def _no_space(*_, **__):
    raise StorageError("no space")


def test_a_lost_report_is_made_anew(run, first):
    report = Path(first.report)
    words = report.read_text()
    report.unlink()
    assert run().report == first.report
    # But for the names that the pictures are given.
    assert abs(len(report.read_text()) - len(words)) < 100


@pytest.mark.slow  # MLflow's import
def test_what_a_store_has_lost_of_an_ended_search_is_written_again(run, home):
    first = run()
    begun = _started_writers(run)
    assert begun == 0

    with sqlite3.connect(home / "mlflow.db") as database:
        database.execute("UPDATE runs SET lifecycle_stage = 'deleted' WHERE name = 'trial 2'")
    database.close()
    assert _started_writers(run) == 1
    assert _started_writers(run) == 0

    (home / "optuna.db").unlink()
    assert _started_writers(run) == 1
    assert (home / "optuna.db").exists()
    assert run().run_id == first.run_id


def _started_writers(run) -> int:
    started = []
    start = tuning.search.run.Writer.start
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            tuning.search.run.Writer, "start", lambda home: (started.append(home), start(home))[1]
        )
        run()
    return len(started)
