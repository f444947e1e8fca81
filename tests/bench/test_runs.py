"""`run.json`: how a search went, written and read again, of this release and the last one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tuning.bench.runs import BenchRun, Incumbent, TrialCounts
from tuning.bench.statistics.records import AnytimeRun
from tuning.errors import NewerFileError
from tuning.storage.durable import read_json, write_json

OLD = Path(__file__).parents[1] / "release_0_1" / "mlruns" / "bench" / "old_rates" / "trials=2"

CURVE = AnytimeRun(
    study="s",
    engine="e",
    seed=0,
    direction="minimize",
    metric="val_loss",
    epochs=(1, 3),
    seconds=(0.5, 1.0),
    values=(None, 2.0),
    tests=(None, None),
    asked_s=(0.1, 0.2),
)
RUN = BenchRun(
    curve=CURVE,
    search="s-e-00ff",
    pinned="abc",
    ended="budget",
    counts=TrialCounts(completed=1, failed=1),
    best=Incumbent(number=1, params={"lr": 0.1}, value=2.0, test=None),
    at=5.0,
)


@pytest.mark.parametrize("run", [RUN, replace(RUN, best=None, ended="failed", error="TypeError")])
def test_a_run_is_read_as_it_was_written(run, tmp_path):
    assert BenchRun.read(tmp_path) is None
    run.write(tmp_path)
    assert BenchRun.read(tmp_path) == run


def test_a_run_has_used_what_its_curve_ends_with():
    assert (RUN.epochs, RUN.seconds, RUN.counts.total) == (3, 1.0, 2)


def test_a_run_is_plain_json_with_its_schema():
    stored = RUN.to_json()
    assert json.loads(json.dumps(stored))["schema"] == 2
    assert BenchRun.from_json(json.loads(json.dumps(stored))) == RUN


@pytest.mark.parametrize("search", ["optuna-tpe-seed-000", "keras-tuner-random-seed-000"])
def test_a_run_of_release_0_1_is_read_and_loses_nothing(search):
    stored = read_json(OLD / search / "run.json")
    run = BenchRun.read(OLD / search)
    assert (run.curve.study, run.ended, run.counts.completed) == ("old_rates", "budget", 2)
    assert run.best.value == run.curve.values[-1]
    written = json.loads(json.dumps(run.to_json()))
    assert {name: value for name, value in written.items() if name != "schema"} == stored


def test_a_run_of_a_later_release_is_refused_and_left_as_it_is(tmp_path):
    file = tmp_path / "run.json"
    write_json(file, {**RUN.to_json(), "schema": 3, "curve": "of another shape"})
    before = file.read_bytes()
    with pytest.raises(NewerFileError, match=r"run\.json: it was written by a newer release"):
        BenchRun.read(tmp_path)
    assert file.read_bytes() == before
