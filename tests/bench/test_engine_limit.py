"""Engines that never answer, in processes of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.bench.hanging import LIMIT_S
from tests.bench.test_run import Listener, plan, uneven
from tuning.bench.budget import Budget
from tuning.bench.run import run_bench
from tuning.executors.forkserver import ForkServer
from tuning.space.domains import Float

ROOT = Path(__file__).parents[2]
HANG = """
import sys
from tests.bench import hanging
from tuning.bench import engine_limit
engine_limit._BLOCKED_S = 0.3
with engine_limit.EngineLimit(0.3, lambda reason: print(reason, flush=True)) as limit:
    with limit.answering("tell"):
        pass
    with limit.answering("ask"):
        getattr(hanging, sys.argv[1])()
"""
REASON = "the engine took more than 0.3 s for one answer ('ask')\n"
# What keeps Python's lock is ended all the same, but nobody can say anything any more.
SAID = {"loop": REASON, "sleep": REASON, "keep_the_lock": ""}


@pytest.mark.parametrize(
    "kind",
    [
        pytest.param("loop", marks=pytest.mark.slow),
        pytest.param("sleep", marks=pytest.mark.slow),
        "keep_the_lock",
    ],
)
def test_a_call_that_never_ends_takes_its_process_along_and_the_reason_is_kept(kind):
    done = subprocess.run(
        [sys.executable, "-c", HANG, kind], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1
    assert done.stdout == SAID[kind]
    assert kind in done.stderr  # where it was


@pytest.mark.slow
def test_a_search_whose_engine_hangs_has_failed_and_the_others_go_on(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    defined = {
        "builder": uneven,
        "trainer": "function",
        "space": {"x": Float(0.5, 0.9)},
        "epochs": 1,
    }
    listener = Listener()
    engines = "optuna:random,randomizedsearchcv"
    hanging = plan(tmp_path / "home", engines, budget=Budget("trials", 4), **defined)
    with ForkServer(("tuning.executors.preload:load", "tests.bench.hanging:load")) as server:
        server.wait_ready()
        began_at = time.monotonic()
        (done,), status = run_bench(hanging, listener, server)
    assert status == "completed"
    assert [run.ended for run in done.runs] == ["failed", "budget"]
    assert done.runs[0].error == (f"the engine took more than {LIMIT_S:g} s for one answer ('ask')")
    assert [run.counts.completed for run in done.runs] == [2, 4]
    assert time.monotonic() - began_at < 60
    # What has failed is kept as such: the same command does not hang again.
    (again,), _ = run_bench(hanging, Listener())
    assert again.runs == done.runs
