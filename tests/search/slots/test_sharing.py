"""`--slots-per-gpu auto`: GPUs are shared once it is known what memory trials need."""

from __future__ import annotations

import pytest

from tests.search.slots.test_resizer import Search
from tuning.executors.devices.device import Device
from tuning.executors.devices.shares import CONTEXT_MB, MOST_SHARES, shares_for_all, shares_of
from tuning.executors.devices.slots import parse_devices
from tuning.search.slots import sharing as module
from tuning.search.slots.sharing import LEAST_TOLD, Need, Sharing, is_auto, with_shares

_80_GB = 81920


@pytest.mark.parametrize(
    ("memory_mb", "need_mb", "cores", "shares"),
    [
        (0, 500.0, 8, 1),  # a stand-in
        (16384, 0.0, 8, 1),  # not known
        (16384, 100.0, 16, MOST_SHARES),
        (16384, 2000.0, 8, 5),  # 2500 MiB and the context, each
        (16384, 2000.0, 3, 3),
        (16384, 20000.0, 8, 1),
        (_80_GB, 10.0, 64, MOST_SHARES),
    ],
)
def test_as_many_share_a_gpu_as_have_memory_and_a_core(memory_mb, need_mb, cores, shares):
    assert shares_of(memory_mb, need_mb, cores=cores) == shares


@pytest.mark.parametrize("need_mb", [1.0, 700.0, 1500.0, 4000.0])
def test_each_share_has_what_a_trial_has_needed(need_mb):
    shares = shares_of(16384, need_mb)
    assert shares == 1 or 16384 // shares - CONTEXT_MB >= need_mb


def test_gpus_of_a_box_divide_its_cores_and_the_smallest_decides():
    gpus = [Device(0, "a", memory_mb=_80_GB), Device(1, "b", memory_mb=8192)]
    assert shares_for_all(gpus, 2000.0, n_cores=64) == 2
    assert shares_for_all(gpus[:1], 2000.0, n_cores=64) == MOST_SHARES
    assert shares_for_all(gpus[:1] * 2, 2000.0, n_cores=8) == 4
    assert shares_for_all([], 2000.0, n_cores=8) == 1


@pytest.mark.parametrize("text", ["gpu/auto", "0,1/auto", "auto/auto", "both/auto"])
def test_auto_is_one_slot_on_each_gpu_until_more_is_known(monkeypatch, text):
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b")
    gpus = [slot.name for slot in parse_devices(text) if slot.kind == "gpu"]
    assert gpus == ["GPU-a", "GPU-b"]
    assert is_auto(text)
    assert not is_auto(with_shares(text, 3))


@pytest.fixture
def search(tmp_path, monkeypatch):
    """A search on a box of 16 cores whose trials tell what they need."""
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b")
    monkeypatch.setattr(module, "own_cores", lambda: list(range(16)))
    search = Search(tmp_path, devices="0,1/auto")
    search.need = Need(0, 0.0)
    gpus = [Device(0, "GPU-a", memory_mb=16384), Device(1, "GPU-b", memory_mb=16384)]
    search.resizer.share_by(Sharing(lambda: search.need, lambda: gpus))
    return search


def look(search, trials, mb):
    search.need = Need(trials, mb)
    search.resizer.look()
    return search.held


def test_a_gpu_is_shared_when_trials_have_told_what_they_need(search):
    assert look(search, LEAST_TOLD - 1, 2000.0) == ["GPU-a", "GPU-b"]
    held = look(search, LEAST_TOLD, 2000.0)
    assert len(held) == 10
    assert set(held) == {f"GPU-{gpu}#{place}/5" for gpu in "ab" for place in range(5)}
    assert search.said == [
        "trials at once on each GPU from now on: 5 (trials have needed up to 2000 MiB of a GPU)"
    ]


def test_fewer_share_it_when_a_trial_has_needed_more_and_never_more_again(search):
    look(search, LEAST_TOLD, 2000.0)
    assert len(look(search, 9, 6000.0)) == 4
    assert len(look(search, 10, 5000.0)) == 4
    assert look(search, 11, 16000.0) == ["GPU-a", "GPU-b"]
    assert len(search.said) == 3


def test_other_gpus_that_are_asked_for_are_shared_as_well(search):
    look(search, LEAST_TOLD, 2000.0)
    answer = search.ask("0/auto")
    assert answer.slots == tuple(f"GPU-a#{place}/5" for place in range(5))
    assert search.ask("1").slots == ("GPU-b",)  # no longer left to us
    assert look(search, 9, 3000.0) == ["GPU-b"]
