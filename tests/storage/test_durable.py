"""Files that are whole or absent."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tuning.errors import StorageError
from tuning.storage.durable import (
    open_file,
    raise_on_full_disk,
    read_json,
    write_bytes,
    write_json,
)

ROOT = Path(__file__).parents[2] / "tuning"

# Behind `is_file`, or files that the same call has written.
LOOKED_AT_FIRST = {
    "storage/arrays.py",
    "storage/sqlite_file.py",
    "storage/sqlite_schema.py",
    "tracking/mlflow_model.py",
}
READS = re.compile(r"\.read_(bytes|text)\(|\bopen\(\w*, \"r|\.open\(\"r")

KILLED = """
import os, signal, sys
from pathlib import Path
from tuning.storage import durable
setattr(os, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))
durable.write_bytes(Path(sys.argv[1]), b"new" * 10_000)
"""


def failing(code):
    def call(*_):
        raise OSError(code, os.strerror(code))

    return call


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_kill_while_writing_leaves_the_old_file_whole(tmp_path, step):
    path = tmp_path / "result.json"
    path.write_bytes(b"old")
    command = [sys.executable, "-c", KILLED, str(path), step]
    assert (
        subprocess.run(command, cwd=Path(__file__).parents[2], check=False).returncode
        == -signal.SIGKILL
    )
    assert path.read_bytes() == b"old"


def test_the_data_is_on_the_disk_before_the_name_is(tmp_path, monkeypatch):
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (calls.append("fsync"), fsync(fd)))
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("replace"), replace(a, b)))
    write_bytes(tmp_path / "a", b"x")
    assert calls == ["fsync", "replace"]


def test_a_failed_rename_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "replace", failing(errno.EPERM))
    with pytest.raises(PermissionError):
        write_bytes(path, b"new")
    assert ([p.name for p in tmp_path.iterdir()], path.read_bytes()) == (["a"], b"old")


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
def test_a_full_or_failing_disk_is_told_with_the_remedy_and_nothing_is_changed(
    tmp_path, monkeypatch, code
):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", failing(code))
    with pytest.raises(StorageError) as caught:
        write_bytes(path, b"new")
    assert (
        str(caught.value)
        == f"cannot write {path}: {os.strerror(code)}. Free some space, then run again."
    )
    assert ([p.name for p in tmp_path.iterdir()], path.read_bytes()) == (["a"], b"old")


@pytest.mark.parametrize("before", [None, 0o644])
def test_files_are_for_their_owner_alone_whatever_was_there_before(tmp_path, before):
    path = tmp_path / "new" / "a"
    if before is not None:
        path.parent.mkdir()
        path.touch(before)
    umask = os.umask(0)
    try:
        write_bytes(path, b"x")
    finally:
        os.umask(umask)
    assert path.stat().st_mode & 0o777 == 0o600


def test_folders_on_the_way_are_made(tmp_path):
    write_bytes(tmp_path / "a" / "b" / "c", b"x")
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"x"


def test_a_full_disk_in_a_librarys_call_is_told_with_the_file():
    words = r"^No space left on device \(model\.keras\)\. Free some space, then run again\.$"
    with pytest.raises(StorageError, match=words), raise_on_full_disk():
        raise OSError(errno.ENOSPC, "No space left on device", "model.keras")


def test_other_errors_of_a_librarys_call_pass_as_they_are():
    with pytest.raises(FileNotFoundError), raise_on_full_disk():
        raise FileNotFoundError(errno.ENOENT, "no such file")


@pytest.mark.parametrize("kind", [float, np.float32, np.float64])
def test_what_is_not_finite_is_written_as_words_that_float_reads(tmp_path, kind):
    path = tmp_path / "a.json"
    write_json(path, {"values": [kind("nan"), kind("inf"), kind("-inf"), kind(0.5)]})
    assert read_json(path) == {"values": ["nan", "inf", "-inf", 0.5]}


def test_numpy_numbers_and_tuples_become_plain_json(tmp_path):
    write_json(tmp_path / "a", {1: (np.int64(3), np.bool_(True), np.float32(0.5)), "é": None})
    assert read_json(tmp_path / "a") == {"1": [3, True, 0.5], "é": None}
    assert "é" in (tmp_path / "a").read_text(encoding="utf-8")


def test_what_json_does_not_know_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError):
        write_json(tmp_path / "a", {"value": object()})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("cut", [0, 1, 5, 12])
def test_a_torn_file_counts_as_absent(tmp_path, cut):
    (tmp_path / "a").write_bytes(json.dumps({"a": [1, 2, 3]}).encode()[:cut])
    assert read_json(tmp_path / "a") is None


@pytest.mark.parametrize("rest", [b"\0" * 64, b"\xff\xfe{}", b'{"a": 1}{"b"'])
def test_a_file_of_zeros_or_rubbish_counts_as_absent(tmp_path, rest):
    (tmp_path / "a").write_bytes(rest)
    assert read_json(tmp_path / "a") is None


def test_an_absent_file_and_a_file_in_the_folders_place_are_none(tmp_path):
    (tmp_path / "a").write_text("{}")
    assert (read_json(tmp_path / "b"), read_json(tmp_path / "a" / "b")) == (None, None)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir])
def test_what_is_no_file_raises_and_never_blocks(tmp_path, make):
    path = tmp_path / "trials.cache"
    make(path)
    with pytest.raises(OSError, match="it is no file"):
        open_file(path)


def test_files_of_a_search_are_opened_in_no_way_that_a_pipe_blocks():
    rooms = ("ledger", "search", "trials", "tracking", "storage", "bench")
    found = {
        str(path.relative_to(ROOT))
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
        if READS.search(path.read_text())
    }
    assert found == LOOKED_AT_FIRST
