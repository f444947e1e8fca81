"""`scripts/check_fork.py`: what the forkserver imports touches no driver and starts no thread."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def has_cuda_build() -> bool:
    return any(name.startswith("nvidia-cuda-runtime") for name in installed())


def installed() -> set[str]:
    return {each.metadata["Name"].lower().replace("_", "-") for each in metadata.distributions()}


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("check_fork", ROOT / "scripts" / "check_fork.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_fork"] = module  # its dataclasses look for it
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def clean(script):
    return script.Forkable(
        tensorflow="2.21.0",
        is_cuda=True,
        threads=("python",),
        devices=(),
        libraries=("libcudart.so.12",),
    )


def test_the_runtime_alone_calls_no_driver(clean):
    assert list(clean.faults()) == []


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"threads": ("python", "OpenBLAS")}, "2 threads are alive: python, OpenBLAS"),
        ({"devices": ("/dev/nvidia0",)}, "open device files: /dev/nvidia0"),
        ({"libraries": ("libcuda.so.1",)}, "the driver's libraries were looked for: libcuda.so.1"),
        ({"libraries": ("libnvidia-ml.so.1",)}, "were looked for: libnvidia-ml.so.1"),
    ],
)
def test_each_thing_that_must_not_be_forked_is_told(clean, changes, fault):
    (told,) = replace(clean, **changes).faults()
    assert fault in told


@pytest.mark.slow  # imports TensorFlow in a process of its own
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
@pytest.mark.timeout(600)
def test_what_the_forkserver_imports_may_be_forked(script):
    assert list(script.look().faults()) == []


@pytest.mark.slow
@pytest.mark.skipif(not has_cuda_build(), reason="this TensorFlow is for CPUs")
@pytest.mark.timeout(600)
def test_so_may_the_build_for_cuda(script):
    found = script.look()
    assert found.is_cuda
    assert any(name.startswith("libcudart") for name in found.libraries)  # it was looked at rightly
    assert list(found.faults()) == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="asks Linux")
@pytest.mark.timeout(600)
def test_a_driver_that_is_asked_for_and_a_thread_are_seen_without_a_gpu(script):
    found = script.look(
        "import ctypes, threading, time\n"
        "try: ctypes.CDLL('libcuda.so.1')\n"
        "except OSError: pass\n"
        "threading.Thread(target=time.sleep, args=(600,), daemon=True).start()\n"
    )
    threads, library = found.faults()
    assert threads.startswith("2 threads are alive")
    assert library == "the driver's libraries were looked for: libcuda.so.1"
