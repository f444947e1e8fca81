"""`result.json`: written once, never over one that is whole."""

from __future__ import annotations

import math

import pytest

from tuning.ledger.results import keep_result, read_result
from tuning.trial import Status, TrialResult


def test_what_was_kept_is_read_again(tmp_path):
    result = TrialResult(3, Status.DIVERGED, metrics={"loss": math.inf}, notices=("half batch",))
    assert keep_result(tmp_path, result) == result
    assert read_result(tmp_path) == result


def test_the_first_result_stays_and_is_what_a_second_attempt_gets(tmp_path):
    first = TrialResult(3, Status.COMPLETED, value=0.5)
    keep_result(tmp_path, first)
    before = (tmp_path / "result.json").stat().st_ino
    assert keep_result(tmp_path, TrialResult(3, Status.FAILED, attempt=2)) == first
    assert (tmp_path / "result.json").stat().st_ino == before


@pytest.mark.parametrize("torn", [b"", b'{"number": 3, "sta', b"\0" * 40])
def test_a_torn_result_is_none_and_is_replaced(tmp_path, torn):
    (tmp_path / "result.json").write_bytes(torn)
    assert read_result(tmp_path) is None
    result = TrialResult(3, Status.FAILED, error="ValueError: no")
    assert keep_result(tmp_path, result) == result == read_result(tmp_path)


def test_a_trial_without_a_result_has_none(tmp_path):
    assert read_result(tmp_path / "trial") is None
