import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from tests.patience import SOON_S
from tuning.errors import MissingError
from tuning.executors.forkserver import ForkServer

JOBS = "tests.executors.jobs"
ROOT = Path(__file__).parents[2]

DRIVER = """
import sys, time
from pathlib import Path
from tuning.executors.base import Job
from tuning.executors.devices.slots import parse_devices
from tuning.executors.forkserver import ForkServer
from tuning.executors.devices.leases import Leases
from tuning.executors.local import LocalExecutor

preload, folder, functions = sys.argv[1], Path(sys.argv[2]), sys.argv[3:]
server = ForkServer([preload])
server.start()
executor = LocalExecutor(
    parse_devices(f"cpu:{len(functions)}"),
    forkserver=server,
    leases=Leases(folder / "leases"),
    log_folder=folder,
)
print("leased", *(slot.name for slot in executor.slots), server.pid, flush=True)
for number, function in enumerate(functions):
    args = () if "stop" in function else (600,)
    executor.submit(Job(str(number), f"tests.executors.jobs:{function}", args))
while True:
    for event in executor.events(1.0):
        print(event.pid, flush=True)
"""


def drive(folder, preload, *functions):
    """Run a driver of its own; return its process, its lease, its forkserver's pid."""
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, preload, folder, *functions],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    _, *names, server = driver.stdout.readline().split()
    return driver, names, int(server)


def kill_and_wait(driver, pids, seconds=2.0):
    """Kill -9 the driver; return which of `pids` outlive it."""
    driver.kill()
    driver.wait()
    driver.stdout.close()
    end = time.monotonic() + seconds
    while any(map(alive, pids)) and time.monotonic() < end:
        time.sleep(0.02)
    return [pid for pid in pids if alive(pid)]


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_workers_and_server_end_with_the_driver_whatever_they_do(tmp_path, leases):
    functions = ["sleep", "ignore_term", "sleep_in_c_with_the_gil", "stop_itself"]
    driver, names, server = drive(tmp_path, "tuning.executors.worker", *functions)
    workers = [int(driver.stdout.readline()) for _ in functions]
    assert all(map(alive, [server, *workers]))
    assert leases.try_acquire(names[0]) is None
    assert kill_and_wait(driver, [server, *workers]) == []
    for name in names:
        leases.try_acquire(name).release()


def test_the_server_ends_with_the_driver_while_it_imports(tmp_path):
    driver, _, server = drive(tmp_path, "tests.executors.jobs:import_for_ever", "sleep")
    time.sleep(0.3)
    assert alive(server)
    assert kill_and_wait(driver, [server]) == []


def test_an_interrupt_at_the_terminal_reaches_the_driver_only(tmp_path):
    driver, _, server = drive(tmp_path, "tuning.executors.worker", "sleep")
    worker = int(driver.stdout.readline())
    assert len({os.getpgid(pid) for pid in (driver.pid, server, worker)}) == 3
    for pid in (server, worker):
        os.kill(pid, signal.SIGINT)
    time.sleep(0.3)
    assert alive(server)
    assert alive(worker)
    assert kill_and_wait(driver, [server, worker]) == []


def test_start_does_not_wait_for_the_imports():
    begin = time.monotonic()
    with ForkServer([f"{JOBS}:import_for_ever"]) as server:
        assert time.monotonic() - begin < SOON_S
        assert server.import_s is None


def test_a_failed_import_is_raised_with_its_cause():
    with (
        ForkServer(["tuning.no_such_module"]) as server,
        pytest.raises(MissingError, match=r"no_such_module"),
    ):
        server.wait_ready()


def test_a_child_talks_over_its_wire_and_returns_its_exit_code(light_forkserver):
    child = light_forkserver.spawn(f"{JOBS}:echo")
    child.wire.send({"large": b"x" * 5_000_000})
    assert child.wire.recv(5.0) == {"large": b"x" * 5_000_000}
    child.wire.send(None)
    assert child.join(5.0) == 7
    child.close()


def test_a_child_ends_when_its_wire_is_closed(light_forkserver):
    child = light_forkserver.spawn(f"{JOBS}:echo")
    child.wire.send(1)
    child.wire.recv(5.0)
    child.wire.close()
    assert child.join(2.0) is not None
    child.close()


def test_a_child_sees_the_paths_folder_and_environment_of_its_spawn(
    light_forkserver, monkeypatch, tmp_path
):
    (tmp_path / "shortlived.py").write_text(
        "import os\ndef tell(wire): wire.send((os.getcwd(), os.environ['NEWS']))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NEWS", "yes")
    child = light_forkserver.spawn("shortlived:tell")
    assert child.wire.recv(5.0) == (str(tmp_path), "yes")
    child.join(5.0)
    child.close()


def test_a_server_that_was_killed_is_begun_again():
    with ForkServer(()) as server:
        server.wait_ready()
        server._process.kill()
        server._process.wait()
        child = server.spawn(f"{JOBS}:hold", (0,))
        assert child.wire.recv(5.0) > 0
        assert child.join(5.0) == 0
        child.close()


def test_what_a_child_has_started_ends_with_it(light_forkserver):
    child = light_forkserver.spawn(f"{JOBS}:start_a_process")
    grandchild = child.wire.recv(5.0)
    assert alive(grandchild)
    child.signal(signal.SIGKILL)
    assert child.join(2.0) == -signal.SIGKILL
    time.sleep(0.1)
    assert not alive(grandchild)
    child.close()


def test_a_server_started_in_a_passing_thread_outlives_it():
    server = ForkServer(())
    thread = threading.Thread(target=server.start)
    thread.start()
    thread.join()
    server.wait_ready(5.0)
    time.sleep(0.2)
    child = server.spawn(f"{JOBS}:hold", (0,))
    assert child.join(5.0) == 0
    child.close()
    server.close()


SCRIPT = """
print("once", flush=True)
from tuning.executors.base import Finished, Job
from tuning.executors.forkserver import ForkServer
from tuning.executors.executor_spec import open_executor

with (
    ForkServer(["tuning.executors.worker"]) as server,
    open_executor(devices="cpu:1", forkserver=server) as executor,
):
    executor.submit(Job("1", "tests.executors.jobs:double", (4,)))
    values = []
    while not values:
        values = [event.value for event in executor.events(5.0) if isinstance(event, Finished)]
print(values)
"""


def test_an_unguarded_script_runs_once(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TUNING_LEASES": str(tmp_path / "leases")}
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=20, env=environment
    )
    assert (done.stdout, done.stderr) == ("once\n[8]\n", "")


def test_what_forkserver_and_warden_begin_with_imports_no_other_package():
    code = (
        "import sys; before = set(sys.modules); import tuning.executors.server; "
        "print({name.partition('.')[0] for name in set(sys.modules) - before} "
        "- set(sys.stdlib_module_names))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "{'tuning'}"


def test_the_real_preload_leaves_one_thread_at_the_fork_and_children_start_quickly(forkserver):
    forkserver.wait_ready()
    assert psutil.Process(forkserver.pid).num_threads() == 1
    child = forkserver.spawn(f"{JOBS}:hold", (60,))
    used = psutil.Process(child.wire.recv(SOON_S)).cpu_times()
    assert used.user + used.system < 1  # an import takes five
    child.signal(signal.SIGKILL)
    child.join(SOON_S)
    child.close()
    child = forkserver.spawn(f"{JOBS}:loaded")
    assert child.wire.recv(SOON_S) == {"tensorflow": True, "keras": True}
    child.join(5.0)
    child.close()


def test_keras_draws_in_a_child_though_the_preload_put_matplotlib_off(forkserver):
    child = forkserver.spawn(f"{JOBS}:pictures")
    assert child.wire.recv(20.0) == (False, "module", True)
    child.join(5.0)
    child.close()


@pytest.mark.slow
def test_children_share_what_xla_compiles(forkserver):
    values = []
    files = []
    for _ in range(2):
        child = forkserver.spawn(f"{JOBS}:compiles")
        value, compiled = child.wire.recv(60.0)
        values.append(value)
        files.append(compiled)
        child.join(5.0)
        child.close()
    assert values == [7.0, 7.0]
    assert files[0] == files[1] != []  # names and times: nothing was compiled again
    first_path, _ = files[0][0]
    assert Path(first_path).parent == Path(forkserver._compiled.name)


def test_a_closed_forkserver_leaves_no_compiled_code():
    server = ForkServer([])
    server.start()
    folder = Path(server._compiled.name)
    assert folder.is_dir()
    server.close()
    assert not folder.exists()
