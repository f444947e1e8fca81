"""The single checks of `tuning doctor`; each looks, changes nothing, and says what to do."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from tuning.errors import TuningError

State = Literal["ok", "warn", "FAIL"]

NEEDED = (
    "keras",
    "scikit-learn",
    "scikeras",
    "optuna",
    "keras-tuner",
    "mlflow",
    "numpy",
    "pandas",
    "joblib",
)
TENSORFLOW = ("tensorflow", "tensorflow-cpu")
EXTRAS = {"torch": "gp", "psycopg2-binary": "postgres"}
MEMORY_GB, DISK_GB = (
    2.0,
    2.0,
)  # one worker holds 0.3 GB, the forkserver 0.6 GB; models and artifacts are small
_DEEP = "import tensorflow as tf; print('TF', tf.__version__, len(tf.config.list_physical_devices('GPU')))"


@dataclass(frozen=True)
class Check:
    """One line of the report.

    Attributes:
        name: What was looked at.
        state: "ok"; "warn": works, but less well; "FAIL": something needed is missing.
        found: What is there.
        advice: What to do; empty where all is well.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def examine(deep: bool = False) -> list[Check]:
    """Run all checks; with `deep` TensorFlow is started once, in another process."""
    home = state_folder()
    checks = [
        python_version(),
        *libraries(),
        extras(),
        cores(),
        memory(),
        disk(home),
        *state(home),
        *gpus(),
    ]
    if deep:
        checks.append(tensorflow())
    return checks


def state_folder() -> Path:
    """Return `TUNING_HOME`, by default `./mlruns`."""
    return Path(os.environ.get("TUNING_HOME") or "mlruns").absolute()


def python_version() -> Check:
    """Python 3.11 to 3.13."""
    found = f"{sys.version.split()[0]} in {sys.prefix}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("Python", "ok", found)
    return Check(
        "Python",
        "FAIL",
        found,
        "use Python 3.11 to 3.13: make clean, then make doctor PYTHON3=python3.13",
    )


def libraries() -> Iterator[Check]:
    """Versions of the libraries that are needed, from their metadata; nothing is imported."""
    for name in NEEDED:
        found = _version(name)
        yield (
            Check(name, "ok", found)
            if found
            else Check(name, "FAIL", "missing", "make clean, then make doctor")
        )
    there = {name: version for name in TENSORFLOW if (version := _version(name))}
    found = ", ".join(f"{name} {version}" for name, version in there.items())
    if len(there) == 1:
        yield Check("TensorFlow", "ok", found)
    elif there:
        yield Check(
            "TensorFlow", "FAIL", found, "both own the same files; make clean, then make doctor"
        )
    else:
        yield Check("TensorFlow", "FAIL", "missing", "make clean, then make doctor")


def extras() -> Check:
    """Optional libraries; none is needed."""
    there = [
        f"{extra} ({name} {version})"
        for name, extra in EXTRAS.items()
        if (version := _version(name))
    ]
    others = [extra for name, extra in EXTRAS.items() if not _version(name)]
    hint = f"; to add: {sys.executable} -m pip install -e '.[{','.join(others)}]'" if others else ""
    return Check("extras", "ok", (", ".join(there) or "none") + hint)


def cores() -> Check:
    """CPU cores this process may use: one slot each where there is no GPU."""
    usable = (
        len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    )
    return Check("cores", "ok", f"{usable} of {os.cpu_count()}")


def memory() -> Check:
    """Memory that is free now."""
    import psutil

    there = psutil.virtual_memory()
    found = f"{there.available / 2**30:.1f} GB free of {there.total / 2**30:.1f} GB"
    if there.available / 2**30 >= MEMORY_GB:
        return Check("memory", "ok", found)
    return Check(
        "memory",
        "warn",
        found,
        f"below {MEMORY_GB:.0f} GB workers may be killed; use fewer: --devices cpu:1",
    )


def disk(home: Path) -> Check:
    """Room where the state is, or will be."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    free = shutil.disk_usage(there).free / 2**30
    found = f"{free:.1f} GB free at {there}"
    if free >= DISK_GB:
        return Check("disk", "ok", found)
    return Check("disk", "warn", found, "free some space, or set TUNING_HOME to a larger disk")


def state(home: Path) -> Iterator[Check]:
    """Permissions of the state folder, and whether MLflow's database opens."""
    if not home.exists():
        parent = next(folder for folder in home.parents if folder.exists())
        if os.access(parent, os.W_OK):
            yield Check("state", "ok", f"{home} is made by the first run")
        else:
            yield Check(
                "state",
                "FAIL",
                f"{home} cannot be made",
                f"make {parent} writable, or set TUNING_HOME",
            )
        return
    yield _permissions(home)
    if (home / "mlflow.db").exists():
        yield _database(home / "mlflow.db")


def _permissions(home: Path) -> Check:
    mode = stat.S_IMODE(home.stat().st_mode)
    found = f"{home}, mode {mode:o}"
    if not home.is_dir() or not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        return Check(
            "state", "FAIL", found, "it must be a folder you can write; mend it, or set TUNING_HOME"
        )
    if mode & 0o022:
        return Check(
            "state",
            "FAIL",
            found,
            f"others can change it, a search will refuse it: chmod 700 {home}",
        )
    return Check("state", "ok", found)


def _database(path: Path) -> Check:
    import sqlite3

    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            runs = connection.execute("SELECT COUNT(*) FROM runs").fetchone()[0]
        finally:
            connection.close()
    except sqlite3.Error as error:
        advice = "move it away and run a study: what the ledger holds is logged again"
        return Check("MLflow store", "FAIL", f"{path}: {error}", advice)
    return Check("MLflow store", "ok", f"{runs} runs in {path}")


def gpus() -> Iterator[Check]:
    """GPUs by the driver, and whether the TensorFlow installed can use them."""
    from tuning.executors.devices import discover

    try:
        there = discover()
    except TuningError as error:
        yield Check(
            "GPUs",
            "FAIL",
            str(error),
            "mend the driver (nvidia-smi must work), or use --devices cpu",
        )
        return
    found = ", ".join(f"{gpu.index}: {gpu.name} {gpu.memory_mb} MiB" for gpu in there)
    if there and "stand-in" not in found and _version("tensorflow-cpu"):
        yield Check(
            "GPUs",
            "warn",
            found,
            "this TensorFlow is for CPU: make clean, then make doctor LOCK=cuda",
        )
    else:
        yield Check("GPUs", "ok", found or "none: trials run on CPU")


def tensorflow(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> Check:
    """Start TensorFlow in another process; it must see as many GPUs as the driver."""
    from tuning.executors.devices import discover

    done = run(
        [sys.executable, "-c", _DEEP], capture_output=True, text=True, check=False, timeout=300
    )
    answer = next(
        (line.split() for line in done.stdout.splitlines() if line.startswith("TF ")), None
    )
    if done.returncode or answer is None:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return Check("TensorFlow run", "FAIL", last, "make clean, then make doctor ARGS=--deep")
    expected = sum(gpu.name != "stand-in" for gpu in discover())
    found = f"{answer[1]} starts and sees {answer[2]} GPUs"
    if int(answer[2]) < expected:
        advice = (
            "install the CUDA lock: make clean, then make doctor LOCK=cuda; else update the driver"
        )
        return Check("TensorFlow run", "FAIL", f"{found} of {expected}", advice)
    return Check("TensorFlow run", "ok", found)


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
