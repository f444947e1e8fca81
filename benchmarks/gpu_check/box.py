"""The machine, as the checks use it: its GPUs, programs that see one of them, whole searches."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.gpu_check.row import Figures
from benchmarks.perf.commands import ROOT, child_environment, results_of
from tuning.errors import TuningError
from tuning.executors.devices.gpus import Device
from tuning.executors.devices.slots import parse_devices
from tuning.schema import Json

STUDIES = Path(__file__).with_name("studies")
LIMIT_S = 900.0
"""Longest time of one program; a driver that hangs must not keep the others from being checked."""


@dataclass(frozen=True)
class Search:
    """A whole `tuning run`.

    Attributes:
        trials_s: From the first trial's begin to the last one's end.
        slots: The slot of each completed trial.
        said: What the command printed.
        own_metrics: Names of the system metrics that its runs have in MLflow.
    """

    trials_s: float
    slots: tuple[str, ...]
    said: str
    own_metrics: tuple[str, ...]

    @property
    def on_gpus(self) -> int:
        """How many trials ran on a GPU."""
        return sum(not slot.startswith("cpu:") for slot in self.slots)


@dataclass(frozen=True)
class Box:
    """A machine with at least one GPU."""

    gpus: Sequence[Device]

    def in_child(self, name: str) -> Figures:
        """Run a function of `benchmarks.gpu_check.in_child` as a worker would: it sees one GPU.

        Raises:
            TuningError: It failed; shows the end of what it wrote.
        """
        slot, *_ = parse_devices("gpu")
        command = [sys.executable, "-m", "benchmarks.gpu_check.in_child", name]
        output = said(command, slot.environment)
        figures: Figures = json.loads(output.splitlines()[-1])
        return figures

    def search(
        self, study: str, *arguments: object, extra: Mapping[str, str] | None = None
    ) -> Search:
        """Run a study of `studies/` here to its end, in a state folder of its own.

        Args:
            study: The file's name.
            *arguments: Of `tuning run`.
            extra: More of the environment.

        Raises:
            TuningError: It failed, or no trial was completed.
        """
        with TemporaryDirectory(prefix="tuning-gpu-") as folder:
            home = Path(folder) / "home"
            file = STUDIES / f"{study}.py"
            command = [sys.executable, "-m", "tuning", "run", str(file), *map(str, arguments)]
            output = said(command, {"TUNING_HOME": str(home), **(extra or {})})
            results = [each for each in results_of(home) if each["status"] == "completed"]
            if not results:
                raise TuningError(f"no trial of {study} was completed: {output[-1000:]}")
            return Search(
                trials_s=_span_s(results),
                slots=tuple(str(each["slot"]) for each in results),
                said=output,
                own_metrics=tuple(_system_metrics(home / "mlflow.db")),
            )


def said(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a command of this repository; return what it wrote to standard output.

    Raises:
        TuningError: It failed or took too long; shows the end of what it wrote.
    """
    short = " ".join(Path(word).name for word in command[:6])
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**child_environment(), **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise TuningError(f"{short} … took more than {LIMIT_S:g} s") from error
    if done.returncode != 0:
        end = (done.stderr.strip() or done.stdout.strip())[-1500:]
        raise TuningError(f"{short} … ended with exit code {done.returncode}: {end}")
    return done.stdout


def said_by(*words: str) -> str | None:
    """Return what `tuning WORDS` prints; None where there is no such verb.

    Raises:
        TuningError: It failed otherwise.
    """
    try:
        return said([sys.executable, "-m", "tuning", *words], {})
    except TuningError as error:
        if f"no command '{words[0]}'" in str(error):
            return None
        raise


def gpus_by_nvidia_smi() -> list[str]:
    """Return the UUIDs in the order of `nvidia-smi`; none where it is not installed."""
    if shutil.which("nvidia-smi") is None:
        return []
    return said(["nvidia-smi", "--query-gpu=uuid", "--format=csv,noheader"], {}).split()


@contextmanager
def mps_daemon() -> Iterator[Mapping[str, str]]:
    """Run an MPS daemon of our own; give the environment of those that are to use it.

    Raises:
        TuningError: It does not start, e.g. where another user's has the GPU.
    """
    with TemporaryDirectory(prefix="tuning-mps-") as folder:
        environment = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        said(["nvidia-cuda-mps-control", "-d"], environment)
        try:
            yield environment
        finally:
            subprocess.run(
                ["nvidia-cuda-mps-control"],
                env={**os.environ, **environment},
                input="quit\n",
                text=True,
                capture_output=True,
                timeout=60,
                check=False,
            )


def _span_s(results: Sequence[Json]) -> float:
    begins = [float(each["started_at"]) for each in results]
    ends = [float(each["ended_at"]) for each in results]
    return max(ends) - min(begins)


def _system_metrics(database: Path) -> list[str]:
    if not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT DISTINCT key FROM metrics WHERE key LIKE 'system/%'")
        return sorted(name for (name,) in rows)
