import os
from types import SimpleNamespace

import pytest

from tuning.errors import StorageError
from tuning.storage import space
from tuning.storage.space import SpaceEstimate, SpaceWatch, used_bytes

MB = 2**20


@pytest.fixture
def disk(monkeypatch):
    """A disk of 10 GB, whose free space the test sets."""
    figures = SimpleNamespace(f_frsize=MB, f_blocks=10_240, f_bavail=5_000)
    monkeypatch.setattr(space.os, "statvfs", lambda folder: figures)
    monkeypatch.setattr(space, "_LOOK_S", 0.0)
    return figures


def test_a_search_stops_below_the_floor_and_may_go_on_once_there_is_space(disk, tmp_path):
    watch = SpaceWatch(tmp_path)
    watch.check()
    disk.f_bavail = 63
    with pytest.raises(StorageError, match=r"63 MB are left on the disk of .* below 64 MB"):
        watch.check()
    disk.f_bavail = 65
    watch.check()


def test_the_floor_of_a_small_disk_is_a_hundredth_of_it(disk, tmp_path):
    disk.f_blocks = 100
    disk.f_bavail = 2
    SpaceWatch(tmp_path).check()
    disk.f_bavail = 0
    with pytest.raises(StorageError, match="below 1 MB"):
        SpaceWatch(tmp_path).check()


def test_a_folder_that_is_not_there_yet_is_on_its_parents_disk(tmp_path):
    SpaceWatch(tmp_path / "not" / "yet").check()


def test_the_quota_counts_what_the_files_take(disk, tmp_path, monkeypatch):
    monkeypatch.setattr(space, "_SCAN_S", 0.0)
    watch = SpaceWatch(tmp_path, quota=MB)
    (tmp_path / "sparse").touch()
    os.truncate(tmp_path / "sparse", 100 * MB)
    watch.check()
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "full").write_bytes(os.urandom(2 * MB))
    assert 2 * MB <= used_bytes(tmp_path) < 3 * MB
    with pytest.raises(StorageError, match="holds 2 MB, more than the --quota of 1 MB"):
        watch.check()


def test_an_estimate_is_said_once_where_it_matters(disk, tmp_path):
    notices = []
    estimate = SpaceEstimate(SpaceWatch(tmp_path), tmp_path, notices.append)
    (tmp_path / "checkpoint").write_bytes(os.urandom(6 * MB))
    estimate.look(2, 100_000)  # too few to know
    estimate.look(3, None)
    estimate.look(3, 100)
    assert notices == []
    estimate.look(6, 100_000)
    estimate.look(12, 100_000)
    assert len(notices) == 1
    assert notices[0].startswith("100000 trials to come need about 97.7 GB (1 MB each")
    assert "4.8 GB are left" in notices[0]


def test_a_look_is_taken_once_a_second(tmp_path, monkeypatch):
    looks = []
    real = os.statvfs
    monkeypatch.setattr(space.os, "statvfs", lambda folder: looks.append(1) or real(folder))
    watch = SpaceWatch(tmp_path)
    for _ in range(100):
        watch.check()
    assert len(looks) == 1
