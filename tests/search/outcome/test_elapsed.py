"""How long a search has run, over all its starts, from its files."""

from __future__ import annotations

import os

import pytest

from tests.tracking.writer.searches import add_trials, search
from tuning.ledger.records import SearchStatus
from tuning.search.outcome.elapsed import Elapsed, elapsed_before


@pytest.fixture
def files(tmp_path):
    return search(tmp_path)


def test_a_search_that_begins_has_taken_nothing(files):
    assert elapsed_before(files) == Elapsed(0.0, 0)
    assert elapsed_before(files).and_now(12.0) == Elapsed(12.0, 1)


def test_the_runs_before_are_added(files):
    files.write_status(SearchStatus(status="interrupted", at=50.0, seconds=30.0, runs=2))
    assert elapsed_before(files).and_now(12.0) == Elapsed(42.0, 3)


def test_a_run_that_was_killed_counts_up_to_its_last_sign_of_life(files):
    files.write_status(SearchStatus(status="running", at=1000.0, seconds=5.0, runs=1))
    add_trials(files, range(2))
    for number, at in enumerate((1010.0, 1025.0)):
        os.utime(files.trial_folder(number), (at, at))
    assert elapsed_before(files) == Elapsed(30.0, 1)


def test_a_run_that_was_killed_before_its_first_trial_counts_up_to_its_start(files):
    files.write_status(SearchStatus(status="running", at=1000.0, seconds=5.0, runs=1))
    assert elapsed_before(files) == Elapsed(5.0, 1)


def test_of_runs_of_an_earlier_release_nothing_is_made_up(files):
    files.write_status(SearchStatus(status="interrupted", at=50.0))
    assert elapsed_before(files).and_now(12.0) == Elapsed(0.0, 2)


def test_a_status_without_the_figures_is_written_as_it_was():
    assert set(SearchStatus(status="completed", at=1.0).to_json()) == {
        "schema",
        "status",
        "counts",
        "error",
        "at",
    }
