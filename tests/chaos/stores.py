"""MLflow's and PostgreSQL's own servers, killed and begun again while a search writes to them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from tests.tracking.servers.mlflow_server import MLflowServer
from tests.tracking.servers.postgres import Postgres


class Store(Protocol):
    """A server that a search writes to.

    Attributes:
        environment: What a command is told of it.
    """

    environment: dict[str, str]

    def start(self) -> None:
        """Start it on the data that it has; wait until it answers."""

    def kill(self) -> None:
        """End it as a power cut does."""

    def close(self) -> None:
        """End it for good."""


class MLflowStore(MLflowServer):
    """MLflow's server on the database of a home."""

    def __init__(self, home: Path) -> None:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        super().__init__(f"sqlite:///{home / 'mlflow.db'}", home.parent)
        self.environment = {"MLFLOW_TRACKING_URI": self.url}


class PostgresStore(Postgres):
    """A cluster of its own for Optuna's storage."""

    def __init__(self) -> None:
        super().__init__()
        self.environment = {"TUNING_STORAGE": f"{self.url}/trials"}

    def start(self) -> None:
        super().start()
        self.database("trials")


def make_store(name: str, home: Path) -> Store | None:
    """Return the server that a plan asks for: "mlflow", "postgres", "": none."""
    if name == "mlflow":
        return MLflowStore(home)
    return PostgresStore() if name == "postgres" else None
