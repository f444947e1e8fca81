"""`TUNING_HOME`: the one folder that holds all state."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from tuning.errors import StorageError

_WRITABLE_FOR_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def tuning_home(path: str | None = None) -> Path:
    """Return the state folder, made with mode 0700 where it is missing.

    Args:
        path: Wins over the variable TUNING_HOME, which wins over `./mlruns`.

    Raises:
        StorageError: The folder cannot be made, others may write to it (the text says which command
            fixes that), or no database can lie at this path.
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

    if home.stat().st_mode & _WRITABLE_FOR_OTHERS:
        raise StorageError(
            f"{home} is writable for others, who could change results: chmod 700 {home}"
        )
    return home
