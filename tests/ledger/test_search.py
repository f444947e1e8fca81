"""The files of one search."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tuning.errors import ChangedError, NewerFileError, StorageError
from tuning.ledger.records import Death, SearchHeader
from tuning.ledger.search import SearchFiles, begin, counts, search_key
from tuning.ledger.winner import FinalistOutcome
from tuning.schema import SCHEMA
from tuning.space.space import Choice, Float, Space
from tuning.storage.durable import read_json, write_json
from tuning.study.objective import Minimize
from tuning.trial import Proposal, Status, TrialResult

SPACE = Space({"lr": Float(1e-4, 1e-1, log=True), "shape": Choice((8, 8), None)})
HEADER = SearchHeader(
    study="toy",
    engine="optuna:tpe",
    objective=Minimize("val_rmse"),
    versions=({"epochs": 3, "space": {"lr": "Float(0, 1)"}},),
    trials=2,
)
OUTCOME = FinalistOutcome(number=0, index=0, seed=1, value=1.0, epochs=3)


def opened(folder, header=HEADER, fresh=False, allow_change=False) -> SearchFiles:
    return begin(folder / "key", header, fresh=fresh, allow_change=allow_change)


def changed(**definition):
    return replace(HEADER, versions=({**HEADER.definition, **definition},))


def defined(**definition):
    return replace(HEADER, versions=(definition,))


def test_asks_tells_and_results_come_back_as_they_were(tmp_path):
    files = opened(tmp_path)
    first = Proposal(0, {"lr": 0.1 + 0.2, "shape": (8, 8)}, 3)
    second = Proposal(1, {"lr": 1e-4, "shape": None}, 3, 0, tells=(0,))
    files.write_spec(first)
    files.write_spec(second)
    result = files.write_result(TrialResult(0, Status.COMPLETED, 0.5))
    again = opened(tmp_path)
    assert list(again.proposals(SPACE)) == [first, second]
    assert [again.result(number) for number in (0, 1)] == [result, None]


def test_a_result_is_never_rewritten(tmp_path):
    files = opened(tmp_path)
    first = files.write_result(TrialResult(0, Status.COMPLETED, 0.5))
    assert files.write_result(TrialResult(0, Status.FAILED)) == first
    assert files.result(0) == first


@pytest.mark.parametrize("torn", [b"", b'{"number": 0, "sta', b"\0" * 64])
def test_a_torn_result_counts_as_none_and_is_replaced(tmp_path, torn):
    files = opened(tmp_path)
    files.write_result(TrialResult(0, Status.COMPLETED, 0.5))
    (files.trial_folder(0) / "result.json").write_bytes(torn)
    assert files.result(0) is None
    files.write_result(TrialResult(0, Status.COMPLETED, 0.7))
    assert files.result(0).value == 0.7


def test_a_damaged_last_spec_was_never_asked(tmp_path):
    files = opened(tmp_path)
    files.write_spec(Proposal(0, {"lr": 0.1, "shape": None}, 3))
    files.trial_folder(1).mkdir()
    assert len(list(files.proposals(SPACE))) == 1


def test_a_damaged_spec_in_the_middle_is_told(tmp_path):
    files = opened(tmp_path)
    for number in range(3):
        files.write_spec(Proposal(number, {"lr": 0.1, "shape": None}, 3))
    (files.trial_folder(1) / "spec.json").unlink()
    with pytest.raises(StorageError, match=r"00001/spec\.json is damaged"):
        list(files.proposals(SPACE))


def test_attempts_are_counted_from_one_and_only_deaths_count_against_a_trial(tmp_path):
    files = opened(tmp_path)
    assert [files.begin_attempt(0)[0] for _ in range(3)] == [1, 2, 3]
    files.write_death(0, 2, Death(cause="killed"))
    assert files.deaths(0) == 1


def test_an_attempt_never_takes_a_folder_that_is_there(tmp_path):
    files = opened(tmp_path)
    files.begin_attempt(0)[1].rename(files.trial_folder(0) / "attempt-4")
    assert files.begin_attempt(0)[0] == 5


def test_the_same_definition_goes_on_with_the_same_search(tmp_path):
    assert opened(tmp_path).header.id == opened(tmp_path).header.id


def test_another_definition_is_refused_with_each_difference_and_nothing_is_touched(tmp_path):
    before = opened(tmp_path).header
    with pytest.raises(ChangedError) as caught:
        opened(tmp_path, changed(epochs=5, space={"lr": "Float(0, 2)", "n": "Int(1, 2)"}))
    assert caught.value.faults == (
        "epochs was 3, is 5",
        "space.lr was 'Float(0, 1)', is 'Float(0, 2)'",
        "space.n was None, is 'Int(1, 2)'; use --fresh to begin anew (the old search is kept) or "
        "--allow-change to go on with it",
    )
    assert SearchFiles(tmp_path / "key").header == before


def test_an_allowed_change_is_another_version_once_the_engine_has_gone_along_with_it(tmp_path):
    before = opened(tmp_path).header
    files = opened(tmp_path, changed(epochs=5), allow_change=True)
    assert files.header == before
    files.add_version(changed(epochs=5))
    after = files.header
    assert after.id == before.id
    assert [version["epochs"] for version in after.versions] == [3, 5]
    opened(tmp_path, changed(epochs=5)).add_version(changed(epochs=5))
    assert files.header == after


def test_a_trial_that_is_no_point_of_the_changed_space_is_told(tmp_path):
    files = opened(tmp_path)
    files.write_spec(Proposal(0, {"lr": 0.1, "shape": (8, 8)}, 3))
    for space in (Space({"lr": SPACE["lr"]}), Space({"lr": SPACE["lr"], "shape": Choice(None)})):
        with pytest.raises(
            ChangedError, match=r"trial 0 was .*which is no point of the space any more; --fresh"
        ):
            list(files.proposals(space))


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


def test_diverged_trials_are_counted_as_failed():
    ends = [Status.COMPLETED, Status.DIVERGED, Status.FAILED, Status.PRUNED, Status.INFEASIBLE]
    assert counts(ends) == {"completed": 1, "pruned": 1, "failed": 2, "infeasible": 1}


def test_another_definition_sets_aside_what_the_old_one_gave_a_winner_by(tmp_path):
    files = opened(tmp_path, defined(builder="a"))
    files.write_finalist(OUTCOME)
    write_json(files.folder / "winner.json", {"number": 0})
    files.write_spec(Proposal(0, {}, 1))
    changed = defined(builder="b")
    opened(tmp_path, changed, allow_change=True).add_version(changed)
    assert files.finalist(0, 0) is None
    assert not (files.folder / "winner.json").exists()
    assert (files.folder / "version-1" / "winner.json").exists()
    assert files.header.begins == (0, 1)


def test_a_change_that_a_kill_cut_short_can_be_made_after_the_old_definition_was_gone_on_with(
    tmp_path,
):
    files = opened(tmp_path, defined(builder="a"))
    # Moved, and then it was killed.
    (files.folder / "version-1" / "finalists" / "00007").mkdir(parents=True)
    files.write_finalist(OUTCOME)  # by the old definition, afterwards
    changed = defined(builder="b")
    opened(tmp_path, changed, allow_change=True).add_version(changed)
    aside = files.folder / "version-1"
    assert (aside / "finalists" / "00007").is_dir()
    assert (aside / "finalists~2" / "00000" / "0.json").exists()


@pytest.mark.parametrize("name", ["objective", "data_digest", "test_size", "seed", "cv"])
def test_values_that_cannot_be_compared_are_not_mixed_even_when_a_change_is_allowed(tmp_path, name):
    opened(tmp_path, defined(**{name: "old"}))
    with pytest.raises(
        ChangedError, match=f"values under another {name} cannot be compared: use --fresh"
    ):
        opened(tmp_path, defined(**{name: "new"}), allow_change=True)


def test_a_larger_budget_is_shown_in_the_header(tmp_path):
    files = opened(tmp_path, replace(HEADER, trials=20))
    files.add_version(replace(HEADER, trials=40))
    assert files.header.trials == 40


@pytest.mark.parametrize("fresh", [False, True])
def test_a_search_of_a_later_release_is_refused_and_nothing_is_touched(tmp_path, fresh):
    path = opened(tmp_path).folder / "search.json"
    write_json(path, {**read_json(path), "schema": SCHEMA + 1})
    before = path.read_bytes()
    with pytest.raises(NewerFileError, match="written by a newer release"):
        opened(tmp_path, fresh=fresh)
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]
    assert path.read_bytes() == before
