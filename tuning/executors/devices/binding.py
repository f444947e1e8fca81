"""How a worker is bound to its slot, before TensorFlow touches a device."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tuning.executors.devices.slot import Slot
from tuning.storage.interpreter import PYTHON

# In a process of its own: TensorFlow says why only where it may say all, from its first word on.
_ASK = (
    "import tensorflow as tf\n"
    "info = tf.sysconfig.get_build_info()\n"
    "print('IS_CUDA', info.get('is_cuda_build'))\n"
    "tf.config.list_physical_devices('GPU')\n"
)
_ASK_S = 120.0
_SAYS_WHY = re.compile(r"cuda|gpu|driver|nvidia|cudnn", re.IGNORECASE)
_PLACE_IN_CODE = re.compile(r"^.*?\S+\.cc:\d+\]\s*")  # time, level and file of TensorFlow's lines
_FOR_CPUS = "this TensorFlow is built for CPUs (tensorflow-cpu); install the extra cuda"
_ADVICE = "Run on the CPU with --devices cpu, or see docs/gpu-box.md"


def bind_to(slot: Slot) -> None:
    """Show this process its slot's devices, cores, threads and memory alone."""
    os.environ.update(slot.environment)
    if slot.cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, slot.cores)
    # The forkserver has imported it already, unless a test began it without.
    tensorflow = sys.modules.get("tensorflow")
    if slot.threads:
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ[name] = str(slot.threads)
        if tensorflow is not None:
            tensorflow.config.threading.set_intra_op_parallelism_threads(slot.threads)
            tensorflow.config.threading.set_inter_op_parallelism_threads(slot.threads)
    if tensorflow is not None and slot.gpu_memory_mb:
        _limit_memory(tensorflow, slot.gpu_memory_mb)


def gpu_fault(slot: Slot, ask: Callable[[], str] | None = None) -> str:
    """Return why TensorFlow cannot use a GPU slot's devices, in its own words; else "".

    Called in the slot's worker after `bind_to`. TensorFlow looks at its devices then, as it does
    for the first model in any case: nothing is lost where it finds them.

    Args:
        ask: Returns TensorFlow's reason; asked only where devices are missing.
    """
    tensorflow = sys.modules.get("tensorflow")
    stands_in = os.environ.get("TUNING_DEVICES") is not None
    if slot.kind == "cpu" or tensorflow is None or stands_in:
        return ""
    n_expected = len(slot.devices)
    n_visible = len(tensorflow.config.list_physical_devices("GPU"))
    if n_visible >= n_expected:
        return ""
    # The build needs no process of its own to be asked, which takes minutes on a busy machine.
    is_cuda = tensorflow.sysconfig.get_build_info().get("is_cuda_build")
    reason = (ask or tensorflow_reason)() if is_cuda else _FOR_CPUS
    return f"TensorFlow sees {n_visible} of the slot {slot.name}'s GPUs: {reason}. {_ADVICE}"


def tensorflow_reason() -> str:
    """Return why TensorFlow sees no GPU: the build, a library that is missing, the driver."""
    command = [*PYTHON, "-c", _ASK]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            env=environment,
            timeout=_ASK_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"and has not said why within {_ASK_S:.0f} s"
    return reason_in(done.stdout, done.stderr)


def reason_in(output: str, errors: str) -> str:
    """Return the reason in what TensorFlow has said, in one line."""
    if "IS_CUDA False" in output:
        return _FOR_CPUS
    said = [_PLACE_IN_CODE.sub("", line) for line in errors.splitlines() if _SAYS_WHY.search(line)]
    unique = list(dict.fromkeys(line.strip().rstrip(".") for line in said))
    # What it says of its plugins comes first, what it says of devices last.
    return "; ".join(unique[-3:]) or "it does not say why"


def _limit_memory(tensorflow: Any, limit_mb: int) -> None:
    """Let TensorFlow have a part of each of its GPUs' memory."""
    for gpu in tensorflow.config.list_physical_devices("GPU"):
        part = tensorflow.config.LogicalDeviceConfiguration(memory_limit=limit_mb)
        tensorflow.config.set_logical_device_configuration(gpu, [part])
