"""Where a search lies, and how one is begun there."""

from __future__ import annotations

import pytest

from tests.ledger.test_search import SPACE, opened
from tuning.errors import NewerFileError
from tuning.ledger.begin import search_key
from tuning.ledger.search import SearchFiles
from tuning.schema import SCHEMA
from tuning.storage.durable import read_json, write_json
from tuning.trial import Proposal, Status, TrialResult


def test_the_same_definition_goes_on_with_the_same_search(tmp_path):
    assert opened(tmp_path).header.id == opened(tmp_path).header.id


def test_fresh_sets_the_old_search_aside_whole(tmp_path):
    old = opened(tmp_path)
    old.write_result(TrialResult(0, Status.COMPLETED, 0.5))
    new = opened(tmp_path, fresh=True)
    aside = [SearchFiles(path) for path in tmp_path.iterdir() if path.name.startswith("key~")]
    assert new.result(0) is None
    assert [files.result(0).value for files in aside] == [0.5]
    assert aside[0].header.id != new.header.id


def test_a_damaged_header_is_kept_aside_and_the_trials_are_gone_on_with(tmp_path):
    files = opened(tmp_path)
    files.write_spec(Proposal(0, {"lr": 0.1, "shape": None}, 3))
    (files.folder / "search.json").write_text('{"stu')
    assert len(list(opened(tmp_path).proposals(SPACE))) == 1
    assert (files.folder / "search.json.damaged-1").read_text() == '{"stu'
    assert read_json(files.folder / "search.json")["study"] == "toy"


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", ["search.json", "trials/00000/spec.json"])
def test_a_search_of_a_later_release_is_refused_before_anything_is_touched(tmp_path, name, fresh):
    files = opened(tmp_path)
    files.write_spec(Proposal(0, {"lr": 0.1, "shape": None}, 3))
    path = files.folder / name
    write_json(path, {**read_json(path), "schema": SCHEMA + 1})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.json")}
    if fresh and name != "search.json":
        opened(tmp_path, fresh=True)  # it is set aside whole, and nothing of it is read
        (aside,) = (path for path in tmp_path.iterdir() if "~" in path.name)
        assert (aside / name).read_bytes() == before[path]
        return
    with pytest.raises(NewerFileError, match="Nothing was changed"):
        list(opened(tmp_path, fresh=fresh).proposals(SPACE))
    assert {path: path.read_bytes() for path in tmp_path.rglob("*.json")} == before


@pytest.mark.parametrize(
    ("variant", "key"),
    [
        ({}, "optuna-tpe"),
        ({"epochs": 5, "cv": 3}, "optuna-tpe+cv=3+epochs=5"),
        ({"engine": "optuna:tpe", "pruner": "none"}, "optuna-tpe"),
        ({"trainer": "a/../b c"}, "optuna-tpe+trainer=a-..-b-c"),
    ],
)
def test_the_key_says_what_was_asked_for(variant, key):
    assert search_key("optuna:tpe", "none", variant) == key


def test_the_pruner_is_part_of_the_key():
    assert search_key("optuna:tpe", "asha", {"pruner": "asha"}) == "optuna-tpe-asha"


def test_long_keys_are_cut_and_stay_different():
    a, b = (search_key("optuna:tpe", "none", {"x": "y" * 200 + end}) for end in "ab")
    assert a != b
    assert len(a) < 120


@pytest.mark.parametrize("fresh", [False, True])
def test_a_search_of_a_later_release_is_refused_and_nothing_is_touched(tmp_path, fresh):
    path = opened(tmp_path).folder / "search.json"
    write_json(path, {**read_json(path), "schema": SCHEMA + 1})
    before = path.read_bytes()
    with pytest.raises(NewerFileError, match="written by a newer release"):
        opened(tmp_path, fresh=fresh)
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]
    assert path.read_bytes() == before
