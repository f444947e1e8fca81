"""The kernel's own limit: a control group of 400 MB, in which a driver and its workers run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.executors.test_forkserver import ROOT

LIMIT = 400 * 2**20
GROUPS = Path("/sys/fs/cgroup")

DRIVER = """
import json, os, sys
from pathlib import Path
from tests.executors.contract import ENDS, job
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.devices.leases import Leases
from tuning.executors.local import LocalExecutor
from tuning.executors.supervision.memory_guard import MemoryGuard

group, folder, watches = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "watches"
(group / "cgroup.procs").write_text(str(os.getpid()))
if not watches:  # the driver then learns of it from the kernel alone
    MemoryGuard._largest = lambda self, used, free: None
with ForkServer(["tuning.executors.worker"]) as server:
    executor = LocalExecutor(
        parse_devices("cpu:1"), forkserver=server, leases=Leases(folder), log_folder=folder
    )
    executor.submit(job("grow_slowly", 1000))
    ended = None
    while ended is None:
        ended = next((each for each in executor.events(1.0) if isinstance(each, ENDS)), None)
    print(json.dumps([ended.cause, ended.detail]))
    executor.close()
"""


@pytest.fixture
def group():
    """A control group with a limit; either version's."""
    old = (GROUPS / "memory").is_dir()
    path = (GROUPS / "memory" if old else GROUPS) / f"tuning-test-{os.getpid()}"
    try:
        path.mkdir()
        limit = path / ("memory.limit_in_bytes" if old else "memory.max")
        limit.write_text(str(LIMIT))
    except OSError as error:
        pytest.skip(f"no control group of its own: {error}")
    yield path
    path.rmdir()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "words"),
    [("watches", "memory was running out"), ("sleeps", "was ended by the kernel: out of memory")],
)
def test_a_trial_that_grows_to_the_groups_limit_dies_of_host_oom(group, tmp_path, mode, words):
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, group, tmp_path, mode],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cause, detail = json.loads(done.stdout)
    assert (cause, words in detail) == ("host_oom", True), detail
