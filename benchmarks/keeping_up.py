"""Whether MLflow keeps up with a search of quick trials, and what writing costs the search.

`python -m benchmarks.keeping_up` runs 500 trials of 0.1 s each on one slot, three times with MLflow
and Optuna's storage being written and three times without, in turn, each as a process of its own
with a state folder of its own. Its trials sleep; with `--busy` they compute, on every core, so that
the writer has none for itself. The seconds of the search run from the first trial's beginning to
the last one's end; the seconds behind from there to the moment at which the last of all trials is
in MLflow's database. Prints a line a run, then the medians.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil

TRIAL_S = 0.1
_LOOK_S = 0.25
_LONGEST_S = 60.0

STUDY = """
import time

from tuning import Float, Minimize, Study
from tuning.trials.functions import no_data


def slow(x=0.5):
    if TURNS:
        for turn in range(TURNS):
            x = x * 1.0
    else:
        time.sleep(TRIAL_S)
    return (x - 0.3) ** 2


STUDY = Study(
    name="quick",
    builder=slow,
    data=no_data,
    objective=Minimize("val_value"),
    space={"x": Float(0.0, 1.0)},
    trainer="function",
    engine="optuna:random",
    epochs=1,
    top_k=1,
    seeds=1,
    seed=1,
)
"""


class NoWriter:
    """Stands in for the writer: nothing is written but the ledger."""

    folder = None

    @classmethod
    def start(cls, home: Path) -> NoWriter:
        """Return one."""
        return cls()

    def __enter__(self) -> NoWriter:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def begin(self, folder: Path) -> None:
        """Do nothing, as the others."""

    def notify(self) -> None:
        """Do nothing."""

    def finish(self, timeout_s: float, **_: object) -> list[str]:
        """Return no warning."""
        return []

    def progress(self) -> Any:
        """Return that nothing is behind."""
        from tuning.tracking.writer.handle import Report

        return Report()


class _Watch:
    """Notes when a number of trials were first in MLflow's database, and what the writer used.

    Attributes:
        all_at: Unix seconds; 0: not yet.
        writer_s: Processor time of the writer, when it was last seen.

    Args:
        database: Looked into four times a second, without a lock.
        trials: The number.
    """

    def __init__(self, database: Path, trials: int) -> None:
        self.all_at = 0.0
        self.writer_s = 0.0
        self._database = database
        self._trials = trials
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._ended.wait(_LOOK_S):
            self._look_at_writer()
            if self._count() >= self._trials:
                self.all_at = time.time()
                return

    def _look_at_writer(self) -> None:
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.Error):
                if child.name() == "tuning-writer":
                    used = child.cpu_times()
                    self.writer_s = used.user + used.system

    def _count(self) -> int:
        if not self._database.exists():
            return 0
        query = (
            "SELECT count(*) FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
            "WHERE tags.key = 'kind' AND tags.value = 'trial' AND runs.status != 'RUNNING'"
        )
        address = f"file:{self._database}?mode=ro"
        try:
            with closing(sqlite3.connect(address, uri=True)) as database:
                return int(database.execute(query).fetchone()[0])
        except sqlite3.Error:  # it is being made
            return 0

    def close(self) -> None:
        """Wait a while for the last of them, where they are not there yet."""
        self._thread.join(_LONGEST_S)
        self._ended.set()


def turns_of_a_trial() -> int:
    """Return how often the loop of a busy trial turns in its time, on this machine now."""
    began = time.perf_counter()
    n_turns, x = 2_000_000, 0.5
    for _ in range(n_turns):
        x = x * 1.0
    return int(n_turns * TRIAL_S / (time.perf_counter() - began))


def run_once(home: Path, trials: int, *, tracked: bool, turns: int) -> dict[str, float]:
    """Search once; return the seconds of the search, and those that MLflow was behind.

    Args:
        home: An empty folder.
        trials: How many.
        tracked: Whether MLflow and Optuna's storage are written.
        turns: Of a busy trial, on every core; 0: they sleep, one after another.
    """
    import tuning.search.run
    from tuning.ledger.search import SearchFiles
    from tuning.search.options import RunOptions

    if not tracked:
        vars(tuning.search.run)["Writer"] = NoWriter
    study = home / "quick.py"
    study.write_text(STUDY.replace("TURNS", str(turns)).replace("TRIAL_S", str(TRIAL_S)))
    watch = _Watch(home / "state" / "mlflow.db", trials) if tracked else None
    devices = "cpu" if turns else "cpu:1"
    options = RunOptions(home=str(home / "state"), devices=devices, budget={"trials": trials})
    tuning.search.run.run_study(study, options)

    (folder,) = (path.parent for path in home.glob("state/ledger/*/*/search.json"))
    files = SearchFiles(folder)
    found = [files.result(number) for number in range(trials)]
    results = [result for result in found if result is not None]
    ended_at = max(result.ended_at for result in results)
    search_s = ended_at - min(result.started_at for result in results)
    if watch is None:
        return {"search_s": search_s}
    watch.close()
    behind_s = watch.all_at - ended_at if watch.all_at else float("inf")
    return {"search_s": search_s, "behind_s": behind_s, "writer_s": watch.writer_s}


def _in_a_process(trials: int, *, tracked: bool, turns: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        words = ["--home", folder, "--trials", str(trials), "--turns", str(turns)]
        words += ["--tracked"] if tracked else []
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.keeping_up", *words],
            check=True,
            capture_output=True,
            text=True,
        )
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--turns", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--home", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--tracked", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args(argv)
    if chosen.home is not None:  # one of its own processes
        figures = run_once(chosen.home, chosen.trials, tracked=chosen.tracked, turns=chosen.turns)
        print(json.dumps(figures))
        return

    turns = turns_of_a_trial() if chosen.busy else 0
    with_it, without = [], []
    for _ in range(chosen.repeats):
        with_it.append(_in_a_process(chosen.trials, tracked=True, turns=turns))
        behind = f"behind {with_it[-1]['behind_s']:.2f} s"
        used = f"writer's processor {with_it[-1]['writer_s']:.2f} s"
        print(f"with    {with_it[-1]['search_s']:.2f} s, {behind}, {used}", flush=True)
        without.append(_in_a_process(chosen.trials, tracked=False, turns=turns))
        print(f"without {without[-1]['search_s']:.2f} s", flush=True)

    slow = statistics.median(run["search_s"] for run in with_it)
    fast = statistics.median(run["search_s"] for run in without)
    behind_s = statistics.median(run["behind_s"] for run in with_it)
    print(f"medians: with {slow:.2f} s, without {fast:.2f} s: {100 * (slow / fast - 1):+.1f} %")
    print(f"all {chosen.trials} trials in MLflow {behind_s:.2f} s after the last one's end")


if __name__ == "__main__":
    main()
