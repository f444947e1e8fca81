"""`trials.cache`: trials as they were read last, as long as their files are the same."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.tracking.writer import searches
from tuning.ledger import results, trial_cache
from tuning.ledger.digests import ask_digest
from tuning.ledger.search import SearchFiles
from tuning.ledger.trial_cache import ended_trials
from tuning.space.space import Choice, Space
from tuning.storage.durable import read_json, write_json
from tuning.trial import Status

TRIALS = 5
SPACE = searches.SPACE


@pytest.fixture
def files(tmp_path, monkeypatch):
    """A search of five trials that have ended, a while ago."""
    # As if the files were older: else nothing of them would be kept.
    monkeypatch.setattr(trial_cache, "is_settled", lambda stamps, read_at_ns: True)
    files = searches.search(tmp_path)
    searches.add_trials(files, range(TRIALS))
    return SearchFiles(files.folder)


@pytest.fixture
def read(monkeypatch):
    """The numbers of the trials whose results are read from their files."""
    numbers = []
    read_one = results._read

    def counted(path):
        numbers.append(int(path.parent.name))
        return read_one(path)

    monkeypatch.setattr(results, "_read", counted)
    return numbers


def rewritten(files, number, **changes):
    """Change a result in its file, as a copy that is put back does; return it."""
    path = files.trial_folder(number) / "result.json"
    write_json(path, {**read_json(path), **changes})
    return path


def test_the_second_time_nothing_is_read_and_all_is_the_same(files, read):
    first = ended_trials(files, SPACE)
    assert read == list(range(TRIALS))
    read.clear()
    second = ended_trials(files, SPACE)
    assert read == []
    assert second == first
    assert [proposal.digest for proposal, _ in second] == [proposal.digest for proposal, _ in first]


def test_trials_are_those_of_the_files_but_for_their_curves(files):
    for _ in range(2):
        for proposal, result in ended_trials(files, SPACE):
            number = proposal.number
            assert proposal == files.proposal(number, SPACE)
            assert result == files.result(number).without_curves()


def test_only_a_trial_whose_file_has_changed_is_read_again(files, read):
    ended_trials(files, SPACE)
    rewritten(files, 3, value=0.125)
    read.clear()
    assert ended_trials(files, SPACE)[3][1].value == 0.125
    assert read == [3]
    read.clear()
    ended_trials(files, SPACE)
    assert read == []


@pytest.mark.parametrize("name", ["result.json", "spec.json"])
def test_a_file_that_is_gone_or_torn_is_left_to_whoever_runs_the_search(files, name):
    ended_trials(files, SPACE)
    path = files.trial_folder(2) / name
    whole = path.read_bytes()
    path.unlink()
    assert ended_trials(files, SPACE) is None
    path.write_bytes(whole[: len(whole) // 2])
    assert ended_trials(files, SPACE) is None
    path.write_bytes(whole)
    assert len(ended_trials(files, SPACE)) == TRIALS


def test_a_result_of_another_ask_is_not_taken_from_the_cache(files):
    """The file of the ask is swapped, the result beside it is as it was."""
    ended_trials(files, SPACE)
    spec = files.trial_folder(1) / "spec.json"
    stored = read_json(files.trial_folder(4) / "spec.json") | {"number": 1}
    write_json(spec, stored | {"digest": ask_digest(stored)})
    assert ended_trials(files, SPACE) is None


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:40] + b"0" + data[41:],
        lambda data: data.replace(b'"value": 0', b'"value": 1', 1),
        lambda data: b"null",
    ],
)
def test_a_cache_that_is_not_whole_is_none_and_is_written_anew(files, read, damage):
    trials = ended_trials(files, SPACE)
    cache = files.folder / "trials.cache"
    whole = cache.read_bytes()
    changed = damage(whole)
    assert changed != whole
    cache.write_bytes(changed)
    read.clear()
    assert ended_trials(files, SPACE) == trials
    assert read == list(range(TRIALS))
    assert cache.read_bytes() == whole


def test_the_cache_of_another_search_is_not_taken(files, tmp_path, read):
    ended_trials(files, SPACE)
    other = searches.search(tmp_path / "other")
    searches.add_trials(other, range(TRIALS), fault_every=0)
    cache = (files.folder / "trials.cache").read_bytes()
    (other.folder / "trials.cache").write_bytes(cache)
    read.clear()
    assert {result.status for _, result in ended_trials(other, SPACE)} == {Status.COMPLETED}
    assert read == list(range(TRIALS))


def test_under_another_space_nothing_of_it_is_taken(files):
    ended_trials(files, SPACE)
    kept = trial_cache.KeptTrials.load(files)
    stamps = trial_cache.stamps_of(files, 0)
    of_words = Space({**SPACE.domains, "lr": Choice("low", "high")})
    assert kept.pair(0, stamps, SPACE.decode) is not None
    assert kept.pair(0, stamps, of_words.decode) is None


def test_a_trial_that_has_not_ended_makes_the_search_one_that_goes_on(files):
    files.write_spec(searches.trial(TRIALS)[0])
    assert ended_trials(files, SPACE) is None


def test_a_gap_between_the_numbers_is_told_by_whoever_runs_the_search(files):
    files.trial_folder(1).rename(files.folder / "elsewhere")
    assert ended_trials(files, SPACE) is None


def test_what_was_written_while_it_was_read_is_read_again(files, read, monkeypatch):
    monkeypatch.undo()  # files of this very moment are not settled
    monkeypatch.setattr(results, "_read", _counting(results._read, read))
    ended_trials(files, SPACE)
    read.clear()
    for number in range(TRIALS):
        os.utime(files.trial_folder(number) / "result.json")
    ended_trials(files, SPACE)
    assert read == list(range(TRIALS))


def _counting(read_one, numbers):
    def counted(path):
        numbers.append(int(path.parent.name))
        return read_one(path)

    return counted


def test_a_disk_that_is_full_leaves_the_search_without_a_cache(files, monkeypatch):
    trials = ended_trials(files, SPACE)
    cache = files.folder / "trials.cache"
    cache.unlink()

    def full(path, data):
        from tuning.errors import StorageError

        raise StorageError("no space")

    monkeypatch.setattr(trial_cache, "write_bytes", full)
    assert ended_trials(files, SPACE) == trials
    assert not cache.exists()


def test_numbers_of_numpys_are_written_as_pythons(files):
    import numpy as np

    pairs = ended_trials(files, SPACE)
    proposal, result = pairs[0]
    pairs[0] = (proposal, replace(result, rss_mb=np.float32(1.5), epochs=np.int64(3)))
    trial_cache.keep_trials(files, pairs, 0)
    _, kept = ended_trials(files, SPACE)[0]
    assert (kept.rss_mb, kept.epochs) == (1.5, 3)
