"""The most memory that TensorFlow has had of this worker's GPUs."""

from __future__ import annotations

import sys
from typing import Any


def take_peak_mb() -> float:
    """Return the most that was had of one GPU since the last call, and begin anew.

    Only memory in use counts, not what the allocator keeps in hand; what CUDA itself takes for the
    process comes on top.

    Returns:
        MiB; 0 without a GPU, or where TensorFlow does not tell.
    """
    tensorflow = sys.modules.get("tensorflow")
    if tensorflow is None:
        return 0.0
    peaks = [_peak(tensorflow, gpu.name) for gpu in tensorflow.config.list_logical_devices("GPU")]
    return max(peaks, default=0.0) / 2**20


def _peak(tensorflow: Any, gpu: str) -> float:
    memory = tensorflow.config.experimental
    try:
        peak = float(memory.get_memory_info(gpu)["peak"])
        memory.reset_memory_stats(gpu)
    except (ValueError, tensorflow.errors.OpError):  # an allocator that does not count
        return 0.0
    return peak
