"""Whole runs with real TensorFlow: to the end, killed, stopped, two at a time."""

from __future__ import annotations

import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

import tuning.executors.turns
import tuning.search.run
import tuning.search.stop_request
from tests.patience import SOON_S
from tests.search.run_parts import FILE, STUDY, build, builds, options_of
from tuning.errors import BusyError, ChangedError, SearchFailed, StorageError, StudyError
from tuning.executors.devices.leases import Leases, release
from tuning.ledger.search import SearchFiles
from tuning.reports.progress import SilentProgress
from tuning.search.options import RunOptions
from tuning.search.outcome import report as outcome_report
from tuning.search.processes import source_of
from tuning.search.run import run_study
from tuning.storage.durable import read_json
from tuning.study.study import Study, load_study

ROOT = Path(__file__).parents[2]
ENGINES = ("optuna:tpe", "keras-tuner:bayesian", "gridsearchcv")


@pytest.fixture
def run(traces, alone, forkserver):
    def run(engine="optuna:random", study=FILE, progress=None, **budget):
        return run_study(study, options_of(engine, **budget), progress, forkserver)

    return run


def results(home: Path) -> dict[str, bytes]:
    """Return the finished trials of the only search, by folder."""
    return {
        path.parent.name: path.read_bytes() for path in home.glob("ledger/*/*/trials/*/result.json")
    }


def params_of(home: Path, trial: str) -> dict:
    return read_json(next(home.glob(f"ledger/*/*/trials/{trial}/spec.json")))["params"]


def start_driver(*words):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.search.run_parts", *words], cwd=ROOT, start_new_session=True
    )


def wait_for(what, seconds=60.0):
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(0.02)


def processes_naming(text: str) -> list[psutil.Process]:
    """Return the live processes that have this in their environment."""
    own = os.getpid()
    processes = []
    for process in psutil.process_iter():
        try:
            if process.status() != psutil.STATUS_ZOMBIE and text in process.environ().values():
                processes.append(process)
        except (psutil.AccessDenied, psutil.NoSuchProcess):
            continue
    return [process for process in processes if process.pid != own]


def test_a_search_may_train_in_the_drivers_own_process(traces, alone, forkserver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "a")  # which only a worker's slot would set
    options = dataclasses.replace(options_of("optuna:random", trials=2), executor="inprocess")
    summary = run_study(FILE, options, None, forkserver)
    assert (summary.status, summary.counts["completed"]) == ("completed", 2)


def test_a_search_ends_with_a_winner_that_was_trained_for_all_epochs(run, traces):
    summary = run(seeds=2)
    assert (summary.status, summary.counts["completed"], len(summary.winner.values)) == (
        "completed",
        4,
        2,
    )
    assert summary.test["rmse"] > 0
    assert Path(summary.model).exists()
    assert Path(summary.report).exists()
    home = traces.parent / "home"
    assert read_json(next(home.glob("ledger/*/*/winner.json")))["epochs"] == STUDY.epochs
    assert read_json(next(home.glob("ledger/*/*/status.json")))["status"] == "completed"


def test_the_report_waits_for_its_libraries_however_soon_the_finals_end(run, monkeypatch):
    seen = []
    slow = threading.Timer(2, seen.append, ["loaded"])  # the finals take less than a second
    monkeypatch.setattr(outcome_report, "load_libraries", lambda _: slow.start() or slow)
    monkeypatch.setattr(
        outcome_report,
        "write_report",
        lambda *_, **__: seen.append("written") or Path("none.html"),
    )
    run(trials=1)
    assert seen == ["loaded", "written"]


def test_the_same_command_again_trains_nothing_and_takes_no_device(run, traces, monkeypatch):
    first, built = run(trials=2), builds(traces)
    monkeypatch.setattr(
        "tuning.executors.catalog.LocalExecutor", lambda *_, **__: pytest.fail("it took devices")
    )
    again = run(trials=2)
    assert builds(traces) == built
    assert (again.trials, again.winner, again.startup_s) == (first.trials, first.winner, 0.0)


def test_a_larger_budget_continues_and_a_fresh_start_sets_the_old_search_aside(
    run, traces, forkserver
):
    run(trials=2)
    built = len(builds(traces))
    larger = run(trials=3)
    assert [proposal.number for proposal, _ in larger.trials] == [0, 1, 2]
    # The new trial and, where it is the best, its finalist and the winner built again.
    assert len(builds(traces)) - built in (1, 3)
    options = RunOptions(variant={"engine": "optuna:random"}, budget={"trials": 1}, fresh=True)
    fresh = run_study(FILE, options, forkserver=forkserver)
    assert (len(fresh.trials), fresh.search == larger.search) == (1, False)
    assert len(list((traces.parent / "home" / "ledger" / "traces").glob("optuna-random~*"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("engine", ENGINES)
def test_after_kill_9_of_the_driver_no_finished_fit_is_trained_again(run, traces, engine):
    home, budget = traces.parent / "home", {"trials": 6}
    driver = start_driver(engine, "trials=6")
    wait_for(lambda: len(results(home)) >= 2 or driver.poll() is not None)
    driver.kill()
    driver.wait()
    # Of forkserver, engine and workers nothing is left.
    wait_for(lambda: not processes_naming(str(traces)), SOON_S)
    finished = results(home)
    assert 2 <= len(finished) < 6
    (traces / "builds").unlink()

    summary = run(engine, **budget)

    after = results(home)
    assert {trial: after[trial] for trial in finished} == finished
    assert sorted(after) == [f"{number:05d}" for number in range(6)]
    assert summary.counts == {"completed": 6, "pruned": 0, "failed": 0, "infeasible": 0}
    built = [{"n": line["n"], "lr": line["lr"]} for line in builds(traces)]
    finalist = dict(summary.winner.params)
    for trial in finished:
        params = params_of(home, trial)
        # A finalist on a fresh seed, and to be evaluated.
        assert built.count(params) == (2 if params == finalist else 0)
    assert len(built) == 6 - len(finished) + 2


@pytest.mark.parametrize("engine", ["optuna:random", "gridsearchcv"])
@pytest.mark.slow
def test_a_damaged_result_is_trained_again_and_comes_to_the_same(run, traces, engine):
    first, home = run(engine, trials=3), traces.parent / "home"
    before = params_of(home, "00000")
    next(home.glob("ledger/*/*/trials/00000/result.json")).write_text('{"numb')
    (traces / "builds").unlink()
    again = run(engine, trials=3)
    assert [{"n": line["n"], "lr": line["lr"]} for line in builds(traces)] == [before]
    assert [result.value for _, result in again.trials] == [
        result.value for _, result in first.trials
    ]
    assert again.winner == first.winner


def test_four_devices_train_four_trials_at_once_each_in_a_process_that_sees_one(
    run, traces, monkeypatch
):
    monkeypatch.setenv("TUNING_DEVICES", "a,b,c,d")
    (traces / "gate").touch()

    def open_gate():
        wait_for(lambda: len(builds(traces)) >= 4)
        (traces / "gate").unlink()

    opener = threading.Thread(target=open_gate)
    opener.start()
    run()
    opener.join()
    first = builds(traces)[:4]
    assert sorted(line["device"] for line in first) == ["a", "b", "c", "d"]
    assert len({line["pid"] for line in first}) == 4


def test_a_second_run_waits_for_the_devices_and_the_same_search_is_refused(run, traces, forkserver):
    (traces / "gate").touch()
    notices = []
    progress = SilentProgress()
    progress.notice = notices.append
    other = load_study(str(FILE)).with_(name="other", trials=1)
    threads = [threading.Thread(target=run, kwargs={"trials": 2})]
    threads[0].start()
    wait_for(lambda: len(builds(traces)) == 2)
    threads.append(threading.Thread(target=run, kwargs={"study": other, "progress": progress}))
    threads[1].start()
    with pytest.raises(BusyError, match=f"is being run by process {os.getpid()}"):
        run(trials=2)
    wait_for(lambda: any("waiting for a device: a is held by traces" in line for line in notices))
    assert len(builds(traces)) == 2
    (traces / "gate").unlink()
    for thread in threads:
        thread.join()
    paths = (traces.parent / "home").glob("ledger/*/*/status.json")
    assert {path.parts[-3]: read_json(path)["status"] for path in paths} == {
        "traces": "completed",
        "other": "completed",
    }


def interrupt_after(home, trials):
    """Press Ctrl-C once so many trials have ended."""

    def interrupt():
        wait_for(lambda: len(results(home)) >= trials)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()


def test_ctrl_c_lets_the_running_trials_end_and_the_next_run_goes_on(run, traces):
    home = traces.parent / "home"

    interrupt_after(home, 1)
    stopped = run(trials=6)
    assert (stopped.status, stopped.winner) == ("interrupted", None)
    assert 1 <= len(stopped.trials) <= 4
    built = len(builds(traces))
    assert run(trials=6).counts["completed"] == 6
    # And the finalist, and the winner built again.
    assert len(builds(traces)) - built == 6 - len(stopped.trials) + 2


def test_a_larger_budget_that_is_stopped_keeps_the_winner_there_was(run, traces):
    home = traces.parent / "home"
    before = run(trials=1).winner

    interrupt_after(home, 2)
    stopped = run(trials=30)
    assert (stopped.status, stopped.winner) == ("interrupted", before)
    assert stopped.model is not None


def test_when_time_is_up_there_is_a_winner_all_the_same(run, traces, monkeypatch):
    home = traces.parent / "home"

    def clock():
        return time.monotonic() + (1000 if results(home) else 0)

    monkeypatch.setattr(tuning.search.stop_request, "time", SimpleNamespace(monotonic=clock))
    summary = run(trials=None, timeout=900.0)
    assert (summary.status, summary.winner is not None) == ("timeout", True)
    assert len(summary.trials) <= 4  # two that ran, two that waited at the workers


def test_time_that_was_too_short_for_any_trial_is_said(run):
    with pytest.raises(
        SearchFailed, match=r"no trial was completed within 0\.1 s; give --timeout more"
    ):
        run(timeout=0.1)


def test_a_device_is_not_waited_for_beyond_the_time_there_is(run, traces, monkeypatch):
    monkeypatch.setenv("TUNING_DEVICES", "a")
    held = Leases().acquire_all(["a"], "another")
    assert held is not None
    # Once devices are asked for, the time is up, however long the start took.
    late = SimpleNamespace(monotonic=lambda: time.monotonic() + 1000, sleep=time.sleep)
    with monkeypatch.context() as patch:
        patch.setattr(tuning.executors.turns, "time", late)
        with pytest.raises(BusyError, match=r"no time left to wait for one: a is held by another"):
            run(timeout=900.0)
    release(held)
    assert (
        read_json(next((traces.parent / "home").glob("ledger/*/*/status.json")))["status"]
        == "failed"
    )
    assert run(trials=1).status == "completed"


def test_a_full_disk_ends_the_run_with_75_and_the_next_run_goes_on(run, traces, monkeypatch):
    home = traces.parent / "home"
    with monkeypatch.context() as patch:
        whole = SearchFiles.write_spec

        def fails(self, proposal):
            if proposal.number == 1:
                raise OSError(28, os.strerror(28), str(home))
            return whole(self, proposal)

        patch.setattr(SearchFiles, "write_spec", fails)
        with pytest.raises(
            StorageError, match=r"No space left on device.*Free some space, then run again"
        ) as caught:
            run(trials=2)
    assert caught.value.exit_code == 75
    assert read_json(next(home.glob("ledger/*/*/status.json")))["status"] == "failed"
    assert run(trials=2).counts["completed"] == 2


def test_a_replay_that_is_refused_leaves_the_status_of_the_run_before(run, traces, monkeypatch):
    run(trials=1)
    path = next((traces.parent / "home").glob("ledger/*/*/status.json"))
    before = path.read_bytes()

    def refuse(loop):
        raise ChangedError("the engine proposes something else")

    monkeypatch.setattr("tuning.search.run.SearchLoop.replay", refuse)
    with pytest.raises(ChangedError, match="something else"):
        run(trials=2)
    assert path.read_bytes() == before


@pytest.mark.slow
def test_a_study_that_changed_is_refused_before_anything_is_trained(run, traces):
    run()
    built = builds(traces)
    with pytest.raises(ChangedError, match="epochs was 2, is 3"):
        run(study=load_study(str(FILE)).with_(epochs=3))
    assert builds(traces) == built


def test_a_builder_that_always_fails_ends_the_search_with_what_it_found(run):
    def broken(n: int = 2, lr: float = 0.01):
        if os.environ["CUDA_VISIBLE_DEVICES"] == "-1":
            return build(n, lr)
        raise RuntimeError("no such layer")

    says = "2 trials failed in a row, the last with: RuntimeError: no such layer"
    with pytest.raises(SearchFailed, match=says) as it:
        run(study=STUDY.with_(builder=broken, max_failures=2))
    assert it.value.summary.counts["failed"] >= 2
    assert it.value.summary.status == "failed"


def test_a_winner_that_memory_made_train_at_half_the_batch_ends_the_run_well(run):
    def greedy(n: int = 2, lr: float = 0.01, batch_size: int = 64):
        import tensorflow as tf

        if batch_size > 32 and os.environ["CUDA_VISIBLE_DEVICES"] != "-1":
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating")
        return build(n, lr)

    for _ in range(2):  # the second time its winner is read
        summary = run(study=STUDY.with_(builder=greedy, trials=2))
        assert summary.counts["completed"] == 2
        assert summary.winner.params["batch_size"] == 32


def test_a_study_made_in_a_notebook_runs_and_is_found_again(run, traces):
    offset = 0.5

    def data():
        from dataclasses import replace

        from tests.search.run_parts import plane

        whole = plane()
        return replace(whole, y=whole.y + offset)

    study = STUDY.with_(name="notebook", data=data, trials=2)
    first = run(study=study)
    built = builds(traces)
    assert run(study=study).search == first.search
    assert builds(traces) == built


def test_sigterm_ends_all_processes_shows_killed_in_mlflow_and_the_same_search_goes_on(
    traces, forkserver
):
    home = traces.parent / "home"
    command = [
        sys.executable,
        "-m",
        "tuning",
        "run",
        str(FILE),
        "--trials",
        "5",
        "--json",
        "--quiet",
    ]
    driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
    wait_for(lambda: len(results(home)) >= 1)
    ours = [*psutil.Process(driver.pid).children(recursive=True), psutil.Process(driver.pid)]
    for process in ours:  # as systemd does: to all of them, the driver last
        # But not to the writer: a second one would need the time of another import of MLflow.
        if "tuning.tracking.writer" not in process.cmdline():
            process.send_signal(signal.SIGTERM)
    out, _ = driver.communicate(timeout=40)
    assert driver.returncode == 143
    assert json.loads(out)["status"] == "terminated"
    wait_for(lambda: not processes_naming(str(traces)), SOON_S)
    assert search_status(home) == "KILLED"
    finished = results(home)

    done = run_study(str(FILE), RunOptions(budget={"trials": 5}), forkserver=forkserver)
    assert done.counts["completed"] == 5
    assert {trial: results(home)[trial] for trial in finished} == finished
    assert search_status(home) == "FINISHED"


def search_status(home: Path) -> str:
    from mlflow import MlflowClient

    known = read_json(next(home.glob("ledger/*/*/mlflow.json")))
    return MlflowClient(f"sqlite:///{home / 'mlflow.db'}").get_run(known["run_id"]).info.status


def test_trials_is_part_of_the_definition_where_it_shapes_what_is_proposed():
    def definition(engine, trials):
        return STUDY.with_(engine=engine, trials=trials).definition()

    assert definition("optuna:random", 4) == definition("optuna:random", 8)
    assert definition("optuna:nsga2", 4) != definition("optuna:nsga2", 8)


@pytest.mark.parametrize("engine", ["optuna:tpe", "keras-tuner:bayesian", "randomizedsearchcv"])
def test_a_search_without_any_end_is_a_fault_of_the_study(engine):
    with pytest.raises(
        StudyError,
        match=f"trials is None and there is no timeout, but {engine} never ends by itself",
    ):
        STUDY.with_(engine=engine, trials=None)
    assert isinstance(STUDY.with_(engine=engine, trials=None, timeout=60.0), Study)


def test_a_study_of_a_file_is_loaded_from_it_and_a_changed_one_travels_whole():
    study = load_study(str(FILE))
    assert source_of(study) == source_of(FILE) == str(FILE)
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).builder.__name__)"
    travelled = subprocess.run(
        [sys.executable, "-c", code],
        input=source_of(study.with_(epochs=3)),
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    assert travelled.stdout == b"build\n", travelled.stderr.decode()


def test_nothing_is_made_for_a_study_that_is_not_there(traces):
    with pytest.raises(StudyError, match="no study 'nowhere'"):
        run_study("nowhere")
    assert not (traces.parent / "home").exists()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_script_without_a_main_guard_may_hold_the_study(traces, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import tensorflow\nimport tuning.search.run\n"
        "from tests.search.run_parts import STUDY, NoWriter, plane, build as whole\n"
        "tuning.search.run.Writer = NoWriter\n"
        "def build(n: int = 2, lr: float = 0.01):\n    return whole(n, lr)\n"
        "print(tuning.search.run.run_study(STUDY.with_(builder=build)).status)\n"
    )
    done = subprocess.run(
        [sys.executable, str(script)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stdout == "completed\n", done.stderr


def _wait_for_a_result(driver, home):
    known = len(results(home))
    wait_for(lambda: len(results(home)) > known or driver.poll() is not None, 90)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("engine", [*ENGINES, "keras-tuner:hyperband", "halvinggridsearchcv"])
def test_many_kills_at_random_moments_lose_nothing(run, traces, engine):
    home = traces.parent / "home"
    chance = random.Random(engine)
    finished: dict[str, bytes] = {}
    for _ in range(8):
        driver = start_driver(engine, "trials=12")
        _wait_for_a_result(driver, home)
        time.sleep(chance.uniform(0.0, 1.5))
        driver.kill()
        driver.wait()
        wait_for(lambda: not processes_naming(str(traces)), SOON_S)
        after = results(home)
        assert {trial: after[trial] for trial in finished} == finished
        finished = after
    summary = run(engine, trials=12)
    assert summary.winner is not None
    assert {trial: results(home)[trial] for trial in finished} == finished
