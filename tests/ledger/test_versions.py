"""The definitions under which one search was begun and gone on with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.ledger.test_search import HEADER, OUTCOME, opened
from tuning.errors import ChangedError
from tuning.ledger.search import SearchFiles
from tuning.storage.durable import write_json
from tuning.trial import Proposal


def changed(**definition):
    return replace(HEADER, versions=({**HEADER.definition, **definition},))


def defined(**definition):
    return replace(HEADER, versions=(definition,))


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
