"""MLflow's server in this process, behind a gate: who may ask, and which doors stay shut."""

from __future__ import annotations

import os
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

from tuning.tracking.mlflow_internals import (
    SHUT_ROUTES,
    server_application,
    server_environment,
)
from tuning.tracking.mlflow_store import QUIET

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class Gate:
    """Lets requests for this host, from this origin, through to open routes; the rest gets 403.

    MLflow's own checks stay behind it. They let pass every origin on localhost, whatever its port,
    and any host for `/health`.
    """

    def __init__(self, app: Application, port: int) -> None:
        self._app = app
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] == "lifespan" or self._passes(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await _refuse(send)

    def _passes(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["path"].startswith(SHUT_ROUTES):
            return False
        # Sets: a header may be sent twice, and MLflow would look at another one than we do.
        hosts = _values(scope, b"host")
        origins = _values(scope, b"origin")
        return len(hosts) == 1 and hosts <= self._hosts and origins <= self._origins


def _values(scope: Scope, name: bytes) -> set[str]:
    """Return all values of a header."""
    return {value.decode("latin-1") for key, value in scope["headers"] if key == name}


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain"), (b"x-frame-options", b"DENY")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"refused"})


def environment(uri: str, home: Path, port: int) -> dict[str, str]:
    """Return what MLflow's server reads when it is imported."""
    hosts = [f"127.0.0.1:{port}", f"localhost:{port}"]
    return {
        **QUIET,
        **server_environment(uri, (home.resolve() / "artifacts").as_uri()),
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(hosts),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(f"http://{host}" for host in hosts),
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "DENY",
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    }


def serve(listener: socket.socket, uri: str, home: Path) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        listener: Bound to the loopback address.
        uri: MLflow's store.
        home: The state folder.
    """
    port = int(listener.getsockname()[1])
    os.environ.update(environment(uri, home, port))  # before MLflow is imported
    os.umask(0o077)  # state is this user's alone
    try:
        import uvicorn

        gate = Gate(server_application(), port)
        config = uvicorn.Config(
            gate, log_level="warning", lifespan="on", timeout_graceful_shutdown=2
        )
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return  # uvicorn has shut down in order and passes it on
