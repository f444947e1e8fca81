"""The most that TensorFlow has had of a GPU, as its allocator tells."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from tuning.trials.usage.gpu_memory import take_peak_mb


class OpError(Exception):
    pass


class FakeTensorFlow:
    """Stands for TensorFlow on two GPUs; the allocator of a third does not count."""

    errors = SimpleNamespace(OpError=OpError)

    def __init__(self, **peaks_mb):
        self.peaks_mb = peaks_mb
        self.config = SimpleNamespace(
            list_logical_devices=lambda kind: [SimpleNamespace(name=name) for name in peaks_mb],
            experimental=SimpleNamespace(
                get_memory_info=self.get_memory_info, reset_memory_stats=self.reset_memory_stats
            ),
        )

    def get_memory_info(self, name):
        if self.peaks_mb[name] is None:
            raise ValueError("Allocator stats not available")
        return {"current": 0, "peak": self.peaks_mb[name] * 2**20}

    def reset_memory_stats(self, name):
        self.peaks_mb[name] = 0


@pytest.mark.parametrize(
    ("peaks", "most"), [({}, 0), ({"a": 300}, 300), ({"a": 300, "b": 500}, 500), ({"c": None}, 0)]
)
def test_the_peak_is_that_of_the_gpu_that_had_most(monkeypatch, peaks, most):
    monkeypatch.setitem(sys.modules, "tensorflow", FakeTensorFlow(**peaks))
    assert take_peak_mb() == most


def test_each_trial_of_a_worker_has_a_peak_of_its_own(monkeypatch):
    fake = FakeTensorFlow(a=300)
    monkeypatch.setitem(sys.modules, "tensorflow", fake)
    take_peak_mb()
    fake.peaks_mb["a"] = 20
    assert take_peak_mb() == 20


def test_the_real_tensorflow_has_the_names_that_are_asked_for():
    import tensorflow as tf

    assert take_peak_mb() == 0
    assert callable(tf.config.experimental.get_memory_info)
    assert callable(tf.config.experimental.reset_memory_stats)
