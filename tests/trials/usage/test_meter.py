"""What a worker measures of itself while it trains."""

from __future__ import annotations

import itertools
import time

import pytest

from tuning.errors import StorageError
from tuning.ledger.records import read_record
from tuning.ledger.usage import AttemptUsage, usage_file
from tuning.trials.usage import meter as meter_module
from tuning.trials.usage.meter import MOST_SAMPLES, Meter, _Samples

TICK_S = 0.01
"""The system counts processor time by it, at the beginning and at the end."""


def compute(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_a_meter_counts_the_time_of_processor_and_gpus(tmp_path):
    began = time.perf_counter()
    with Meter(tmp_path, 1, "GPU-a+GPU-b", look=lambda devices: {}) as meter:
        compute(0.05)
        usage = meter.usage
    wall_s = time.perf_counter() - began
    assert usage.cpu_s >= 0.05 - 2 * TICK_S
    assert 2 * 0.05 <= usage.gpu_s <= 2 * wall_s


def test_a_meter_has_one_sample_of_the_shortest_trial(tmp_path):
    with Meter(tmp_path, 1, "GPU-a", look=lambda devices: {"gpu_0_x": len(devices)}) as meter:
        (sample,) = meter.samples
    assert sample["gpu_0_x"] == 1
    assert sample["process_memory_megabytes"] > 1
    assert not usage_file(tmp_path, 1).exists()


def test_a_meter_keeps_what_was_used_while_it_runs(tmp_path):
    path = usage_file(tmp_path, 2)
    with Meter(tmp_path, 2, "cpu:0", digest="abc", interval_s=0.01) as meter:
        until = time.monotonic() + 5
        kept = None
        while (kept is None or kept.cpu_s == 0) and time.monotonic() < until:
            compute(0.01)
            kept = read_record(AttemptUsage, path)
        n_samples = len(meter.samples)
    assert (kept.attempt, kept.proposal_digest, kept.gpu_s) == (2, "abc", 0.0)
    assert kept.cpu_s > 0
    assert n_samples >= 2


def test_a_meter_keeps_what_was_used_where_an_error_ends_the_attempt(tmp_path):
    meter = Meter(tmp_path, 1, "GPU-a", look=lambda devices: {})
    time.sleep(0.01)
    with pytest.raises(RuntimeError), meter:
        raise RuntimeError
    assert read_record(AttemptUsage, usage_file(tmp_path, 1)).gpu_s >= 0.01


def test_a_full_disk_does_not_end_the_trial_by_its_meter(tmp_path, monkeypatch):
    def full(folder, usage):
        raise StorageError("full")

    monkeypatch.setattr(meter_module, "keep_usage", full)
    with pytest.raises(RuntimeError, match="the trial's own"), Meter(tmp_path, 1, "cpu:0"):
        raise RuntimeError("the trial's own")


def test_samples_are_spread_over_a_long_attempt():
    samples = _Samples()
    for at in range(10_000):
        samples.add({"at": at})
    ats = [sample["at"] for sample in samples.kept]
    assert len(ats) <= MOST_SAMPLES
    assert ats[0] == 0
    assert ats[-1] > 9_000
    assert len({later - earlier for earlier, later in itertools.pairwise(ats)}) == 1
