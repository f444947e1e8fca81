"""Files of a later release: each verb that reads one refuses it in words, and leaves it alone.

Every verb of the command line is in one of the tables; a new one fails until it is.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.simulation.recorded import write as write_made_recording
from tests.tracking.writer import searches
from tuning.cli.main import VERBS, main
from tuning.schema import SCHEMA
from tuning.tracking.mlflow_store import QUIET, ensure_database, tracking_uri

STUDY = '''"""A function, searched in no time."""
from tuning import Float, Minimize, Study
from tuning.trials.functions import no_data

def value(x=1.0):
    return (x - 1.0) ** 2

STUDY = Study(name="plain", builder=value, data=no_data, objective=Minimize("val_value"),
    space={"x": Float(-5.0, 5.0)}, trainer="function", engine="optuna:random",
    trials=2, epochs=1, top_k=1, seeds=1, seed=3)
'''
PLANE = '''"""A small model."""
import numpy as np
from tuning import Choice, Dataset, Minimize, Study
from tuning.builders.mlp import build_model

def data():
    X = np.random.default_rng(0).normal(size=(60, 3))
    return Dataset(name="plane", X=X, y=X.sum(axis=1), task="regression")

STUDY = Study(name="plane", builder=build_model, data=data, objective=Minimize("val_rmse"),
    space={"lr": Choice(0.01, 0.1)}, fixed={"n_hidden": 0}, epochs=1, trials=2)
'''


class Case(NamedTuple):
    """A verb that reads a file.

    Attributes:
        words: Of the command line.
        file: A pattern in the state folder, which one file or more are found by.
        code: The exit code: 2, or 75 where the other searches are gone on with.
    """

    words: str
    file: str
    code: int = 2


TOY = "ledger/toy/optuna-tpe"
OF_A_SEARCH = ("search.json", "trials/00001/spec.json", "trials/00001/result.json")
SHOWN = (*OF_A_SEARCH, "winner.json", "status.json")
PLAIN = "ledger/plain/optuna-random"
BENCH = "bench plain --engines optuna:random --seeds 1 --budget trials=2 --devices cpu:1"
RECORD = "record plane --points 2 --seeds 1 --devices cpu:1"

# In one process, on files alone.
CASES = [
    *(Case("compare toy/optuna-tpe toy/gridsearchcv", f"{TOY}/{name}") for name in SHOWN),
    *(Case("show toy/optuna-tpe", f"{TOY}/{name}") for name in SHOWN),
    *(Case("predict toy/optuna-tpe rows.csv", f"{TOY}/{name}") for name in SHOWN),
    *(Case("export toy/optuna-tpe --to winner", f"{TOY}/{name}") for name in SHOWN),
    *(Case("reproduce toy/optuna-tpe 1", f"{TOY}/{name}") for name in SHOWN),
    *(Case("export toy/optuna-tpe --to registry", f"{TOY}/{name}") for name in SHOWN),
    Case("simulate made", "recordings/made.json"),
]
# The same, into databases that are made for it.
SYNC_CASES = [
    Case("sync toy/optuna-tpe", f"{TOY}/{name}", code=75)
    for name in (*SHOWN, "finalists/00000/0.json")
]
# With processes of their own, which train.
SLOW_CASES = [
    *(Case("run plain --devices cpu:1", f"{PLAIN}/{name}") for name in OF_A_SEARCH),
    Case("run plain --devices cpu:1", f"{PLAIN}/winner.json"),
    Case("run plain --devices cpu:1", f"{PLAIN}/finalists/*/0.json"),
    Case("run plain --devices cpu:1 --trials 3", f"{PLAIN}/trials/00000/result.json"),
    Case("run plain --devices cpu:1 --fresh", f"{PLAIN}/search.json"),
    Case(BENCH, "bench/plain/*/*/run.json"),  # an ended search of it answers from this file
    Case(RECORD, "recordings/plane/*/seed-0/search.json"),
    Case(RECORD, "recordings/plane/*/seed-0/trials/00001/result.json"),
]
# `doctor` says what it finds, and goes on.
TELLS = ("doctor",)
# `slots` speaks with a search that runs, which is of this release.
ASKS_A_RUN = ("slots",)
# They read no file of ours: studies, MLflow's database, nothing.
READ_NONE = {
    "dashboard": "dashboard",
    "devices": "devices",
    "list": "list",
    "lr-range": "lr-range plane --seeds 1 --steps 20 --devices cpu",
    "new": "new another",
    "schedule": "schedule plain --calendar daily --folder units",
    "ui": "ui",
}
LEFT_OUT = ("status.json", "mlflow.json", "writer.json")
"""Of a search's files those that a verb may write though another one is refused."""


def test_every_verb_is_tried():
    tried = {case.words.split()[0] for case in (*CASES, *SYNC_CASES, *SLOW_CASES)}
    assert {*tried, *TELLS, *ASKS_A_RUN, *READ_NONE} == set(VERBS)


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A state folder with two searches and a recording; the current folder has studies."""
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    home = tmp_path / "home"
    monkeypatch.setenv("TUNING_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "studies").mkdir()
    for name, text in (("plain", STUDY), ("plane", PLANE)):
        (tmp_path / "studies" / f"{name}.py").write_text(text)
    return home


@pytest.fixture
def files(home):
    home.mkdir(mode=0o700)
    for engine in ("optuna:tpe", "gridsearchcv"):
        found = searches.search(home, "toy", engine)
        searches.add_trials(found, range(3))
        found.write_finalist(searches.outcome())
        found.write_winner(searches.winner())
        searches.end(found)
    (home / "recordings").mkdir()
    write_made_recording(home / "recordings")
    return home


def make_newer(home: Path, pattern: str) -> list[Path]:
    """Have a later release write the files that a pattern names."""
    paths = sorted(home.glob(pattern))
    for path in paths:
        path.write_text(json.dumps({**json.loads(path.read_text()), "schema": SCHEMA + 1}))
    return paths


def contents(home: Path) -> dict[str, bytes]:
    """Return what there is of searches, benchmarks and recordings, but for logs and locks."""
    return {
        str(path.relative_to(home)): path.read_bytes()
        for folder in ("ledger", "bench", "recordings")
        for path in (home / folder).rglob("*")
        if path.is_file() and path.suffix in (".json", ".npz", ".keras", ".parquet")
    }


def check(case: Case, home: Path, tell) -> None:
    """Make a file newer, give the command, see that it is refused in words, and untouched."""
    newer = make_newer(home, case.file)
    assert newer, f"no file is {case.file}"
    before = contents(home)
    code, output = tell(case.words.split())
    assert code == case.code, output
    assert "it was written by a newer release" in output
    assert "update tuning to read it" in output
    assert newer[0].name in output
    assert "Traceback" not in output
    after = contents(home)
    changed = {name for name in {*before, *after} if before.get(name) != after.get(name)}
    assert {name for name in changed if Path(name).name not in LEFT_OUT} == set()
    assert not changed & {str(path.relative_to(home)) for path in newer}


@pytest.fixture
def tell(capfd):
    """Give a command in this process; return its exit code and all it says."""

    def tell(words):
        capfd.readouterr()
        code = main(words)
        output = capfd.readouterr()
        return code, output.out + output.err

    return tell


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.words} {case.file}")
def test_a_file_of_a_later_release_is_refused_and_left_alone(files, tell, case):
    check(case, files, tell)


@pytest.mark.slow
@pytest.mark.parametrize("case", SYNC_CASES, ids=lambda case: f"{case.words} {case.file}")
def test_a_file_of_a_later_release_is_refused_where_databases_are_written(files, tell, case):
    check(case, files, tell)


@pytest.mark.parametrize("words", ["doctor", "doctor --fix"])
@pytest.mark.parametrize("name", [*SHOWN, "finalists/00000/0.json"])
def test_doctor_tells_of_it_and_mends_nothing_there(files, tell, words, name):
    for found in ("toy/optuna-tpe", "toy/gridsearchcv"):
        (files / "ledger" / found / "mlflow.json").write_text("{}")
    (newer,) = make_newer(files, f"{TOY}/{name}")
    before = contents(files)
    _, output = tell(words.split())
    assert "it was written by a newer release" in " ".join(output.split())
    assert "Traceback" not in output
    assert contents(files) == before
    assert newer.exists()


@pytest.mark.parametrize(
    "verb", [verb for verb in READ_NONE if verb not in ("dashboard", "lr-range", "ui")]
)
def test_verbs_that_read_no_file_of_ours_are_not_kept_from_their_work(
    files, tell, verb, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    make_newer(files, f"{TOY}/*.json")
    before = contents(files)
    code, output = tell(READ_NONE[verb].split())
    assert code == 0, output
    assert contents(files) == before


def command(words: list[str], folder: Path) -> tuple[int, str]:
    """Give a command in a folder to a process of its own."""
    unset = ("TUNING_HOME", "MLFLOW_TRACKING_URI", "TUNING_STORAGE")
    done = subprocess.run(
        [sys.executable, "-m", "tuning", *words],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if name not in unset} | QUIET,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A folder with studies and the state that a search, a benchmark and a recording have left."""
    folder = tmp_path_factory.mktemp("real")
    (folder / "studies").mkdir()
    for name, text in (("plain", STUDY), ("plane", PLANE)):
        (folder / "studies" / f"{name}.py").write_text(text)
    for words in ("run plain --devices cpu:1", BENCH, RECORD):
        code, output = command(words.split(), folder)
        assert code == 0, output
    return folder


@pytest.fixture
def project(real, tmp_path):
    """A copy of it."""
    folder = tmp_path / "project"
    shutil.copytree(real, folder, symlinks=True)
    return folder


@pytest.mark.slow  # each command imports TensorFlow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("case", SLOW_CASES, ids=lambda case: f"{case.words} {case.file}")
def test_a_file_of_a_later_release_is_refused_by_verbs_that_train(project, case):
    check(case, project / "mlruns", lambda words: command(words, project))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_range_test_has_no_need_of_what_lies_there(project):
    make_newer(project / "mlruns", "ledger/*/*/*.json")
    before = contents(project / "mlruns")
    code, output = command(READ_NONE["lr-range"].split(), project)
    assert code == 0, output
    assert contents(project / "mlruns") == before


@pytest.mark.slow
def test_the_page_of_mlflow_is_shown_whoever_wrote_the_ledger(files, tell, monkeypatch):
    served = []
    monkeypatch.setattr(
        "tuning.cli.ui_page.server.serve", lambda *arguments: served.append(arguments)
    )
    ensure_database(tracking_uri(files))
    make_newer(files, f"{TOY}/*.json")
    before = contents(files)
    code, output = tell(["ui"])
    assert (code, len(served)) == (0, 1), output
    assert contents(files) == before
