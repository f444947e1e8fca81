"""What attempts have used: kept in their folders, summed for the trial."""

from __future__ import annotations

import pytest

from tuning.ledger.deaths import keep_death
from tuning.ledger.records import Death, write_record
from tuning.ledger.usage import (
    AttemptUsage,
    Usage,
    devices_of,
    gpus_of,
    keep_usage,
    usage_file,
    used_before,
    used_by_finalists,
)
from tuning.ledger.winner import FinalistOutcome


def usage(attempt, cpu_s, gpu_s=0.0, digest=""):
    return AttemptUsage(
        attempt=attempt, seconds=9.0, cpu_s=cpu_s, gpu_s=gpu_s, proposal_digest=digest
    )


@pytest.mark.parametrize(
    ("slot", "devices"),
    [
        ("cpu:0", []),
        ("cpu:0#1", []),
        ("ray:10.0.0.3:7", []),
        ("", []),
        ("GPU-a", ["GPU-a"]),
        ("GPU-a+MIG-b", ["GPU-a", "MIG-b"]),
        ("GPU-a#1", ["GPU-a"]),
    ],
)
def test_devices_of_names_the_gpus_of_a_slot(slot, devices):
    assert devices_of(slot) == devices
    assert gpus_of(slot) == len(devices)


def test_used_before_sums_the_attempts_that_came_before(tmp_path):
    for attempt, cpu_s in ((1, 3.0), (2, 4.0), (3, 50.0)):
        keep_usage(tmp_path, usage(attempt, cpu_s, gpu_s=2 * cpu_s))
    assert used_before(tmp_path, 3) == Usage(cpu_s=7.0, gpu_s=14.0)


def test_used_before_counts_a_gpu_until_its_worker_died(tmp_path):
    keep_usage(tmp_path, usage(1, 3.0, gpu_s=10.0))
    keep_death(tmp_path, 1, Death(cause="killed", slot="GPU-a+GPU-b", seconds=7.5))
    assert used_before(tmp_path, 2) == Usage(cpu_s=3.0, gpu_s=15.0)


def test_used_before_counts_nothing_of_another_attempt(tmp_path):
    write_record(usage_file(tmp_path, 1), usage(2, 3.0))
    assert used_before(tmp_path, 2) == Usage()


def test_used_before_counts_nothing_of_a_torn_file(tmp_path):
    keep_usage(tmp_path, usage(1, 3.0))
    usage_file(tmp_path, 1).write_text('{"attempt": 1')
    assert used_before(tmp_path, 2) == Usage()


def test_used_by_finalists_counts_each_fold_once(tmp_path):
    def keep(name, cpu_s):
        path = tmp_path / "finalists" / "00004" / name
        outcome = FinalistOutcome(number=4, index=0, seed=1, value=0.5, epochs=3, cpu_s=cpu_s)
        write_record(path, outcome)

    keep("0.json", 5.0)  # the mean of the two folds below has their sum
    keep("0/fold-0.json", 2.0)
    keep("0/fold-1.json", 3.0)
    keep("0/all-rows.json", 4.0)
    keep("1/fold-0.json", 7.0)  # its other fold is still trained
    assert used_by_finalists(tmp_path).cpu_s == 16.0
