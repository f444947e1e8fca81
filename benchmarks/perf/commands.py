"""Whole commands as a user types them: run, timed from their start, read out."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO

import tuning
from tuning.errors import TuningError
from tuning.schema import Json
from tuning.storage.durable import read_json
from tuning.trial import Params

ROOT = Path(tuning.__file__).parents[1]
_OURS_ALONE = (
    "MLFLOW_TRACKING_URI",
    "TUNING_STORAGE",
    "TUNING_HOME",
    "TUNING_DEVICES",
    "PYTHONDONTWRITEBYTECODE",
)
_PLAIN = Path(__file__).with_name("plain")
FINALS = ("--top-k", 1, "--seeds", 1)
"""The plain programs train no finalists, so as few as there can be."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What a command did, in seconds since its start.

    Attributes:
        whole_s: Until it had ended, imports included.
        epochs: (seconds, epochs trained until then), rising.
        best: Score of the answer: `best_params_`, or our winner; NaN where none is printed.
        params: Parameters of the answer.
        lowest: Lowest score of our search, which may be that of a lucky seed.
        failed: Errors of our trials.
    """

    whole_s: float
    epochs: Sequence[tuple[float, int]]
    best: float = math.nan
    params: Params = field(default_factory=dict)
    lowest: float = math.nan
    failed: Sequence[str] = ()

    @property
    def total(self) -> int:
        """Epochs trained in all."""
        return self.epochs[-1][1] if self.epochs else 0

    def time_to(self, epochs: int) -> float:
        """Return when so many epochs had been trained."""
        return next(seconds for seconds, count in self.epochs if count >= epochs)


def child_environment() -> dict[str, str]:
    """Return this environment without what would favour a side.

    Bytecode is written, and state goes where each command is told.
    """
    return {name: value for name, value in os.environ.items() if name not in _OURS_ALONE}


@contextmanager
def fresh_home() -> Iterator[Path]:
    """Give an empty state folder that is gone afterwards."""
    with TemporaryDirectory(prefix="tuning-perf-") as folder:
        yield Path(folder) / "home"


def warm_imports() -> None:
    """Import both sides' libraries once: bytecode, disk cache, machine code are as after set-up."""
    modules = (
        "tensorflow",
        "keras",
        "scikeras.wrappers",
        "sklearn.model_selection",
        "keras_tuner",
        "optuna",
        "mlflow",
        "tuning.search.run",
    )
    program = f"import {', '.join(modules)}; from tuning.trainer.native.epoch import load; load()"
    run([sys.executable, "-c", program])


def plain(program: str, *arguments: object) -> Trained:
    """Run a program of the plain libraries."""
    command = [sys.executable, str(_PLAIN / f"{program}.py"), *map(str, arguments)]
    began = time.time()
    output = run(command)
    printed = json.loads(output.splitlines()[-1])
    whole_s = time.time() - began

    return Trained(
        whole_s=whole_s,
        epochs=[(at - began, count) for at, count in printed["epochs"]],
        best=printed.get("best", math.nan),
        params=printed.get("params", {}),
    )


def ours(home: Path, study: str, *arguments: object) -> Trained:
    """Run `python -m tuning run STUDY …` into a fresh home.

    Epochs are counted when the ledger has their trial. The answer is the winner, by the score that
    it had in the search.
    """
    began = time.time()
    run(our_command(study, *arguments), home)
    whole_s = time.time() - began

    results = sorted(results_of(home), key=lambda result: float(result["ended_at"]))
    epochs = []
    count = 0
    for result in results:
        count += result["epochs"]
        epochs.append((result["ended_at"] - began, count))

    winner = read_json(next(home.glob("ledger/*/*/winner.json"))) or {}
    completed = [result for result in results if result["status"] == "completed"]
    scores = {result["number"]: float(result["value"]) for result in completed}
    return Trained(
        whole_s=whole_s,
        epochs=epochs,
        best=scores[winner["number"]],
        params=params_of(home, winner["number"]),
        lowest=min(scores.values()),
        failed=[result["error"] for result in results if result["status"] == "failed"],
    )


def results_of(home: Path) -> list[Json]:
    """Return every `result.json` of the only search in `home`, `--engine` set or not."""
    files = home.glob("ledger/*/*/trials/*/result.json")
    results = [read_json(file) for file in files]
    return [result for result in results if result is not None]


def params_of(home: Path, number: int) -> Params:
    """Return a trial's parameters."""
    spec = read_json(next(home.glob(f"ledger/*/*/trials/{number:05d}/spec.json")))
    return dict((spec or {}).get("params", {}))


def value_at(home: Path, params: Params) -> float:
    """Return the value of the trial of these parameters; NaN where none of them completed."""
    for result in results_of(home):
        if result["value"] is not None and params_of(home, result["number"]) == params:
            return float(result["value"])
    return math.nan


def our_command(study: str, *arguments: object) -> list[str]:
    """Return `python -m tuning run STUDY …`, on all cores and silent."""
    return [
        sys.executable,
        "-m",
        "tuning",
        "run",
        study,
        "--devices",
        "cpu",
        "--quiet",
        *map(str, arguments),
    ]


def run(command: Sequence[str], home: Path | None = None) -> str:
    """Run a command to its end, with its state in `home`; return what it wrote to standard output.

    Raises:
        TuningError: It failed; shows the end of what it wrote.
    """
    return watched(command, home, lambda pid: None, look_s=0.0)


def watched(
    command: Sequence[str], home: Path | None, look: Callable[[int], None], *, look_s: float
) -> str:
    """Run a command as `run` does, and look at it while it runs.

    Args:
        command: The program and its arguments.
        home: The state folder; None: the command has no state.
        look: Called with the process id.
        look_s: Seconds between two looks; 0: never.

    Raises:
        TuningError: It failed; shows the end of what it wrote.
    """
    environment = child_environment()
    if home is not None:
        environment["TUNING_HOME"] = str(home)

    # Into files: a pipe that nobody reads would stop the command once it is full.
    with TemporaryFile("w+") as out, TemporaryFile("w+") as errors:
        child = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=out, stderr=errors, text=True
        )
        with child:
            while look_s and child.poll() is None:
                look(child.pid)
                time.sleep(look_s)
        output = _text(out)
        complaints = _text(errors)

    if child.returncode != 0:
        end = (complaints.strip() or output.strip())[-3000:]
        raise TuningError(
            f"{' '.join(command[:6])} … ended with exit code {child.returncode}:\n{end}"
        )
    return output


def _text(file: IO[str]) -> str:
    file.seek(0)
    return file.read()
