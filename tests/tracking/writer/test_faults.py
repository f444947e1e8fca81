"""Stores that fail, hang or are behind; writers that die or are late: real processes."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest
import requests

from tests.tracking.flaky_server import flaky
from tests.tracking.writer import searches
from tests.tracking.writer.test_writer import runs, stored, wait_for_end, wait_for_stored
from tuning.storage.locks import is_locked
from tuning.tracking.mlflow_store import tracking_uri
from tuning.tracking.writer import Writer
from tuning.tracking.writer.handle import wait_until_written
from tuning.tracking.writer.note import unwritten

pytestmark = pytest.mark.slow


@contextmanager
def mlflow_server(home):
    """MLflow's own server on `home`'s database."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1", "--port", str(port)]
    command += ["--backend-store-uri", tracking_uri(home), "--artifacts-destination", str(home)]
    with open(home / "server.log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    url = f"http://127.0.0.1:{port}"
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                requests.get(f"{url}/health", timeout=1)
                break
            except requests.RequestException:
                time.sleep(0.2)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_server_of_which_two_answers_in_five_fail_gets_every_run_once(home):
    files = searches.search(home)
    searches.add_trials(files, range(30), fault_every=0)
    searches.end(files)
    with (
        mlflow_server(home) as server,
        flaky(server, 0.4) as url,
        Writer.start(home, tracking_uri=url).begin(files.folder) as writer,
    ):
        assert writer.finish(120) == []
    attempts = [attempt for attempt, _ in runs(home)]
    assert len(attempts) == len(set(attempts)) == 30
    assert {status for _, status in runs(home)} == {"FINISHED"}
    assert [status for _, status in runs(home, "search")] == ["FINISHED"]


def test_what_a_writer_in_the_background_has_left_the_next_one_writes(home, uris):
    files = searches.search(home)
    searches.add_trials(files, range(3))
    searches.end(files)
    with Writer.start(home).begin(files.folder) as writer:
        wait_for_stored(home, 3)
        os.kill(writer.pid, signal.SIGSTOP)  # so that it is late for certain
        timer = threading.Timer(0.5, os.kill, (writer.pid, signal.SIGCONT))
        timer.start()
        writer.finish(0.0)
    end = time.monotonic() + 60
    while is_locked(files.folder / ".writer.lock") and time.monotonic() < end:
        time.sleep(0.1)
    assert unwritten(home) == []
    assert len(runs(home)) == 3
    assert [status for _, status in runs(home, "search")] == ["FINISHED"]


def test_a_writer_that_died_is_started_again_at_the_next_notice(home):
    files = searches.search(home)
    searches.add_trials(files, range(2))
    with Writer.start(home).begin(files.folder) as writer:
        assert wait_until_written(writer, 2, 60)
        dead = writer.pid
        os.kill(dead, signal.SIGKILL)
        writer._child.wait()
        searches.add_trials(files, range(2, 4))
        writer.notify()
        assert writer.pid != dead
        assert wait_until_written(writer, 4, 60)
    assert stored(home) == [0, 1, 2, 3]


DRIVER = """
import sys, time
from pathlib import Path
from tuning.tracking.writer import Writer
writer = Writer.start(Path(sys.argv[1])).begin(Path(sys.argv[2]))
while writer.progress().written < 2:
    time.sleep(0.05)
print(writer.pid, flush=True)
time.sleep(600)
"""


def test_a_stopped_writer_whose_driver_is_killed_goes_on_writes_all_and_ends(home):
    files = searches.search(home)
    searches.add_trials(files, range(2))
    driver = subprocess.Popen(
        [sys.executable, "-c", DRIVER, str(home), str(files.folder)],
        stdout=subprocess.PIPE,
        text=True,
    )
    writer = int(driver.stdout.readline())
    os.kill(writer, signal.SIGSTOP)
    searches.add_trials(files, range(2, 5))
    driver.kill()
    driver.communicate()
    # Nobody waits for its lock.
    assert wait_for_end(writer, 30)
    assert not is_locked(files.folder / ".writer.lock")
    assert len(runs(home)) == 5
    assert stored(home) == [0, 1, 2, 3, 4]
