"""Searches that release 0.1 began, gone on with: real files of it, real processes of ours."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import tuning.search.run
from tests.search.run_parts import NoWriter
from tuning.ledger.search import SearchFiles
from tuning.schema import SCHEMA
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.storage.durable import read_json

RELEASE_0_1 = Path(__file__).parents[1] / "release_0_1"


@pytest.fixture
def old(tmp_path, monkeypatch):
    """The state folder and the studies of release 0.1, as if they had been made here."""
    shutil.copytree(RELEASE_0_1, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("*.json"):
        path.write_text(path.read_text().replace("/home/someone/", f"{tmp_path}/"))
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "mlruns"))
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    for name in ("MLFLOW_TRACKING_URI", "TUNING_STORAGE", "TUNING_DEVICES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def go_on(old, forkserver):
    """Run the study that release 0.1 searched."""

    def go_on(variant, **budget):
        options = RunOptions(devices="cpu:1", variant=variant, budget=budget)
        return run_study(old / "studies" / "old_study.py", options, None, forkserver)

    return go_on


def search_in(old: Path, key: str) -> SearchFiles:
    return SearchFiles(old / "mlruns" / "ledger" / "old_study" / key)


def results(files: SearchFiles) -> dict[str, bytes]:
    paths = files.folder.glob("trials/*/result.json")
    return {path.parent.name: path.read_bytes() for path in paths}


def drop_finalists(files: SearchFiles) -> None:
    """The weights of finalists are not among the files we have of release 0.1."""
    shutil.rmtree(files.folder / "finalists")


def test_optuna_goes_on_with_more_trials_and_keeps_the_old_ones(old, go_on):
    files = search_in(old, "optuna-tpe")
    before, header = results(files), files.header
    drop_finalists(files)
    summary = go_on({}, trials=5)
    assert (summary.status, summary.counts["completed"]) == ("completed", 5)
    after = results(files)
    assert {number: after[number] for number in before} == before
    assert sorted(after.keys() - before.keys()) == ["00003", "00004"]
    assert (files.header.id, files.header.trials) == (header.id, 5)
    assert read_json(files.folder / "search.json")["schema"] == SCHEMA
    asks = [files.proposal(number, header.space) for number in range(4)]
    assert sorted(number for ask in asks for number in ask.tells) == [0, 1, 2]


@pytest.mark.slow
def test_hyperband_continues_no_trial_and_finds_the_same_winner(old, go_on):
    files = search_in(old, "keras-tuner-hyperband+epochs=4")
    before, winner = results(files), files.winner
    drop_finalists(files)
    summary = go_on({"engine": "keras-tuner:hyperband", "epochs": 4}, trials=6)
    assert results(files) == before
    assert summary.winner.number == winner.number
    assert summary.winner.values == pytest.approx(winner.standing.values, rel=1e-3)
    assert summary.test == pytest.approx(winner.evaluation.test, rel=1e-3)


@pytest.mark.slow
def test_a_grid_trains_nothing_and_reads_the_finalists_that_were_kept(old, go_on):
    files = search_in(old, "gridsearchcv+cv=2+trials=4")
    before, winner = results(files), files.winner
    finalists = {path: path.read_bytes() for path in files.folder.glob("finalists/**/*.json")}
    summary = go_on({"engine": "gridsearchcv", "cv": 2}, trials=4)
    assert results(files) == before
    assert finalists == {
        path: path.read_bytes() for path in files.folder.glob("finalists/**/*.json")
    }
    assert files.winner.standing == winner.standing
    assert summary.test == pytest.approx(winner.evaluation.test, rel=1e-3)
