import errno
import os

import pytest

from tuning.storage import full_disk
from tuning.storage.full_disk import is_full, is_full_disk

WORDS = os.strerror(errno.ENOSPC)


def raised(error):
    try:
        raise error
    except Exception as caught:
        return caught


def test_an_error_of_our_own_call_is_known_by_its_number(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOSPC, WORDS)

    monkeypatch.setattr(full_disk.os, "statvfs", refuse)
    with pytest.raises(OSError, match=WORDS) as caught:
        is_full(tmp_path)
    # The refusal comes from a function of this test, as it would from a user's.
    assert not is_full_disk(caught.value)
    monkeypatch.setattr(full_disk, "_LIBRARIES", (__file__,))
    assert is_full_disk(caught.value)


def test_an_error_that_was_raised_from_one_of_ours_counts(monkeypatch):
    monkeypatch.setattr(full_disk, "_is_of_our_call", lambda error: True)
    cause = raised(OSError(errno.ENOSPC, WORDS))
    later = RuntimeError("could not save")
    later.__cause__ = cause
    assert is_full_disk(later)


@pytest.mark.parametrize(
    "error",
    [
        ValueError(f"my own text: {WORDS}"),
        OSError(errno.ENOSPC, WORDS, "a/users/own/file"),
        OSError(errno.ENOENT, "no such file"),
    ],
)
def test_words_are_no_proof_while_there_is_space(error, tmp_path):
    assert not is_full_disk(raised(error), tmp_path)
    assert not is_full_disk(raised(error))


def test_words_count_where_the_disk_is_full_indeed(tmp_path, monkeypatch):
    monkeypatch.setattr(full_disk, "is_full", lambda folder: True)
    assert is_full_disk(raised(ValueError(f"h5py: {WORDS}")), tmp_path)
    assert not is_full_disk(raised(ValueError("something else")), tmp_path)


def test_a_folder_that_is_still_to_be_made_is_looked_for_above(tmp_path):
    assert not is_full(tmp_path / "not" / "yet")
