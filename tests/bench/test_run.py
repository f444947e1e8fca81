"""A whole benchmark: many searches on leased slots, interrupted, resumed, extended."""

from __future__ import annotations

import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import cloudpickle
import pytest

from tests.bench.test_open_searches import searches_in
from tests.bench.test_runs import RUN
from tests.search.scripted import RECORD
from tests.trials.small_study import study
from tuning.bench import run as module
from tuning.bench.budget import Budget
from tuning.bench.check import Checked
from tuning.bench.plan import BenchPlan, CheckedStudy, parse_choices
from tuning.bench.run import run_bench
from tuning.bench.watch import Watch
from tuning.errors import BusyError, ChangedError, StudyError
from tuning.search.lr_bounds import LRBounds
from tuning.space.domains import Choice, Float
from tuning.storage.locks import search_locked

EIGHT = Budget("epochs", 8)
SPACE = {"lr": Float(1e-3, 0.1, log=True), "batch_size": Choice(8, 16, 32)}


@pytest.fixture
def home(tmp_path, monkeypatch):
    # Nobody else's search is waited for.
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    return tmp_path / "home"


def plan(home, engines="optuna:random,randomizedsearchcv", seeds=1, budget=EIGHT, **changes):
    source = cloudpickle.dumps(study(**{"space": SPACE, **changes}))
    return BenchPlan(
        sources=(source,),
        choices=parse_choices(engines),
        seeds=seeds,
        budget=budget,
        devices="cpu:1",
        home=str(home),
    )


class Listener(Watch):
    """Keeps what is said, and calls `on_epoch` at each epoch."""

    def __init__(self, on_epoch=lambda: None):
        super().__init__()
        self.notices = []
        self.epochs = 0
        self._on_epoch = on_epoch

    def notice(self, text):
        self.notices.append(text)

    def epoch(self, search):
        self.epochs += 1
        self._on_epoch()


def test_a_bench_is_done_extended_and_not_done_twice(home, forkserver):
    (first,), status = run_bench(plan(home), Listener(), forkserver)
    assert status == "completed"
    assert [(run.curve.engine, run.curve.seed, run.epochs) for run in first.runs] == [
        ("optuna:random", 0, 8),
        ("randomizedsearchcv", 0, 8),
    ]
    listener = Listener()
    (second,), _ = run_bench(
        plan(home, "randomizedsearchcv,optuna:random", seeds=2), listener, forkserver
    )
    assert listener.epochs == 16  # of the new seed
    assert [run for run in second.runs if run.curve.seed == 0] == list(first.runs)[::-1]
    assert "4 searches, 2 done before" in listener.notices


def test_another_definition_is_refused_until_it_begins_anew(home, forkserver):
    run_bench(plan(home, "optuna:random"), Listener(), forkserver)
    with pytest.raises(
        ChangedError, match=r"small · optuna:random · seed 0 was done with another definition"
    ):
        run_bench(plan(home, "optuna:random", batch_size=8), Listener(), forkserver)
    fresh = replace(plan(home, "optuna:random", batch_size=8), fresh=True)
    (done,), _ = run_bench(fresh, Listener(), forkserver)
    assert len(done.runs) == 1
    assert len(list((home / "bench" / "small").glob("epochs=8~*"))) == 1


def test_a_study_that_is_refused_leaves_the_bounds_that_were_measured_before(home, monkeypatch):
    (search,) = searches_in(home / "s")[:1]
    known = CheckedStudy(info=RECORD, searches=(search,), notices={}, folder=home / "s")
    bounds = LRBounds({"lr": [1e-3, 1e-1]})
    monkeypatch.setattr(module, "check_study", lambda *_, **__: Checked(known, bounds))
    replace(RUN, pinned="of other data").write(search.folder)

    with pytest.raises(ChangedError, match="other data"):
        run_bench(plan(home), Watch(), forkserver=object())
    assert not (home / "s" / "intervals.json").exists()


def test_a_study_given_twice_is_refused(home, forkserver):
    once = plan(home)
    with pytest.raises(StudyError, match="'small' is there twice"):
        run_bench(replace(once, sources=once.sources * 2), Listener(), forkserver)


def test_a_second_bench_of_the_same_is_refused(home, forkserver):
    with (
        search_locked(home / "bench" / "small" / "epochs=8", "process 1 on elsewhere"),
        pytest.raises(BusyError),
    ):
        run_bench(plan(home), Listener(), forkserver)


def test_a_search_whose_worker_is_killed_goes_on_and_comes_to_the_same(home, forkserver):
    (whole,), _ = run_bench(plan(home / "a", "optuna:random"), Listener(), forkserver)
    killed = []

    def kill():
        pid = next(iter(_workers(home / "b")), None)
        if not killed and pid is not None:
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    listener = Listener(kill)
    (again,), _ = run_bench(plan(home / "b", "optuna:random"), listener, forkserver)
    assert killed
    assert "small · optuna:random · seed 0: worker killed; it goes on" in listener.notices
    assert again.runs[0].curve.values == whole.runs[0].curve.values


def _workers(home: Path):
    """The processes that have a log below `home` open."""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            opened = [os.readlink(file) for file in Path("/proc", pid, "fd").iterdir()]
        except OSError:
            continue
        if int(pid) != os.getpid() and any(
            name.startswith(str(home / "bench" / "logs")) for name in opened
        ):
            yield int(pid)


@pytest.mark.slow
def test_ctrl_c_keeps_what_there_is_and_the_same_call_goes_on(home, forkserver):
    sent = []

    def interrupt():
        if len(sent) < 1:
            sent.append(time.monotonic())
            threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGINT)).start()

    budget = Budget("epochs", 400)
    (cut,), status = run_bench(
        plan(home, "optuna:random", budget=budget, epochs=200), Listener(interrupt), forkserver
    )
    assert (status, cut.runs) == ("interrupted", ())
    (done,), status = run_bench(
        plan(home, "optuna:random", budget=budget, epochs=200), Listener(), forkserver
    )
    assert (status, done.runs[0].epochs) == ("completed", 400)


def uneven(x: float = 0.0, fidelity: float = 1.0) -> float:
    """Takes 2 s in 4 epochs: even ones at x = 0, a long first one at x = 1."""
    time.sleep(0.5 if x == 0 else 1.7 if fidelity == 0.25 else 0.1)
    return x


@pytest.mark.slow
def test_the_time_limit_of_a_trial_is_not_counted_from_the_trial_before(home, forkserver):
    defined = {
        "builder": uneven,
        "trainer": "function",
        "space": {"x": Choice(0.0, 1.0)},
        "trial_timeout": 3.6,
    }
    (done,), _ = run_bench(plan(home, "gridsearchcv", **defined), Listener(), forkserver)
    assert done.runs[0].counts.completed == 2


@pytest.mark.slow
def test_a_trial_beyond_its_time_limit_has_failed_and_is_charged(home, forkserver):
    defined = {
        "builder": uneven,
        "trainer": "function",
        "space": {"x": Choice(0.0, 1.0)},
        "trial_timeout": 1.2,
    }
    budget = Budget("trials", 2)
    (done,), _ = run_bench(
        plan(home, "gridsearchcv", budget=budget, **defined), Listener(), forkserver
    )
    (run,) = done.runs
    assert run.counts.failed == 2
    assert run.seconds >= 2.4
