"""`tuning slots` against a search that answers as a running one does."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager

import pytest

from tests.search.slots.test_resizer import FakeExecutor
from tests.tracking.writer import searches
from tuning.cli.main import main
from tuning.cli.running import slots as verb
from tuning.executors.devices.slots import parse_devices
from tuning.search.slots.resizer import Resizer
from tuning.storage.locks import search_locked


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a,GPU-b")
    return tmp_path / "home"


@contextmanager
def running(files):
    """A process that holds the search's lock and looks at its file, as `OpenRun.tick` does."""
    slots = parse_devices("gpu")
    executor = FakeExecutor(slots)
    ended = threading.Event()

    def look():
        while not ended.wait(0.01):
            resizer.look()
            executor.leaving = ()  # a trial's epoch has ended

    with search_locked(files.folder, "a test"):
        resizer = Resizer(
            executor,
            folder=files.folder,
            devices="gpu",
            slots=slots,
            parse=parse_devices,
            begun_ns=0,
            notice=lambda text: None,
        )
        driver = threading.Thread(target=look)
        driver.start()
        try:
            with resizer:
                yield executor
        finally:
            ended.set()
            driver.join()


def name_of(files):
    return files.folder.parent.name


def test_the_slots_of_the_search_that_runs_are_shown(home, capsys):
    files = searches.search(home)
    with running(files):
        assert main(["slots", name_of(files)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[1:] == [["GPU-a", "works"], ["GPU-b", "works"]]


def test_it_works_on_others_from_then_on(home, capsys):
    files = searches.search(home)
    with running(files) as executor:
        assert main(["slots", name_of(files), "--devices", "1", "--json"]) == 0
        assert [slot.name for slot in executor.held] == ["GPU-b"]
    answer = json.loads(capsys.readouterr().out)
    assert (answer["slots"], answer["leaving"]) == (["GPU-b"], [])


def test_without_a_slot_it_says_that_it_waits(home, capsys):
    files = searches.search(home)
    with running(files):
        assert main(["slots", name_of(files), "--devices", "none"]) == 0
    assert "has no slot; it waits" in capsys.readouterr().out


def test_a_request_that_means_nothing_is_an_error(home, capsys):
    files = searches.search(home)
    with running(files):
        assert main(["slots", name_of(files), "--devices", "9"]) == 2
    assert "goes on as it was: --devices 9: there is no device '9'" in capsys.readouterr().err


def test_a_search_that_does_not_run_is_refused_with_what_to_do(home, capsys):
    files = searches.search(home)
    assert main(["slots", name_of(files), "--devices", "0"]) == 2
    assert "no search of study" in capsys.readouterr().err
    key = f"{name_of(files)}/{files.folder.name}"
    assert main(["slots", key]) == 2
    assert f"{key} does not run; give --devices to `tuning run`" in capsys.readouterr().err


def test_an_engine_that_no_running_search_has_is_refused(home, capsys):
    files = searches.search(home)
    with running(files):
        assert main(["slots", name_of(files), "--engine", "optuna:cmaes"]) == 2
    assert "runs with --engine optuna:cmaes" in capsys.readouterr().err


def test_no_devices_are_refused(home, capsys):
    assert main(["slots", "any", "--devices", " "]) == 2
    assert "--devices is empty; say none, auto" in capsys.readouterr().err


def test_a_search_that_does_not_answer_is_told_as_busy(home, capsys, monkeypatch):
    monkeypatch.setattr(verb, "ANSWER_S", 0.1)
    files = searches.search(home)
    with search_locked(files.folder, "a test"):
        assert main(["slots", name_of(files)]) == 75
    assert "has not answered within 0 s" in capsys.readouterr().err
