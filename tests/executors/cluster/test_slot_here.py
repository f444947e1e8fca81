"""Which device a slot takes on its node."""

import os

import pytest

from tuning.errors import MissingError
from tuning.executors.cluster.actor import SlotSettings, _slot_here


@pytest.fixture
def four(monkeypatch):
    """Four GPUs, of which Ray has given two to this process."""
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b,GPU-c,GPU-d")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,3")


def test_the_gpus_that_ray_has_given_are_taken_by_their_uuids(four):
    slot = _slot_here(SlotSettings(kind="gpu", per_slot=2), "10.0.0.3")
    assert slot.devices == ["GPU-b", "GPU-d"]
    assert slot.environment["CUDA_VISIBLE_DEVICES"] == "GPU-b,GPU-d"
    assert slot.kind == "gpu"


def test_a_gpu_that_the_driver_does_not_know_is_told(four):
    with pytest.raises(MissingError, match=r"Ray has given the GPUs 1, 3, and NVIDIA's driver"):
        _slot_here(SlotSettings(kind="gpu", per_slot=3), "10.0.0.3")


def test_a_cpu_slot_has_a_name_of_its_own_and_no_gpu(four):
    slot = _slot_here(SlotSettings(kind="cpu"), "10.0.0.3")
    assert slot.name == f"ray:10.0.0.3:{os.getpid()}"
    assert slot.kind == "cpu"
    assert slot.threads == 1
