"""The same seed on one slot gives the same trials, whichever engine proposes them."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from scripts.compare_ledgers import differences
from tests.reproduction.studies import searched as searched  # a fixture
from tuning.cli.main import main
from tuning.study.engine_spec import engine_specs

RELEASE_0_1 = Path(__file__).parents[1] / "release_0_1"
NEEDS_TORCH = ("optuna:gp",)


def engines():
    there = importlib.util.find_spec("torch") is not None
    return [name for name in engine_specs() if there or name not in NEEDS_TORCH]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", engines())
def test_a_second_search_has_the_same_trials_to_the_last_digit(searched, engine):
    first, second = (searched(name, engine=engine) for name in ("one", "two"))
    assert list(first.rglob("result.json"))
    assert list(differences(first / "ledger", second / "ledger")) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "search",
    ["optuna-tpe", "keras-tuner-hyperband+epochs=4", "gridsearchcv+cv=2+trials=4"],
)
def test_trials_of_release_0_1_come_out_the_same_today(tmp_path, monkeypatch, capsys, search):
    shutil.copytree(RELEASE_0_1, tmp_path, dirs_exist_ok=True)
    for path in tmp_path.rglob("*.json"):
        path.write_text(path.read_text().replace("/home/someone/", f"{tmp_path}/"))
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    words = ["reproduce", f"old_study/{search}", "1", "--json"]
    main([*words, "--home", str(tmp_path / "mlruns")])
    answer = json.loads(capsys.readouterr().out.splitlines()[-1])
    other_libraries = [each for each in answer["differences"] if each.startswith("versions: ")]
    assert answer["verdict"] == "equal" or other_libraries
