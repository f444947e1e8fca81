"""A search of quick trials by its command: the memory it takes, and what comes after it.

`python -m benchmarks.long_search --trials 10000` runs `tuning run branin` in a home of its own,
looks at the memory of driver, engine and writer while it runs, waits until MLflow and Optuna's
storage have every trial, and gives the same command again. Prints one line every 10 s, then the
figures.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psutil

from tuning.storage.processes import WRITER_NAME

LOOK_S = 1.0
SAY_EVERY = 10
LONGEST_WAIT_S = 3600.0

MLFLOW_TRIALS = (
    "SELECT count(*) FROM runs r JOIN tags k ON k.run_uuid = r.run_uuid "
    "WHERE k.key = 'kind' AND k.value = 'trial' AND r.status = 'FINISHED'"
)
OPTUNA_TRIALS = "SELECT count(*) FROM trials WHERE state = 'COMPLETE'"


class LongSearch:
    """The command, in a home of its own.

    Args:
        home: An empty folder.
        trials: Of the search.
        engine: Of the search.
        slots: As `--devices` takes them.
    """

    def __init__(self, home: Path, trials: int, engine: str, slots: str) -> None:
        self._home = home
        self._trials = trials
        self._words = [
            sys.executable, "-m", "tuning", "run", "branin", "--engine", engine,
            "--trials", str(trials), "--devices", slots, "--json", "--quiet",
        ]  # fmt: skip

    def start(self) -> subprocess.Popen[bytes]:
        """Give the command."""
        env = {**os.environ, "TUNING_HOME": str(self._home / "home")}
        with open(self._home / "output", "ab") as output:
            return subprocess.Popen(self._words, env=env, stdout=output, stderr=output)

    @property
    def output(self) -> str:
        """What it has said."""
        return (self._home / "output").read_text()

    def n_done(self) -> int:
        """Return how many trials have their result."""
        return sum(1 for _ in (self._home / "home").glob("ledger/*/*/trials/*/result.json"))

    def n_written(self) -> tuple[int, int]:
        """Return how many trials MLflow and Optuna's storage have."""
        return (
            self._count("mlflow.db", MLFLOW_TRIALS),
            self._count("optuna.db", OPTUNA_TRIALS),
        )

    def _count(self, name: str, query: str) -> int:
        path = self._home / "home" / name
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
                return int(db.execute(query).fetchone()[0])
        except sqlite3.OperationalError:  # not made yet
            return 0


def memory_mb(driver: psutil.Process) -> dict[str, float]:
    """Return the resident memory of the driver and of its writer, MB."""
    mb = {}
    for name, process in _parts(driver):
        try:
            mb[name] = process.memory_info().rss / 2**20
        except psutil.Error:
            continue
    return mb


def _parts(driver: psutil.Process) -> Iterator[tuple[str, psutil.Process]]:
    yield "driver", driver
    try:
        children = driver.children(recursive=True)
    except psutil.Error:
        return
    for child in children:
        try:
            if child.name() == WRITER_NAME:
                yield "writer", child
        except psutil.Error:
            continue


def watch(search: LongSearch) -> None:
    """Run the command to its end; print the memory it took at each of its tenths."""
    process = search.start()
    driver = psutil.Process(process.pid)
    began = time.monotonic()
    looks = 0
    while process.poll() is None:
        time.sleep(LOOK_S)
        looks += 1
        if looks % SAY_EVERY == 0:
            parts = "  ".join(f"{name} {mb:.0f} MB" for name, mb in memory_mb(driver).items())
            passed_s = time.monotonic() - began
            print(f"{passed_s:6.0f} s  {search.n_done():6d} trials  {parts}", flush=True)
    print(f"ended with {process.returncode} after {time.monotonic() - began:.1f} s")


def wait_for_stores(search: LongSearch, trials: int) -> None:
    """Wait until both stores have every trial; print how long that took after the end."""
    ended = time.monotonic()
    at_the_end = search.n_written()
    while search.n_written() != (trials, trials) and time.monotonic() < ended + LONGEST_WAIT_S:
        time.sleep(LOOK_S)
    print(f"at the end MLflow and Optuna's storage had {at_the_end}")
    print(f"all of {search.n_written()} {time.monotonic() - ended:.1f} s after it")


def run_again(search: LongSearch) -> None:
    """Give the same command again, three times; print what each took."""
    for _ in range(3):
        before = os.times()
        began = time.monotonic()
        code = search.start().wait()
        seconds = time.monotonic() - began
        after = os.times()
        cpu_s = after.children_user - before.children_user
        cpu_s += after.children_system - before.children_system
        print(f"the same command again: {code}, {seconds:.1f} s, {cpu_s:.1f} s of a core")


def main(argv: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--engine", default="optuna:random")
    parser.add_argument("--devices", default="cpu:2")
    given = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        search = LongSearch(Path(folder), given.trials, given.engine, given.devices)
        watch(search)
        wait_for_stores(search, given.trials)
        run_again(search)


if __name__ == "__main__":
    main()
