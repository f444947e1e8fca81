"""Trials of equal data arguments must have had equal data."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.scripted import RECORD
from tuning.errors import ChangedError
from tuning.search.data_digests import DataDigests
from tuning.trial import Proposal, Status, TrialResult

STUDY = replace(RECORD, data_arguments=("window",))


def trial(number, digest, **params):
    result = TrialResult(number, Status.COMPLETED, 1.0, data_digest=digest)
    return Proposal(number, params, 1), result


def test_another_value_may_have_other_data():
    digests = DataDigests(STUDY)
    digests.check(*trial(0, "aa", window=3, lr=0.1))
    digests.check(*trial(1, "bb", window=4, lr=0.1))
    digests.check(*trial(2, "aa", window=3, lr=0.2))


def test_other_data_of_the_same_value_end_the_run():
    digests = DataDigests(STUDY)
    digests.check(*trial(0, "aa", window=3))
    with pytest.raises(ChangedError, match=r"data\(window=3\) gave trial 4 other rows"):
        digests.check(*trial(4, "bb", window=3))


def test_a_trial_that_failed_before_it_had_data_says_nothing():
    digests = DataDigests(STUDY)
    digests.check(*trial(0, "aa", window=3))
    digests.check(*trial(1, "", window=3))


def test_without_arguments_of_the_data_nothing_is_compared():
    digests = DataDigests(RECORD)
    digests.check(*trial(0, "aa"))
    digests.check(*trial(1, "bb"))
