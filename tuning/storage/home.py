"""`TUNING_HOME`: the one folder that holds all state."""

from __future__ import annotations

import os
from pathlib import Path

from tuning.errors import StorageError
from tuning.storage.ownership import ownership_fault

_READ_FROM = ("ledger", "data", "artifacts", "reports", "bench", "mlflow.db", "optuna.db")


def tuning_home(path: str | None = None) -> Path:
    """Return the state folder, made with mode 0700 where it is missing.

    Args:
        path: Wins over the variable TUNING_HOME, which wins over `./mlruns`.

    Raises:
        StorageError: The folder cannot be made, it is another user's, others may write to it or to
            what lies in it (the text says which command fixes that), or no database can lie at this
            path.
    """
    home = Path(path or os.environ.get("TUNING_HOME") or "mlruns").absolute()

    # Both have the path of their database within a URL.
    refused = sorted({"%", "?"} & set(str(home)))
    if refused:
        raise StorageError(
            f"{home}: neither MLflow nor Optuna takes a path with {' or '.join(refused)} in it; "
            "set TUNING_HOME"
        )

    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise StorageError(f"cannot make the state folder {home}: {error.strerror}") from error

    faults = home_faults(home)
    if faults:
        raise StorageError("; ".join(faults))
    return home


def home_faults(home: Path) -> list[str]:
    """Return why a state folder that is there is not its user's alone: what, and what helps.

    Beside the folder those are looked at that what is shown and trusted is read from.
    """
    faults = [ownership_fault(home)]
    for name in _READ_FROM:
        folder = home / name
        if folder.is_symlink() or folder.exists():
            faults.append(ownership_fault(folder) if folder.exists() else f"{folder} leads nowhere")
    return [fault for fault in dict.fromkeys(faults) if fault]
