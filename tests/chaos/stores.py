"""MLflow's and PostgreSQL's own servers, killed and begun again while a search writes to them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp
from typing import Protocol

_START_S = 120.0
_OWN_USER = "nobody"  # PostgreSQL refuses to run as root


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


class MLflowServer:
    """MLflow's server on the database of a home."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.environment = {"MLFLOW_TRACKING_URI": f"http://127.0.0.1:{self._port}"}

    def start(self) -> None:
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        words = ["server", "--workers", "1", "--port", str(self._port)]
        words += ["--backend-store-uri", f"sqlite:///{self._home / 'mlflow.db'}"]
        words += ["--artifacts-destination", str(self._home / "artifacts")]
        with open(self._home.parent / "server.log", "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *words],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        _wait_for(self._port)

    def kill(self) -> None:
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    close = kill


class Postgres:
    """A cluster of its own for Optuna's storage."""

    def __init__(self) -> None:
        self._port = _free_port()
        # Not below a folder that is closed for others: as root another user runs it.
        self._folder = Path(mkdtemp(prefix="chaos-postgres-"))
        self._user = {}
        if os.getuid() == 0:
            self._user = {"user": _OWN_USER, "extra_groups": []}
            shutil.chown(self._folder, _OWN_USER)
        self._data = self._folder / "data"
        self._run(["initdb", "-D", str(self._data), "-U", "me", "-A", "trust"])
        self.url = f"postgresql://me@127.0.0.1:{self._port}"
        self.environment = {"TUNING_STORAGE": f"{self.url}/trials"}
        self._is_new = True

    def start(self) -> None:
        options = f"-p {self._port} -k {self._folder} -c listen_addresses=127.0.0.1"
        log = self._folder / "log"
        self._run(["pg_ctl", "-D", str(self._data), "-o", options, "-l", str(log), "-w", "start"])
        if self._is_new:
            import psycopg

            with psycopg.connect(f"{self.url}/postgres", autocommit=True) as connection:
                connection.execute("CREATE DATABASE trials")
            self._is_new = False

    def kill(self) -> None:
        self._run(["pg_ctl", "-D", str(self._data), "-m", "immediate", "stop"])

    def close(self) -> None:
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, words: list[str]) -> None:
        subprocess.run(
            words,
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            **self._user,
        )


def make_store(name: str, home: Path) -> Store | None:
    """Return the server that a plan asks for: "mlflow", "postgres", "": none."""
    if name == "mlflow":
        return MLflowServer(home)
    return Postgres() if name == "postgres" else None


def _free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_S
    while time.monotonic() < until:
        try:
            with closing(socket.create_connection(("127.0.0.1", port), timeout=1.0)):
                return
        except OSError:
            time.sleep(0.2)
    raise TimeoutError(f"no server on port {port} within {_START_S} s")
