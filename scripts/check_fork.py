"""Check that what the forkserver imports may be forked: no driver, no GPU, one thread.

Usage: python scripts/check_fork.py [--json]

A process that has called NVIDIA's driver, or has other threads, must not be forked: its children
have a driver that does not work, and locks that nobody opens. So the imports are done in a process
of their own, which glibc has tell of each library that it looks for (`LD_DEBUG`, see ld.so(8)):
also on a machine without a GPU, where the driver's would not be found. Exit code 1 where something
is not as it must be. The build of TensorFlow is that of the Python that runs this; on Linux only.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DRIVER = ("libcuda.so", "libnvidia-ml.so")
"""NVIDIA's driver and its library for administration; `libcudart` alone calls no driver."""
_DEVICES = ("/dev/nvidia", "/dev/dri")
_LOOKED_FOR = re.compile(r"find library=(\S+)")

# `-P` keeps the script's own folder away; the package is that of this repository.
_IMPORTS = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
from tuning.executors.preload import load
load()
exec(sys.argv[1])
files = []
for number in os.listdir("/proc/self/fd"):
    try:
        files.append(os.readlink("/proc/self/fd/" + number))
    except OSError:
        pass
import tensorflow as tf
print(json.dumps({{
    "threads": [open(f"/proc/self/task/{{each}}/comm").read().strip()
                for each in os.listdir("/proc/self/task")],
    "files": files,
    "tensorflow": tf.__version__,
    "is_cuda": bool(tf.sysconfig.get_build_info()["is_cuda_build"]),
}}))
"""


@dataclass(frozen=True, kw_only=True)
class Forkable:
    """What the imports have left behind.

    Attributes:
        tensorflow: Its version.
        is_cuda: Whether it is the build for CUDA.
        threads: Names of the threads that are alive.
        devices: Device files of GPUs that are open.
        libraries: Libraries that were looked for, found or not, whose name tells of CUDA or NVIDIA.
    """

    tensorflow: str
    is_cuda: bool
    threads: tuple[str, ...]
    devices: tuple[str, ...]
    libraries: tuple[str, ...]

    def faults(self) -> Iterator[str]:
        """Yield why a process that has done this must not be forked."""
        if len(self.threads) != 1:
            yield f"{len(self.threads)} threads are alive: {', '.join(self.threads)}"
        if self.devices:
            yield f"open device files: {', '.join(self.devices)}"
        drivers = [name for name in self.libraries if name.startswith(DRIVER)]
        if drivers:
            yield f"the driver's libraries were looked for: {', '.join(drivers)}"


def look(also: str = "") -> Forkable:
    """Do the imports in another process, and return what they have left behind.

    Args:
        also: Python that is run after the imports.

    Raises:
        RuntimeError: They failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "LD_DEBUG": "libs",
            "LD_DEBUG_OUTPUT": str(Path(folder) / "ld"),
        }
        done = subprocess.run(
            [sys.executable, "-P", "-c", _IMPORTS, also],
            capture_output=True,
            text=True,
            check=False,
            env=environment,
        )
        if done.returncode:
            raise RuntimeError(f"the imports failed:\n{done.stderr}")
        # One file for each process: what the imports themselves start, to ask for versions, too.
        told = "".join(path.read_text(errors="replace") for path in Path(folder).iterdir())
    found = json.loads(done.stdout.splitlines()[-1])
    names = {Path(name).name for name in _LOOKED_FOR.findall(told)}
    return Forkable(
        tensorflow=found["tensorflow"],
        is_cuda=found["is_cuda"],
        threads=tuple(found["threads"]),
        devices=tuple(sorted({name for name in found["files"] if name.startswith(_DEVICES)})),
        libraries=tuple(sorted(name for name in names if re.search("cuda|nvidia", name))),
    )


def main(as_json: bool) -> int:
    """Print what was found; return the exit code."""
    found = look()
    faults = list(found.faults())
    if as_json:
        print(json.dumps({**asdict(found), "faults": faults}))
        return bool(faults)
    build = "CUDA" if found.is_cuda else "CPUs"
    print(
        f"TensorFlow {found.tensorflow} for {build}: {len(found.threads)} thread after its import"
    )
    print(f"libraries looked for: {', '.join(found.libraries) or 'none of CUDA'}")
    for fault in faults:
        print(f"must not be forked: {fault}")
    return bool(faults)


if __name__ == "__main__":
    sys.exit(main("--json" in sys.argv[1:]))
