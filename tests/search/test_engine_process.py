"""How often an engine process that is lost is begun anew, without processes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import tuning.search.engine_process as module
from tests.search.scripted import RECORD
from tuning.engines.remote import EngineLost
from tuning.executors.supervision.parts import ENGINE
from tuning.search.engine_process import SupervisedEngine
from tuning.search.stop_request import StopRequest
from tuning.trial import Pause

LOADING = "loading"
ASKED = "asked"
SERVER = "the forkserver"


class Processes:
    """Stands for the engine's processes: each ends where `ends` says, those after them nowhere."""

    def __init__(self, ends):
        self.ends = list(ends)
        self.begun = 0

    def spawn(self, *_, name):
        self.begun += 1
        self.end = self.ends.pop(0) if self.ends else ""
        child = SimpleNamespace(server_gone=self.end == SERVER, close=lambda: None)
        return child

    def link(self, *_, **__):
        return SimpleNamespace(
            kill=lambda: None, close=lambda: None, too_slow=False, exit_code=-9, closing=False
        )

    def remote(self, *_):
        return SimpleNamespace(describe=self._describe, ask=self._ask)

    def _describe(self):
        if self.end in (LOADING, SERVER):
            raise EngineLost("killed")
        return RECORD

    def _ask(self, number):
        if self.end == ASKED:
            raise EngineLost("killed")
        return Pause.EXHAUSTED


@pytest.fixture
def ask(monkeypatch):
    """Ask an engine whose processes end in some ways; return how many there were."""

    def ask(*ends):
        processes = Processes(ends)
        monkeypatch.setattr(module, "EngineLink", processes.link)
        monkeypatch.setattr(module, "RemoteEngine", processes.remote)
        monkeypatch.setattr(module, "backoff_s", lambda failures: 0.0)
        engine = SupervisedEngine(
            processes,
            "study.py",
            {},
            answer_s=1.0,
            stop_request=StopRequest(),
            notice=lambda text: None,
        )
        assert engine.ask(0) is Pause.EXHAUSTED
        return processes.begun

    return ask


def test_a_call_that_ends_each_process_is_given_up(ask):
    with pytest.raises(EngineLost, match="lost 4 times in a row"):
        ask(*[ASKED] * 50)


def test_a_study_whose_loading_ends_each_process_is_given_up(ask):
    with pytest.raises(EngineLost, match="lost 4 times in a row"):
        ask(*[LOADING] * 50)
    with pytest.raises(EngineLost, match="lost 5 times in a row"):
        ask(ASKED, *[LOADING] * 50)


@pytest.mark.parametrize("how", [LOADING, ASKED])
def test_as_often_as_the_table_says_it_is_begun_anew(ask, how):
    assert ask(*[how] * ENGINE.restarts) == ENGINE.restarts + 1


def test_processes_that_were_killed_while_they_loaded_do_not_count_to_a_call(ask):
    ends = [LOADING, LOADING, LOADING, ASKED] * 3
    assert ask(*ends) == len(ends) + 1


def test_what_ends_with_the_forkserver_does_not_count_to_the_engine(ask):
    ends = [SERVER, LOADING, SERVER, LOADING, SERVER, LOADING]
    assert ask(*ends) == len(ends) + 1
    with pytest.raises(EngineLost, match="lost 4 times in a row"):
        ask(*[SERVER] * 50)
