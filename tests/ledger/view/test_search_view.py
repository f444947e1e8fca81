"""What is known of a search that has ended, runs, or was killed, from its files alone."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tests.tracking.writer.searches import add_trials, end, outcome, search, trial, winner
from tuning.errors import StudyError
from tuning.ledger.records import SearchStatus
from tuning.ledger.trial_cache import keep_trials
from tuning.ledger.view.search_view import SearchReader, read_search
from tuning.storage.locks import search_locked

ROOT = Path(__file__).parents[3]


@pytest.fixture
def files(tmp_path):
    files = search(tmp_path)
    add_trials(files, range(6))
    return files


def test_everything_of_an_ended_search_is_there(tmp_path, files):
    files.write_winner(winner(number=1))
    end(files)
    view = read_search(tmp_path, "toy")
    assert (view.name, view.status, view.running) == ("toy/optuna-tpe", "completed", False)
    assert [each.number for each in view.trials] == list(range(6))
    assert view.counts == {"completed": 5, "pruned": 1, "failed": 0, "infeasible": 0}
    assert view.open == ()
    assert view.winner.number == 1
    assert [each.number for each in view.finalists] == [1]
    values = [result.value for _, result in view.ranked()]
    assert values == sorted(values)
    assert len(values) == 5


def test_the_values_of_parameters_have_their_own_types(tmp_path, files):
    params = [each.proposal.params for each in read_search(tmp_path, "toy").trials]
    assert params == [trial(number)[0].params for number in range(6)]


def test_a_trial_comes_with_its_curves_where_it_is_asked_for(tmp_path, files):
    view = read_search(tmp_path, "toy")
    assert view.trials[2].result.curve == ()
    assert len(view.trial(2).result.curve) == 3


@pytest.mark.parametrize("number", [6, -1])
def test_a_trial_that_was_never_asked_for_is_told_with_those_that_were(tmp_path, files, number):
    with pytest.raises(StudyError, match=rf"has no trial {number}; it has trials 0 to 5"):
        read_search(tmp_path, "toy").trial(number)


def test_a_trial_that_has_not_ended_is_open(tmp_path, files):
    files.write_spec(trial(6)[0])
    view = read_search(tmp_path, "toy")
    assert [each.number for each in view.open] == [6]
    assert len(view.ended) == 6


def test_a_search_runs_as_long_as_somebody_holds_its_lock(tmp_path, files):
    assert read_search(tmp_path, "toy").status == "begun"
    files.write_status(SearchStatus(status="running", at=0.0))
    with search_locked(files.folder, "this test"):
        assert read_search(tmp_path, "toy").status == "running"
    assert read_search(tmp_path, "toy").status == "interrupted"


def test_finalists_are_known_before_there_is_a_winner(tmp_path, files):
    for index, value in enumerate((0.5, 0.7)):
        files.write_finalist(replace(outcome(value), index=index, seed=9 + index))
    (finalist,) = read_search(tmp_path, "toy").finalists
    assert finalist.number == 0
    assert finalist.params == trial(0)[0].params
    assert finalist.seeds == (9, 10)
    assert finalist.mean == pytest.approx(0.6)
    assert finalist.spread == pytest.approx(0.1414, abs=1e-4)


def test_the_model_is_found_where_the_state_folder_lies_now(tmp_path, files):
    won = winner()
    evaluation = replace(won.evaluation, model="/gone/winner.keras")
    files.write_winner(replace(won, evaluation=evaluation))
    assert read_search(tmp_path, "toy").model_file is None
    (files.folder / "winner.keras").write_bytes(b"a model")
    assert read_search(tmp_path, "toy").model_file == files.folder / "winner.keras"


def test_a_reader_sees_what_has_come_since(files):
    reader = SearchReader(files)
    files.write_spec(trial(6)[0])
    assert len(reader.read().ended) == 6
    files.write_result(trial(6)[1])
    files.write_spec(trial(7)[0])
    view = reader.read()
    assert [each.number for each in view.trials] == list(range(8))
    assert [each.number for each in view.open] == [7]


def test_a_damaged_trial_is_left_out_and_left_where_it_is(tmp_path, files):
    path = files.folder / "trials" / "00002" / "spec.json"
    path.write_text("{")
    assert [each.number for each in read_search(tmp_path, "toy").trials] == [0, 1, 3, 4, 5]
    assert path.read_text() == "{"


def test_the_cache_is_used_and_never_believed_against_the_files(tmp_path, files):
    pairs = read_search(tmp_path, "toy").ended
    keep_trials(files, pairs, 1 << 62)
    path = files.folder / "trials.cache"
    before = path.read_bytes()

    # Read once more, each comes from the cache; the one whose file has changed does not.
    stored = json.loads((files.folder / "trials" / "00001" / "result.json").read_text())
    stored["value"] = 0.25
    (files.folder / "trials" / "00001" / "result.json").write_text(json.dumps(stored))
    view = read_search(tmp_path, "toy")
    assert view.trials[1].result.value == 0.25
    assert [each.result for each in view.trials[2:]] == [result for _, result in pairs[2:]]
    assert path.read_bytes() == before


def test_nothing_heavy_is_imported_for_it():
    code = (
        "import sys, tuning.ledger.view.search_view; "
        "print([m for m in ('tensorflow', 'keras', 'mlflow', 'optuna', 'pandas', 'sklearn') "
        "if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
