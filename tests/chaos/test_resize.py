"""What the trials of a resized search say is read as it is meant; and twenty rounds of it."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tests.chaos.nothing_lost import Findings
from tests.chaos.plans import PLANS
from tests.chaos.resize import resized_life
from tests.chaos.traces import check_traces


@pytest.fixture
def check(tmp_path):
    """Return what is wrong with a trial of five epochs whose attempts are these."""
    folder = tmp_path / "trials" / "00000" / "callbacks-0"
    folder.mkdir(parents=True)

    def check(*attempts, killed=()):
        lines = [f"{pid} {word}\n" for pid, epochs in attempts for word in ("begin", *epochs)]
        (folder / "epochs").write_text("".join(lines))
        findings = Findings()
        check_traces(tmp_path, tmp_path, findings, killed=killed, epochs=5)
        return findings

    return check


def test_a_trial_that_goes_on_where_it_was_is_well(check):
    assert not check((1, [1, 2]), (2, []), (3, [3, 4, 5]))


def test_an_epoch_that_was_kept_and_is_trained_again_is_lost(check):
    assert check((1, [1, 2, 3]), (2, [3, 4, 5])).lost


def test_what_a_killed_process_had_not_kept_may_be_trained_again(check):
    assert not check((1, [1, 2]), (2, [3, 4]), (3, [3, 4, 5]), killed={2})
    assert check((1, [1, 2]), (2, [3, 4]), (3, [1, 2, 3, 4, 5]), killed={2}).lost


def test_an_epoch_that_nobody_has_trained_is_lost(check):
    assert check((1, [1, 2]), (2, [4, 5])).lost


def test_two_on_one_device_are_a_finding(check, tmp_path):
    (tmp_path / "collisions").write_text("17 found another on GPU-0\n")
    assert check((1, [1, 2, 3, 4, 5])).doubled


@pytest.mark.slow
def test_twenty_rounds_of_slots_that_come_and_go_and_of_kills(tmp_path):
    plan = replace(PLANS["resize"], words=(*PLANS["resize"].words, "--trials", "60"), trials=60)
    life = resized_life(plan, tmp_path, random.Random(1), rounds=20, reference=None)
    assert not life.findings, life.findings
    assert len(life.hits) == 20
