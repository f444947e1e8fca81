"""Every verb that trains, on a cluster of three nodes: the same numbers as on this box.

The nodes share a machine, and nothing else: the study comes in an archive, and each search has a
state folder that no node is told of.
"""

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from scripts.compare_ledgers import differences
from tests.executors.ray_cluster import SOON, TOKEN, RayCluster
from tests.faults.home import own_home
from tuning.simulation.recording import load_recording

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

STUDY = """
from pathlib import Path
import numpy as np
from helpers import builder
from tuning import Choice, Float, Int, Minimize, Study
from tuning.data.dataset import Dataset


def table():
    X = np.loadtxt(Path(__file__).with_name("plane-rows.csv"), delimiter=",")
    return Dataset(name="plane", X=X, y=X.sum(axis=1), task="regression")


STUDY = Study(
    name="plane",
    builder=builder,
    data=table,
    objective=Minimize("val_rmse"),
    space={
        "n_hidden": Int(0, 2),
        "n_neurons": Int(2, 16),
        "lr": Float.from_range_test(1e-3, 1.0),
        "batch_size": Choice(8, 16, 32),
    },
    engine="optuna:tpe",
    trials=4,
    epochs=4,
    top_k=2,
    seeds=2,
    seed=3,
)
"""

JOBLIB = """
import json, sys
import joblib, numpy as np
from sklearn.model_selection import GridSearchCV
from tuning import KerasRegressor
from helpers import builder

X = np.random.default_rng(0).normal(size=(90, 3))
y = X.sum(axis=1)
search = GridSearchCV(
    KerasRegressor(builder, epochs=3, random_state=1, n_neurons=4, input_shape=(3,), verbose=0),
    {"n_neurons": [3, 8]},
    cv=2,
    n_jobs=2,
)
with joblib.parallel_config("tuning", **json.loads(sys.argv[1])):
    search.fit(X, y)
scores = search.cv_results_["mean_test_score"].tolist()
print(json.dumps([scores, search.best_params_]))
"""


@pytest.fixture(scope="module")
def cluster():
    """Three nodes with four CPUs, and a server for clients outside of them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch:
        # gRPC's own handlers sometimes abort a process that Ray's server for clients forks.
        patch.setenv("GRPC_ENABLE_FORK_SUPPORT", "0")
        cluster = RayCluster(ray_client_server_port=port)
        patch.delenv("GRPC_ENABLE_FORK_SUPPORT")
        cluster.client_address = f"ray://127.0.0.1:{port}"
        patch.setenv(TOKEN, cluster.token)
        for name, value in SOON.items():
            patch.setenv(name, value)
        yield cluster
        cluster.close()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a study, a module and data; the current folder."""
    own_home(tmp_path, monkeypatch, devices="a,b")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "plane.py").write_text(STUDY)
    (folder / "joined.py").write_text(JOBLIB)
    helper = "from tuning.builders.mlp import build_model as builder\n"
    (folder / "helpers.py").write_text(helper)
    rows = np.random.default_rng(0).normal(size=(160, 3))
    np.savetxt(folder / "plane-rows.csv", rows, delimiter=",")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def both(project, cluster, tmp_path):
    """Run a command here and on the cluster; return both state folders and last lines."""

    def both(*words):
        ended = []
        for executor in ("local", "ray"):
            home = tmp_path / executor
            more = ["--executor", executor]
            if executor == "ray":
                more += ["--ray-address", cluster.address]
            text = run(*words, *more, home=home)
            ended.append((home, text.splitlines()[-1]))
        return ended

    return both


def run(*words, home, code=0):
    process = subprocess.run(
        [sys.executable, "-m", "tuning", *words],
        env={**os.environ, "TUNING_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert process.returncode == code, process.stdout + process.stderr
    return process.stdout if code == 0 else process.stderr


def assert_equal(first, second, name="ledger"):
    """Every trial's, every winner's files are the same; a benchmark's curves are of seconds."""
    assert list((first / name).rglob("result.json"))
    found = differences(first / name, second / name)
    assert [line for line in found if "run.json" not in line] == []


def test_a_search_with_baselines_finals_and_evaluation(both):
    words = ("run", "plane.py", "--devices", "cpu:2", "--deterministic", "--json")
    (local, line), (cluster, other) = both(*words)
    assert_equal(local, cluster)
    before, after = json.loads(line), json.loads(other)
    for figure in ("test", "baseline"):
        assert before[figure]
        assert before[figure] == after[figure]


def test_a_benchmark(both):
    words = ("bench", "plane.py", "--engines", "randomizedsearchcv,optuna:tpe", "--seeds", "1")
    (local, _), (cluster, _) = both(*words, "--budget", "trials=2", "--devices", "cpu:2", "--json")
    assert_equal(local, cluster, "bench")


def test_a_recording(both):
    words = ("record", "plane.py", "--points", "2", "--seeds", "1", "--devices", "cpu:2", "--json")
    (_, line), (_, other) = both(*words)
    before, after = (load_recording(Path(json.loads(each)["recording"])) for each in (line, other))
    assert np.array_equal(before.values, after.values, equal_nan=True)


def test_a_range_test(both):
    words = ("lr-range", "plane.py", "--seeds", "2", "--steps", "60", "--devices", "cpu", "--json")
    (_, line), (_, other) = both(*words)
    before, after = json.loads(line), json.loads(other)
    for figure in ("suggestions", "interval", "label"):
        assert before[figure] == after[figure]


def test_a_grid_search_of_scikit_learns(project, cluster):
    choices = (
        {"devices": "cpu:2"},
        {"devices": "cpu:2", "executor": "ray", "ray_address": cluster.address},
    )
    printed = [
        subprocess.run(
            [sys.executable, "joined.py", json.dumps(choice)],
            capture_output=True,
            text=True,
            timeout=300,
            check=True,
        ).stdout.splitlines()[-1]
        for choice in choices
    ]
    assert printed[0] == printed[1]
    assert len(json.loads(printed[0])[0]) == 2


def test_from_outside_of_the_cluster(project, cluster, tmp_path):
    words = ("run", "plane.py", "--devices", "cpu:2", "--deterministic", "--json")
    run(*words, home=tmp_path / "local")
    outside = ("--executor", "ray", "--ray-address", cluster.client_address)
    run(*words, *outside, home=tmp_path / "ray")
    assert_equal(tmp_path / "local", tmp_path / "ray")
    end = time.monotonic() + 20.0
    while cluster.actors():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_from_outside_the_token_is_asked_for_too(project, cluster, tmp_path, monkeypatch):
    monkeypatch.setenv(TOKEN, "b" * 32)
    outside = ("--executor", "ray", "--ray-address", cluster.client_address)
    text = run("run", "plane.py", *outside, "--quiet", home=tmp_path / "ray", code=2)
    assert "the cluster refuses the token that is there" in text
