"""Stamps of files: what counts as a change, and when a stamp may be trusted."""

from __future__ import annotations

import os
import time

import pytest

from tuning.ledger.stamps import SETTLED_NS, is_settled, numbered, search_stamp, stamp


@pytest.fixture
def folder(tmp_path):
    """A search's folder with two trials, a winner, a finalist, an artifact and a log."""
    for name in (
        "search.json",
        "winner.json",
        "status.json",
        "writer.log",
        "artifacts/page.html",
        "finalists/00001/0.json",
        "trials/00000/spec.json",
        "trials/00001/spec.json",
        "trials/00001/result.json",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return tmp_path


@pytest.mark.parametrize(
    "name",
    [
        "search.json",
        "winner.json",
        "artifacts/page.html",
        "finalists/00001/0.json",
        "trials/00000/spec.json",
        "trials/00001/result.json",
        "trials/00000/result.json",
        "evaluation.json",
        "artifacts/another.html",
        "trials/00002/spec.json",
    ],
)
def test_a_file_that_is_changed_or_added_changes_the_stamp_of_the_search(folder, name):
    before = search_stamp(folder)
    assert search_stamp(folder) == before
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('{"more": 1}')
    assert search_stamp(folder) != before


@pytest.mark.parametrize("name", ["winner.json", "finalists/00001/0.json", "trials/00001"])
def test_a_file_that_is_gone_changes_the_stamp_of_the_search(folder, name):
    before = search_stamp(folder)
    (folder / name).rename(folder / "elsewhere")
    assert search_stamp(folder) != before


def test_status_and_logs_do_not_count_unless_they_are_named(folder):
    before = [search_stamp(folder), search_stamp(folder, folder / "status.json")]
    (folder / "status.json").write_text('{"status": "completed"}')
    (folder / "writer.log").write_text("a line")
    after = [search_stamp(folder), search_stamp(folder, folder / "status.json")]
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False]


def test_the_same_bytes_in_a_new_file_have_another_stamp(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    before = stamp(path)
    os.replace(path, tmp_path / "b")
    path.write_text("1")
    assert stamp(path) != before
    assert stamp(tmp_path / "nowhere") is None


def test_what_changed_just_before_it_was_read_is_not_settled(tmp_path):
    path = tmp_path / "a"
    path.write_text("1")
    now = time.time_ns()
    assert not is_settled([stamp(path)], now)
    assert is_settled([stamp(path)], now + 2 * SETTLED_NS)
    assert not is_settled([stamp(path), None], now + 2 * SETTLED_NS)


def test_trial_folders_are_in_the_order_of_their_numbers(tmp_path):
    for name in ("100000", "99999", "00002", ".tmp", "foreign-1"):
        (tmp_path / name).mkdir()
    assert numbered(tmp_path) == ["00002", "99999", "100000"]
    assert numbered(tmp_path / "nowhere") == []
