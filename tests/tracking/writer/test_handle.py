"""The driver's side of the writer, with a child that speaks the protocol and writes nothing."""

from __future__ import annotations

import os
import signal
import sys
import time

import psutil
import pytest

from tuning.tracking.writer import Writer, handle
from tuning.tracking.writer.handle import Report

CHILD = """
import os, sys, time
record, slow = sys.argv[2], sys.argv[3] == "slow"
os.pwrite(int(sys.argv[1]), record.encode().ljust(8192), 0)
for line in sys.stdin.buffer:
    if line.startswith(b"f "):
        time.sleep(60 if slow else 0)
        break
"""


@pytest.fixture
def writer_of(tmp_path, monkeypatch):
    """Start a writer whose child ends when it is told to, or is `slow` to."""
    record = handle.json.dumps(Report(at=1.0).to_json())
    writers = []

    def start(how=""):
        monkeypatch.setattr(
            handle,
            "module_command",
            lambda module, fd: [sys.executable, "-c", CHILD, fd, record, how],
        )
        writers.append(Writer(dict(os.environ)).begin(tmp_path))
        until = time.monotonic() + 60
        while not writers[0].progress().at and time.monotonic() < until:
            time.sleep(0.02)
        return writers[0]

    yield start
    for writer in writers:
        writer.__exit__(None, None, None)
        if psutil.pid_exists(writer.pid):
            os.kill(writer.pid, signal.SIGKILL)


def test_a_writer_that_is_stopped_at_the_end_is_replaced_and_the_new_one_finishes(
    writer_of, monkeypatch
):
    monkeypatch.setattr(handle, "STOPPED_S", 0.3)
    writer = writer_of()
    stopped = psutil.Process(writer.pid)
    stopped.send_signal(signal.SIGSTOP)
    assert writer.finish(30) == []
    assert writer.pid != stopped.pid
    assert not stopped.is_running()


def test_a_stopped_writer_is_replaced_while_the_search_goes_on(writer_of, monkeypatch):
    monkeypatch.setattr(handle, "STOPPED_S", 0.1)
    writer = writer_of()
    stopped = writer.pid
    os.kill(stopped, signal.SIGSTOP)
    until = time.monotonic() + 30
    while writer.pid == stopped and time.monotonic() < until:
        writer.notify()
        time.sleep(0.05)
    assert writer.pid != stopped


def test_a_full_pipe_to_a_stopped_writer_blocks_nobody(writer_of, monkeypatch):
    monkeypatch.setattr(handle, "STOPPED_S", 0.3)
    monkeypatch.setattr(handle, "_GRACE_S", 0.1)
    writer = writer_of()
    os.kill(writer.pid, signal.SIGSTOP)
    with monkeypatch.context() as without_a_look:
        without_a_look.setattr(writer, "_revive", lambda *, at_once=False: None)
        for _ in range(40_000):
            writer.notify()
    began_at = time.monotonic()
    writer.finish(5)
    assert time.monotonic() - began_at < 30


def test_in_a_hurry_a_writer_at_work_is_left_to_it(writer_of, monkeypatch):
    monkeypatch.setattr(handle, "_HURRY_S", 0.3)
    writer = writer_of("slow")
    began_at = time.monotonic()
    warnings = writer.finish(60, hurried=lambda: True)
    assert time.monotonic() - began_at < 20
    assert warnings == []
    assert psutil.pid_exists(writer.pid)
