import math
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tuning.errors import StorageError
from tuning.executors.devices import leases as module
from tuning.executors.devices.holders import since_text
from tuning.executors.devices.leases import Leases, default_folder, release

OURS = rf"housing \(process {os.getpid()}\) since \d\d:\d\d"


def test_a_device_is_leased_once_until_released(leases):
    lease = leases.try_acquire("cpu:0", "housing")
    assert leases.try_acquire("cpu:0") is None
    assert re.fullmatch(OURS, leases.holder("cpu:0"))
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
    assert re.fullmatch(OURS, leases.holder("gpu"))
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


def test_a_search_holds_a_device_since_nobody_else_had_it_in_between(leases):
    leases.try_acquire("cpu:0", "housing").release()
    first = leases.try_acquire("cpu:0", "housing")
    (held,) = leases.holders("cpu:0")
    first.release()
    again = leases.try_acquire("cpu:0", "housing")
    assert leases.holders("cpu:0") == [held]
    again.release()

    other = Leases(leases.folder)
    other.try_acquire("cpu:0", "moons").release()
    other.close()
    later = leases.try_acquire("cpu:0", "housing")
    assert leases.holders("cpu:0")[0].since > held.since
    later.release()


def test_a_share_is_held_by_its_own_search_or_by_that_of_the_whole_gpu(leases):
    first = leases.acquire_all(["GPU-x#0"], "housing")
    second = leases.acquire_all(["GPU-x#1"], "moons")
    assert [holder.study for holder in leases.holders("GPU-x")] == ["housing", "moons"]
    assert [holder.study for holder in leases.holders("GPU-x#1")] == ["moons"]
    assert leases.holders("GPU-x#2") == []
    release([*first, *second])
    whole = leases.try_acquire("GPU-x", "iris")
    assert [holder.study for holder in leases.holders("GPU-x#1")] == ["iris"]
    whole.release()


@pytest.mark.parametrize(
    ("since", "text"),
    [
        (None, ""),
        (0.0, r" since 19(69|70)-\d\d-\d\d \d\d:\d\d"),
        (math.nan, ""),
        (1e300, ""),
        (-1e300, ""),
    ],
)
def test_what_another_user_has_written_as_time_does_no_harm(since, text):
    assert re.fullmatch(text, since_text(since))


# --- GPUs: seen by all users of the box ---


@pytest.fixture
def box(monkeypatch, tmp_path):
    """Leases of a user who has named no folder, on a box of its own."""
    monkeypatch.delenv("TUNING_LEASES", raising=False)
    monkeypatch.setattr(module, "GPU_FOLDER", tmp_path / "gpus")
    monkeypatch.setattr(module, "default_folder", lambda: tmp_path / "user")
    leases = Leases()
    yield leases
    leases.close()


def test_gpus_are_leased_where_all_users_see_it_and_cores_by_each_user(box, tmp_path):
    held = [box.try_acquire("GPU-x"), box.try_acquire("MIG-y"), box.try_acquire("cpu:0")]
    assert (tmp_path / "gpus").stat().st_mode & 0o7777 == 0o1777
    files = sorted(path.name for path in (tmp_path / "gpus").iterdir())
    assert files == ["device-GPU-x", "device-MIG-y"]
    assert (tmp_path / "gpus" / "device-GPU-x").stat().st_mode & 0o777 == 0o666
    assert (tmp_path / "user" / "device-cpu%3A0").exists()
    release(held)


def _let_others_pass(folder):
    """Let other users enter a folder of pytest's, which is below `/tmp`."""
    while folder.stat().st_mode & 0o1777 != 0o1777 and folder != folder.parent:
        folder.chmod(folder.stat().st_mode | 0o055)
        folder = folder.parent


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_two_users_never_have_one_gpu(box, tmp_path):
    _let_others_pass(tmp_path)
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from tuning.executors.devices import leases as module\n"
        "os.setgid(65534); os.setuid(65534)\n"
        f"module.GPU_FOLDER = Path({str(tmp_path / 'gpus')!r})\n"
        f"module.default_folder = lambda: Path({str(tmp_path / 'other' / 'leases')!r})\n"
        "leases = module.Leases()\n"
        "assert not leases.fault, leases.fault\n"
        "for word in sys.stdin:\n"
        "    lease = leases.try_acquire(word.strip(), 'theirs')\n"
        "    taken = 'none' if lease is None else 'taken'\n"
        "    print(taken, leases.holder(word.strip()), flush=True)\n"
    )
    (tmp_path / "other").mkdir()
    os.chown(tmp_path / "other", 65534, 65534)
    ours = box.try_acquire("GPU-x", "housing")
    pipe = subprocess.PIPE
    other = subprocess.Popen([sys.executable, "-uc", code], stdin=pipe, stdout=pipe, text=True)

    def ask(name):
        other.stdin.write(f"{name}\n")
        other.stdin.flush()
        return other.stdout.readline().strip()

    ours_seen = rf"none housing of user root \(process {os.getpid()}\) since \d\d:\d\d"
    assert re.fullmatch(ours_seen, ask("GPU-x"))
    ours.release()
    assert ask("GPU-x").startswith("taken")
    assert box.try_acquire("GPU-x") is None
    (theirs,) = box.holders("GPU-x")
    assert (theirs.study, theirs.user, theirs.pid) == ("theirs", "nobody", other.pid)
    other.communicate()
    box.try_acquire("GPU-x", "housing").release()  # a file of theirs, and a lock of ours


def put_link(path):
    path.symlink_to(path.parent.parent / "elsewhere")


def put_folder(path):
    path.mkdir()


@pytest.mark.parametrize("put", [put_link, put_folder, os.mkfifo])
def test_what_somebody_has_put_in_a_gpus_place_is_neither_followed_nor_waited_for(
    box, tmp_path, put
):
    put(tmp_path / "gpus" / "device-GPU-x")
    lease = box.try_acquire("GPU-x")
    assert lease is not None
    assert box.try_acquire("GPU-x") is None  # of this user's searches still one has it
    assert not (tmp_path / "elsewhere").exists()
    assert box.holder("GPU-x") == "another search"
    lease.release()


@pytest.mark.parametrize("text", ["", "[]", "{", '{"holder": "a", "pid": "x"}', "x" * 100_000])
def test_what_a_gpus_file_says_is_for_people_only(box, tmp_path, text):
    box.try_acquire("GPU-x").release()
    (tmp_path / "gpus" / "device-GPU-x").write_text(text)
    assert box.holder("GPU-x") == "another search"
    box.try_acquire("GPU-x").release()


def test_where_there_is_no_folder_for_all_the_users_own_is_taken_with_a_word(monkeypatch, tmp_path):
    monkeypatch.delenv("TUNING_LEASES", raising=False)
    monkeypatch.setattr(module, "GPU_FOLDER", tmp_path / "file")
    monkeypatch.setattr(module, "default_folder", lambda: tmp_path / "user")
    (tmp_path / "file").write_text("")
    leases = Leases()
    assert leases.fault == f"{tmp_path / 'file'} is a link or a file"
    lease = leases.try_acquire("GPU-x")
    assert leases.try_acquire("GPU-x") is None
    lease.release()
    leases.close()


def test_shares_of_a_gpu_are_taken_beside_each_other_but_never_beside_the_whole(leases):
    first = leases.acquire_all(["GPU-x#0"], "a")
    second = leases.acquire_all(["GPU-x#1"], "b")
    assert leases.acquire_all(["GPU-x#1"]) is None
    assert leases.acquire_all(["GPU-x"]) is None
    release(first)
    assert leases.acquire_all(["GPU-x"]) is None
    release(second)
    whole = leases.acquire_all(["GPU-x"])
    assert leases.acquire_all(["GPU-x#0"]) is None
    assert leases.acquire_all(["GPU-y", "GPU-x#0"]) is None
    release(leases.acquire_all(["GPU-y"]))  # nothing of it was kept
    release(whole)


def test_who_waits_for_a_whole_gpu_is_seen_by_those_that_share_it(leases):
    with leases.queue(["GPU-x"]):
        assert leases.waited_for(["GPU-x#1"])
        assert not leases.waited_for(["GPU-y#1"])
    with leases.queue(["GPU-x#1"]):
        assert leases.waited_for(["GPU-x"])
