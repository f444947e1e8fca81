"""`python first_start.py N`: N processes open both stores at the same moment, on empty databases.

Forked from one that has imported the libraries, so that they begin together. Each prints the
errors that it met, or "ok" for each store.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from tuning.tracking.mlflow_runs import open_client
from tuning.tracking.mlflow_store import import_mlflow, tracking_uri
from tuning.tracking.optuna_storage import OptunaProjection, import_optuna, storage_url


def tried(opened: Callable[[], object]) -> str:
    try:
        opened()
    except Exception as error:  # what is looked for
        return f"{type(error).__name__}: {error}".split("\n")[0]
    return "ok"


def main(n_processes: int) -> None:
    import_mlflow()
    import_optuna()
    home = Path.cwd()
    waiting, start = os.pipe()
    for i in range(n_processes):
        if os.fork() == 0:
            os.close(start)
            os.read(waiting, 1)  # until its other end is closed
            client = tried(lambda: open_client(tracking_uri(home)))
            storage = tried(lambda: OptunaProjection(storage_url(home)))
            (home / f"opened-{i}").write_text(f"{client}\n{storage}\n")
            os._exit(0)
    os.close(start)
    for _ in range(n_processes):
        os.wait()


if __name__ == "__main__":
    main(int(sys.argv[1]))
