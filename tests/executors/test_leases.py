import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tuning.errors import StorageError
from tuning.executors.devices.leases import Leases, default_folder


def test_a_device_is_leased_once_until_released(leases):
    lease = leases.try_acquire("cpu:0", "housing")
    assert leases.try_acquire("cpu:0") is None
    assert leases.holder("cpu:0") == f"housing (process {os.getpid()})"
    lease.release()
    leases.try_acquire("cpu:0").release()


def test_names_that_look_alike_as_files_are_different_devices(leases):
    names = ["a/b", "a%2Fb", "a_b", "..", "cpu:0", "cpu:0#1", "x" * 300, "x" * 301]
    for lease in [leases.try_acquire(name) for name in names]:
        lease.release()


def test_a_lease_is_held_until_driver_and_worker_have_both_gone(leases):
    lease = leases.try_acquire("cpu:0")
    worker = subprocess.Popen(
        [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=[lease.fd]
    )
    lease.release()
    assert leases.try_acquire("cpu:0") is None
    worker.kill()
    worker.communicate()
    leases.try_acquire("cpu:0").release()


def test_all_of_several_devices_are_taken_or_none(leases):
    held = leases.try_acquire("b")
    assert leases.acquire_all(["a", "b"]) is None
    leases.try_acquire("a").release()
    held.release()
    for lease in leases.acquire_all(["a", "b"]):
        lease.release()


def test_the_line_is_first_come_first_served_for_each_device(leases):
    with leases.queue(["a", "b"]) as first, leases.queue(["b"]) as second:
        assert not first.ahead(["a", "b"])
        assert second.ahead(["b"])
        assert not second.ahead(["c"])
        assert leases.waited_for(["b"])
    assert not leases.waited_for(["a", "b"])


def test_a_dead_waiter_leaves_the_line(leases):
    code = (
        "from tuning.executors.devices.leases import Leases, Path\n"
        f"ticket = Leases(Path({str(leases.folder)!r})).queue(['a'])\n"
        "print('in line')\ninput()\n"
    )
    waiter = subprocess.Popen(
        [sys.executable, "-uc", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    waiter.stdout.readline()
    with leases.queue(["a"]) as ticket:
        assert ticket.ahead(["a"])
        waiter.kill()
        waiter.communicate()
        assert not ticket.ahead(["a"])


def test_nobody_starves_in_100_rounds_and_a_device_never_has_two_holders(leases):
    granted = []
    holding = []
    passed_by = []

    def search(name):
        while len(granted) < 100:
            with leases.queue(["a"]) as ticket:
                joined = len(granted)
                while ticket.ahead(["a"]) or (lease := leases.try_acquire("a")) is None:
                    time.sleep(0.0005)
            holding.append(name)
            assert holding == [name]
            passed_by.append(len(granted) - joined)
            granted.append(name)
            holding.remove(name)
            lease.release()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(search, "xyz"))
    # Who stands in line sees each of the two others once: whoever comes again comes behind.
    assert max(passed_by) <= 2
    assert len(granted) >= 100


def test_a_folder_that_others_may_write_to_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(StorageError, match="TUNING_LEASES"):
        Leases(tmp_path)


def test_all_jobs_of_a_user_share_one_folder_unless_told_otherwise(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    assert default_folder().name == f"tuning-{os.getuid()}"
    assert tmp_path not in default_folder().parents
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "elsewhere"))
    leases = Leases()
    assert leases.folder == tmp_path / "elsewhere"
    assert leases.folder.stat().st_mode & 0o777 == 0o700
    leases.close()


@pytest.mark.parametrize("squatted", ["a link", "a file", "a group's folder", "another's folder"])
def test_a_folder_that_another_user_put_there_is_refused(tmp_path, monkeypatch, squatted):
    folder = tmp_path / "leases"
    mine = tmp_path / "mine"
    mine.mkdir(mode=0o700)
    if squatted == "a link":
        folder.symlink_to(mine)
    elif squatted == "a file":
        folder.touch()
    else:
        folder.mkdir(mode=0o700)
        if squatted == "a group's folder":
            folder.chmod(0o770)
        else:
            monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(StorageError, match="must be a folder of yours that nobody else may"):
        Leases(folder)
    assert list(mine.iterdir()) == []


def test_the_holder_is_a_process_that_lives_and_never_one_that_has_gone(leases, tmp_path):
    lease = leases.try_acquire("gpu", "housing")
    assert leases.holder("gpu") == f"housing (process {os.getpid()})"
    left = subprocess.Popen(["sleep", "60"], pass_fds=[lease.fd])
    try:
        path = leases.folder / "device-gpu"
        path.write_text(path.read_text().replace(str(os.getpid()), "99999999"))
        lease.release()
        assert leases.try_acquire("gpu") is None
        assert leases.holder("gpu") == f"what housing has left behind (process {left.pid})"
    finally:
        left.kill()
        left.wait()
    assert leases.holder("gpu") == "another search"
