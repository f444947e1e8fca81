"""How many trials fit on one GPU at once, by the memory that trials have needed."""

from __future__ import annotations

from collections.abc import Iterable

from tuning.executors.devices.device import Device

CONTEXT_MB = 600
"""What CUDA and its libraries take of a GPU for each process, outside what TensorFlow counts: an
assumption, from NVIDIA's 300-500 MiB for a context; `make gpu-check` is to measure it.
"""
LEAST_MB = 512
"""Less trains nothing that would want a GPU."""
MOST_SHARES = 8
"""Of one GPU, where nobody says how many: beyond that processes mostly wait for each other."""
_SPARE = 1.25
"""A trial to come may need so much more than those that have ended."""


def shares_of(
    gpu_memory_mb: int, need_mb: float, *, cores: int = MOST_SHARES, most: int = MOST_SHARES
) -> int:
    """Return how many trials may share a GPU so that each has the memory that trials need.

    Whether that is faster is for others to say: this is the most that fits.

    Args:
        gpu_memory_mb: Of the GPU, in MiB; 0: unknown, and nothing is shared.
        need_mb: The most that a trial has needed of it, as TensorFlow counts, in MiB; 0: unknown.
        cores: CPU cores that feed this GPU: each of its trials wants one.
        most: Never more than this.

    Returns:
        1 or more.
    """
    if not gpu_memory_mb or need_mb <= 0:
        return 1
    each_mb = max(LEAST_MB, _SPARE * need_mb) + CONTEXT_MB
    return max(1, min(int(gpu_memory_mb // each_mb), cores, most))


def shares_for_all(gpus: Iterable[Device], need_mb: float, n_cores: int) -> int:
    """Return how many trials may share each of some GPUs, the same number for all.

    Args:
        gpus: Those of a search.
        need_mb: As for `shares_of`.
        n_cores: CPU cores of the box, which all its GPUs divide.
    """
    all_gpus = list(gpus)
    cores = n_cores // max(1, len(all_gpus))
    return min((shares_of(gpu.memory_mb, need_mb, cores=cores) for gpu in all_gpus), default=1)
