"""What is wrong with the SQLite files of MLflow and Optuna's storage in a state folder."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from tuning.cli.state.fault import FIX, Fault, Mend
from tuning.storage import sqlite_file

# Without any of these the library cannot use its database.
_TABLES = {
    "mlflow.db": ("alembic_version", "experiments", "metrics", "params", "runs", "tags"),
    "optuna.db": ("alembic_version", "studies", "trials", "trial_values", "version_info"),
}


def faults_of_stores(home: Path, sync: Mend) -> Iterator[Fault]:
    """Yield the faults of databases that are there; they can be written anew from the ledger.

    Args:
        home: The state folder.
        sync: Does that.
    """
    for name, tables in _TABLES.items():
        path = home / name
        if not path.exists():
            continue
        fault = sqlite_file.damage(path) or _missing_tables(path, tables)
        if fault:
            yield Fault(
                name=name,
                found=f"{path}: {fault}",
                advice=f"{FIX} puts it aside as {name}.corrupt and writes it anew from the ledger",
                mend=lambda path=path: _write_anew(path, sync),  # type: ignore[misc]
            )


def _missing_tables(path: Path, tables: tuple[str, ...]) -> str:
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            there = {name for (name,) in rows}
    except sqlite3.OperationalError:  # somebody is writing: they would know
        return ""
    missing = [name for name in tables if name not in there]
    return f"it lacks the tables {', '.join(missing)}" if missing else ""


def _write_anew(path: Path, sync: Mend) -> str:
    aside = sqlite_file.set_aside(path)
    return f"{path} was put aside as {aside.name}; {sync()}"
