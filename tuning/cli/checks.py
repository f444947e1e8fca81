"""The single checks of `tuning doctor`; each looks, changes nothing, and says what to do."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from tuning.errors import TuningError
from tuning.storage.home import home_faults

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
EXTRAS = {"torch": "gp", "psycopg": "postgres"}
MEMORY_GB = 2.0  # one worker holds 0.3 GB, the forkserver 0.6 GB
DISK_GB = 2.0  # models and artifacts are small

_GB = 2**30
_REINSTALL = "make clean, then make doctor"
_ASK_TENSORFLOW = (
    "import tensorflow as tf; "
    "print('TF', tf.__version__, len(tf.config.list_physical_devices('GPU')))"
)


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
        *stores(home),
        *faults(home),
        *gpus(),
        *leases(),
    ]
    if deep:
        checks.append(tensorflow())
    return checks


def state_folder() -> Path:
    """Return `TUNING_HOME`, by default `./mlruns`."""
    return Path(os.environ.get("TUNING_HOME") or "mlruns").absolute()


def python_version() -> Check:
    """Python 3.11 to 3.13."""
    version = f"{sys.version.split()[0]} in {sys.prefix}"
    if (3, 11) <= sys.version_info[:2] <= (3, 13):
        return Check("Python", "ok", version)
    advice = f"use Python 3.11 to 3.13: {_REINSTALL} PYTHON3=python3.13"
    return Check("Python", "FAIL", version, advice)


def libraries() -> Iterator[Check]:
    """Versions of the libraries that are needed, from their metadata; nothing is imported."""
    for name in NEEDED:
        version = _version(name)
        if version is None:
            yield Check(name, "FAIL", "missing", _REINSTALL)
        else:
            yield Check(name, "ok", version)

    versions = _versions(TENSORFLOW)
    installed = ", ".join(f"{name} {version}" for name, version in versions.items())
    if not versions:
        yield Check("TensorFlow", "FAIL", "missing", _REINSTALL)
    elif len(versions) == 1:
        yield Check("TensorFlow", "ok", installed)
    else:
        yield Check("TensorFlow", "FAIL", installed, f"both own the same files; {_REINSTALL}")


def extras() -> Check:
    """Optional libraries; none is needed."""
    versions = _versions(EXTRAS)
    installed = [f"{EXTRAS[name]} ({name} {version})" for name, version in versions.items()]
    summary = ", ".join(installed) or "none"

    missing = [extra for name, extra in EXTRAS.items() if name not in versions]
    if missing:
        summary += f"; to add: {sys.executable} -m pip install -e '.[{','.join(missing)}]'"
    return Check("extras", "ok", summary)


def cores() -> Check:
    """CPU cores this process may use: one slot each where there is no GPU."""
    if hasattr(os, "sched_getaffinity"):
        n_usable = len(os.sched_getaffinity(0))
    else:
        n_usable = os.cpu_count() or 1
    return Check("cores", "ok", f"{n_usable} of {os.cpu_count()}")


def memory() -> Check:
    """Memory that is free now."""
    import psutil

    current = psutil.virtual_memory()
    free_gb = current.available / _GB
    summary = f"{free_gb:.1f} GB free of {current.total / _GB:.1f} GB"
    if free_gb >= MEMORY_GB:
        return Check("memory", "ok", summary)
    advice = f"below {MEMORY_GB:.0f} GB workers may be killed; use fewer: --devices cpu:1"
    return Check("memory", "warn", summary, advice)


def disk(home: Path) -> Check:
    """Room where the state is, or will be."""
    folder = _nearest_folder(home)
    free_gb = shutil.disk_usage(folder).free / _GB
    summary = f"{free_gb:.1f} GB free at {folder}"
    if free_gb >= DISK_GB:
        return Check("disk", "ok", summary)
    advice = "free some space, or set TUNING_HOME to a folder on a larger disk"
    return Check("disk", "warn", summary, advice)


def state(home: Path) -> Iterator[Check]:
    """Permissions of the state folder, and whether MLflow's database opens."""
    if not home.exists():
        yield _future_folder(home)
        return

    yield _permissions(home)
    database = home / "mlflow.db"
    if database.exists():
        yield _database(database)
    yield from _unwritten(home)


def stores(home: Path) -> Iterator[Check]:
    """Whether servers that hold MLflow's runs or Optuna's storage answer; each within seconds."""
    from tuning.tracking.mlflow_store import tracking_uri
    from tuning.tracking.optuna_storage import storage_url
    from tuning.tracking.servers.answers import answers

    places = {"MLFLOW_TRACKING_URI": tracking_uri(home), "TUNING_STORAGE": storage_url(home)}
    for answer in answers(places):
        if answer.fault:
            found = f"{answer.variable}: {answer.server} does not answer: {answer.fault}"
            advice = (
                "searches run without it; once it is back, `tuning sync` writes what is missing"
            )
            yield Check("store", "warn", found, advice)
        else:
            yield Check("store", "ok", f"{answer.variable}: {answer.server}")


def faults(home: Path) -> Iterator[Check]:
    """What is wrong with the files in the state folder, and with the leases of devices."""
    from tuning.cli.state.faults import faults_of

    for fault in faults_of(home, lambda: ""):  # nothing is mended here
        yield Check(fault.name, "warn", fault.found, fault.advice)


def _future_folder(home: Path) -> Check:
    parent = _nearest_folder(home)
    if os.access(parent, os.W_OK):
        return Check("state", "ok", f"{home} is made by the first run")
    advice = f"make {parent} writable, or set TUNING_HOME"
    return Check("state", "FAIL", f"{home} cannot be made", advice)


def _nearest_folder(path: Path) -> Path:
    """Return the path, or the nearest of its parents that exists."""
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _permissions(home: Path) -> Check:
    mode = stat.S_IMODE(home.stat().st_mode)
    summary = f"{home}, mode {mode:o}"
    if not home.is_dir() or not os.access(home, os.R_OK | os.W_OK | os.X_OK):
        advice = "it must be a folder that you can write; change that, or set TUNING_HOME"
        return Check("state", "FAIL", summary, advice)

    faults = home_faults(home)
    if faults:
        return Check("state", "FAIL", summary, f"a search will refuse it: {'; '.join(faults)}")
    return Check("state", "ok", summary)


def _database(path: Path) -> Check:
    import sqlite3

    try:
        connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)
        try:
            (n_runs,) = connection.execute("SELECT COUNT(*) FROM runs").fetchone()
        finally:
            connection.close()
    except sqlite3.Error as error:
        advice = "move it away and run a study: what the ledger holds is logged again"
        return Check("MLflow store", "FAIL", f"{path}: {error}", advice)
    return Check("MLflow store", "ok", f"{n_runs} runs in {path}")


def _unwritten(home: Path) -> Iterator[Check]:
    """Searches that MLflow or Optuna's storage has not wholly, and whether a writer is at them."""
    from tuning.tracking.writer.note import unwritten

    for search, note, is_written in unwritten(home):
        if is_written:
            summary = f"{search}: a writer goes on in the background (pid {note.pid}); missing yet"
            yield Check("projections", "ok", f"{summary}: {note.words}")
        else:
            advice = f"{sys.executable} -m tuning sync {search}"
            yield Check("projections", "warn", f"{search}: not written: {note.words}", advice)


def gpus() -> Iterator[Check]:
    """GPUs that the driver knows, and whether the TensorFlow that is installed can use them."""
    from tuning.executors.devices.gpus import discover

    try:
        devices = discover()
    except TuningError as error:
        advice = "repair the driver (nvidia-smi must work), or use --devices cpu"
        yield Check("GPUs", "FAIL", str(error), advice)
        return

    summary = ", ".join(f"{gpu.index}: {gpu.name} {gpu.memory_mb} MiB" for gpu in devices)
    are_real = bool(devices) and "stand-in" not in summary
    if are_real and _version("tensorflow-cpu") is not None:
        advice = f"this TensorFlow is for CPU: {_REINSTALL} LOCK=cuda"
        yield Check("GPUs", "warn", summary, advice)
    else:
        yield Check("GPUs", "ok", summary or "none: trials run on CPU")


def leases() -> Iterator[Check]:
    """Who holds which devices, and whether all users of the box see it; makes no folder."""
    from tuning.executors.devices.leases import GPU_FOLDER, default_folder
    from tuning.executors.devices.shared_folder import fault_of_shared

    named = os.environ.get("TUNING_LEASES")
    folder = Path(named or default_folder())
    try:
        held = _held() if folder.is_dir() and (named or os.path.lexists(GPU_FOLDER)) else ""
    except TuningError as error:
        yield Check("leases", "FAIL", str(error), "a search will refuse it as well")
        return
    yield Check("devices held", "ok", held or "none")

    if named:
        found = f"TUNING_LEASES={named}: seen by searches that name it too, and by no other user's"
        yield Check("leases", "ok", found)
        return
    fault = fault_of_shared(GPU_FOLDER)
    if not fault:
        yield Check("leases", "ok", f"GPUs in {GPU_FOLDER}, for all users; cores in {folder}")
        return
    advice = f"as root: install -d -m 1777 {GPU_FOLDER}"
    if os.path.lexists(GPU_FOLDER) and not GPU_FOLDER.is_dir():
        advice += f", once {GPU_FOLDER} is removed"
    yield Check("leases", "warn", f"other users do not see which GPUs are leased: {fault}", advice)


def _held() -> str:
    from contextlib import closing

    from tuning.cli.running.devices import held_in_short, read_rows
    from tuning.executors.devices.leases import Leases

    with closing(Leases()) as found:
        return held_in_short(read_rows(found))


def tensorflow(run: Callable[..., subprocess.CompletedProcess[str]] = subprocess.run) -> Check:
    """Start TensorFlow in another process; it must see as many GPUs as the driver."""
    from tuning.executors.devices.gpus import discover
    from tuning.storage.interpreter import PYTHON

    command = [*PYTHON, "-c", _ASK_TENSORFLOW]
    done = run(command, capture_output=True, text=True, check=False, timeout=300)
    answers = [line.split() for line in done.stdout.splitlines() if line.startswith("TF ")]
    if done.returncode or not answers:
        errors = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return Check("TensorFlow run", "FAIL", errors[-1], f"{_REINSTALL} ARGS=--deep")

    _, version, n_gpus = answers[0]
    n_expected = sum(gpu.name != "stand-in" for gpu in discover())
    summary = f"{version} starts and sees {n_gpus} GPUs"
    if int(n_gpus) < n_expected:
        advice = f"install the CUDA lock: {_REINSTALL} LOCK=cuda; else update the driver"
        return Check("TensorFlow run", "FAIL", f"{summary} of {n_expected}", advice)
    return Check("TensorFlow run", "ok", summary)


def _versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those that are installed."""
    versions = {}
    for name in names:
        version = _version(name)
        if version is not None:
            versions[name] = version
    return versions


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
