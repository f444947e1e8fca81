"""Slots of two devices each: leased together or not at all, so nobody waits in a circle."""

import itertools

import pytest

from tests.executors.contract import check_turns, share_one_slot
from tuning.executors.devices.leases import Leases
from tuning.executors.devices.slots import parse_devices
from tuning.executors.local import LocalExecutor

PAIRS = ("0,1", "1,2", "2,0")


@pytest.mark.slow  # 10 s: three executors that fork workers
def test_three_searches_that_want_two_of_three_gpus_take_turns(
    light_forkserver, tmp_path, monkeypatch
):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b,GPU-c")
    pairs = itertools.cycle(PAIRS)

    def open_executor():
        return LocalExecutor(
            parse_devices(next(pairs), gpus_per_trial=2),
            forkserver=light_forkserver,
            leases=Leases(tmp_path / "leases"),
            log_folder=tmp_path / "logs",
        )

    spans = share_one_slot(open_executor, n_executors=3, n_jobs=6)
    assert len(spans) == 18
    check_turns(spans)  # any two of the pairs share a GPU
