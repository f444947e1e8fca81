"""A search that knows secrets: none of them is in any file, database, page or line of it.

And nothing that it reads from a file is unpickled (Numba's machine code aside, see `compile.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]
CANARIES = ("canary-in-url-1d7", "canary-secret-2e8", "canary-fixed-3f9", "canary-token-4a0")

STUDY = """
import os
import keras
import numpy as np
from tuning import Choice, Dataset, Minimize, Secret, Study

PLACE = "postgresql://me:" + os.environ["OF_URL"] + "@db:5432/x"


def build(n=2, api_key="", service=None, service_token="", input_shape=(2,)):
    assert service_token == os.environ["EXPECTED_FIXED"], "the builder gets the value"
    assert service == os.environ["EXPECTED"], "the builder gets the value"
    print("printed", service, PLACE, service_token)
    if n == 3:
        raise ValueError(f"cannot reach {PLACE} with {service} and {service_token}")
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(n), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model


def plane():
    X = np.random.default_rng(0).normal(size=(200, 2))
    return Dataset("plane", X, X.sum(axis=1), "regression")


STUDY = Study(
    name="canary", builder=build, data=plane, objective=Minimize("val_rmse"),
    space={"n": Choice(2, 3, 4)},
    fixed={
        "service": Secret(os.environ["EXPECTED"]), "service_token": os.environ["EXPECTED_FIXED"],
    },
    engine="optuna:grid", trials=3, epochs=1, batch_size=64, top_k=1, seeds=1,
)
"""

HOOK = """
import os, sys

def noted(event, arguments):
    if event == "pickle.find_class":
        frame = sys._getframe(1)
        files = []
        while frame is not None and len(files) < 6:
            files.append(frame.f_code.co_filename)
            frame = frame.f_back
        with open(os.environ["UNPICKLED"], "a") as file:
            file.write("|".join(files) + "\\\\n")

sys.addaudithook(noted)
"""
# Where bytes are unpickled that came through a pipe from a process of ours, or were pickled in the
# same line; and machine code, whose folder is private.
FROM_PIPES = (
    "tuning/executors/wire.py",
    "tuning/executors/base.py",
    "tuning/executors/local.py",
    "tuning/engines/remote.py",
    "tuning/trials/worker_study.py",
    "tuning/data/packing.py",
    "tuning/study/discovered_space.py",
    "multiprocessing/connection.py",
    "numba/core/caching.py",
    "numba/core/serialize.py",
    "/copy.py",
)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """Run a search whose study, store and variables hold secrets; give its folder and output."""
    folder = tmp_path_factory.mktemp("canary")
    (folder / "study.py").write_text(STUDY)
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(HOOK)
    home = folder / "home"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder / "hook"), str(ROOT)]),
        "UNPICKLED": str(folder / "unpickled"),
        "OF_URL": CANARIES[0],
        "EXPECTED": CANARIES[1],
        "EXPECTED_FIXED": CANARIES[2],
        "MY_SERVICE_TOKEN": CANARIES[3],
        "TUNING_HOME": str(home),
        "TUNING_LEASES": str(folder / "leases"),
        # Nobody listens there, so that the writer tells of the address.
        "MLFLOW_TRACKING_URI": f"http://me:{CANARIES[0]}@127.0.0.1:1",
        "TMPDIR": str(folder),
    }
    environment.pop("TUNING_STORAGE", None)

    def call(*words):
        return subprocess.run(
            [sys.executable, "-m", "tuning", *words],
            cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300,
        )  # fmt: skip

    run = call("run", "study.py", "--devices", "cpu:1", "--json")
    _end_writers_of(folder)
    del environment["MLFLOW_TRACKING_URI"]
    return folder, home, run, call("sync")


def _end_writers_of(folder):
    """End the writer that would go on trying for MLflow."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get("UNPICKLED") == str(folder / "unpickled"):
                process.kill()
                process.wait(20)


@pytest.mark.slow
def test_no_secret_is_in_any_file_or_line(searched):
    folder, home, run, sync = searched
    assert sync.returncode == 0, sync.stderr
    summary = json.loads(run.stdout.splitlines()[-1])
    assert summary["trials"] == {"completed": 2, "pruned": 0, "failed": 1, "infeasible": 0}

    looked_at = {path for path in home.rglob("*") if path.is_file()}
    assert {"mlflow.db", "optuna.db", "writer.log", "result.json"} <= {
        path.name for path in looked_at
    }
    assert any(path.suffix == ".html" for path in looked_at)
    assert any("***" in path.read_text() for path in looked_at if path.name == "result.json")
    leaks = [
        f"{canary} in {path.relative_to(folder)}"
        for path in sorted(looked_at)
        for canary in CANARIES
        if canary.encode() in path.read_bytes()
    ]
    output = run.stdout + run.stderr + sync.stdout + sync.stderr
    leaks += [f"{canary} in the output" for canary in CANARIES if canary in output]
    assert leaks == []


@pytest.mark.slow
def test_nothing_is_unpickled_that_was_read_from_a_file(searched):
    folder, *_ = searched
    callers = set((folder / "unpickled").read_text().splitlines())
    assert callers
    others = [line for line in callers if not any(name in line for name in FROM_PIPES)]
    assert others == []
