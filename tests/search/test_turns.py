"""Two searches on one device: real commands, trials of milliseconds."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.executors.contract import check_turns

ROOT = Path(__file__).parents[2]
N_TRIALS = 20


@pytest.mark.slow
def test_two_searches_on_one_core_take_turns_by_trial_for_20_rounds(tmp_path):
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TUNING_LEASES": str(tmp_path / "leases"),
        "TUNING_HOME": str(tmp_path / "home"),
    }
    command = [
        *(sys.executable, "-m", "tuning", "run", "tests/search/run_parts.py"),
        *("--engine", "optuna:random", "--devices", "cpu:1", "--trials", str(N_TRIALS)),
        *("--top-k", "1", "--seeds", "1", "--quiet", "--json"),
    ]
    searches = [
        subprocess.Popen(
            [*command, "--seed", str(seed)],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed in (1, 2)
    ]
    outcomes = [search.communicate(timeout=300) for search in searches]
    assert [search.returncode for search in searches] == [0, 0], outcomes

    spans = []
    for number, (out, _) in enumerate(outcomes):
        key = json.loads(out.splitlines()[-1])["search"]
        spans += [(*times, number) for times in times_of(tmp_path / "home", key)]
    assert len(spans) == 2 * N_TRIALS
    check_turns(sorted(spans))


def times_of(home, search):
    """Return beginning and end of each trial of a search, in seconds since 1970."""
    for header in home.glob("ledger/*/*/search.json"):
        if json.loads(header.read_text())["id"] == search:
            results = [json.loads(path.read_text()) for path in header.parent.rglob("result.json")]
            return [(each["started_at"], each["ended_at"]) for each in results]
    raise AssertionError(f"no search {search}")
