"""MLflow's own server on any database, that can be killed, stopped and begun again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import requests

from tests.tracking.servers.postgres import free_port

_START_S = 120.0
# Without the half a dozen processes that wait for jobs, of 250 MB each.
_LEAN = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
}


class MLflowServer:
    """A server on 127.0.0.1.

    Attributes:
        url: Where it answers.
        artifacts: The folder in which they come to lie.

    Args:
        store: URL of its database.
        folder: Of its log, and of the artifacts.
        proxied: Whether artifacts go through the server (`mlflow-artifacts:`); else whoever writes
            them puts them into the folder that the server names.
    """

    def __init__(self, store: str, folder: Path, *, proxied: bool = True) -> None:
        self._port = free_port()
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}"
        self.artifacts = folder / "artifacts"
        where = ["--artifacts-destination", str(self.artifacts)]
        if not proxied:
            where = ["--no-serve-artifacts", "--default-artifact-root", str(self.artifacts)]
        self._words = ["server", "--workers", "1", "--port", str(self._port)]
        self._words += ["--backend-store-uri", store, *where]

    def start(self) -> None:
        """Start it; wait until it answers."""
        self._log.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with open(self._log, "ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *self._words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **_LEAN},
                start_new_session=True,
            )
        until = time.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise TimeoutError(self._log.read_text()[-2000:])
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=1).ok
        except requests.RequestException:
            return False

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """Make it hang: it takes connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again, first what it was asked meanwhile."""
        self._signal(signal.SIGCONT)

    close = kill

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("it does not run")
        os.killpg(self._process.pid, number)
