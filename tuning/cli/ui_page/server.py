"""MLflow's server in this process, behind a gate: who may ask, and which doors stay shut."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tuning.cli.ui_page.accounts import Accounts
from tuning.cli.ui_page.asgi import Application, Message, Receive, Scope, Send
from tuning.cli.ui_page.first_visit import FirstVisit
from tuning.cli.ui_page.shared_page import SharedPage
from tuning.cli.ui_page.studies import first_choices
from tuning.tracking import mlflow_internals
from tuning.tracking.mlflow_internals import SHUT_ROUTES, server_environment
from tuning.tracking.mlflow_store import QUIET


class Gate:
    """Lets requests for this host, from this origin, through to open routes; the rest gets 403.

    MLflow's own checks stay behind it. They let pass every origin on localhost, whatever its port,
    and any host for `/health`; and some of its pages may be framed.

    Args:
        app: Behind the gate (ASGI).
        hosts: What `Host` may be, with the port where it is not the scheme's own.
        scheme: Of the page's own origin: `http` or `https`.
    """

    def __init__(self, app: Application, hosts: Sequence[str], scheme: str = "http") -> None:
        self._app = app
        self._hosts = set(hosts)
        self._origins = set(_origins(hosts, scheme))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""

        async def send_unframed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [
                    (name, value)
                    for name, value in message.get("headers", ())
                    if name.lower() != b"x-frame-options"
                ]
                message = {**message, "headers": [*headers, (b"x-frame-options", b"DENY")]}
            await send(message)

        if scope["type"] == "lifespan" or self._passes(scope):
            await self._app(scope, receive, send_unframed)
        elif scope["type"] == "http":
            await _refuse(send_unframed)

    def _passes(self, scope: Scope) -> bool:
        if scope["type"] != "http" or scope["path"].startswith(SHUT_ROUTES):
            return False
        # Sets: a header may be sent twice, and MLflow would look at another one than we do.
        hosts = _values(scope, b"host")
        origins = _values(scope, b"origin")
        return len(hosts) == 1 and hosts <= self._hosts and origins <= self._origins


def _origins(hosts: Sequence[str], scheme: str) -> list[str]:
    return [f"{scheme}://{host}" for host in hosts]


def _values(scope: Scope, name: bytes) -> set[str]:
    """Return all values of a header."""
    return {value.decode("latin-1") for key, value in scope["headers"] if key == name}


async def _refuse(send: Send) -> None:
    headers = [(b"content-type", b"text/plain")]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": b"refused"})


def own_hosts(port: int) -> list[str]:
    """Return what `Host` is when this machine asks itself."""
    return [f"127.0.0.1:{port}", f"localhost:{port}"]


def environment(uri: str, home: Path, hosts: Sequence[str], scheme: str = "http") -> dict[str, str]:
    """Return what MLflow's server reads when it is imported."""
    return {
        **QUIET,
        **server_environment(uri, (home.resolve() / "artifacts").as_uri()),
        "MLFLOW_SERVER_ALLOWED_HOSTS": ",".join(hosts),
        "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS": ",".join(_origins(hosts, scheme)),
        "MLFLOW_SERVER_X_FRAME_OPTIONS": "DENY",
        "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": "false",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_ENABLE_AI_GATEWAY": "false",
        "MLFLOW_ENABLE_REMOTE_ASSISTANT": "false",
    }


def serve(listener: socket.socket, uri: str, home: Path) -> None:
    """Serve until Ctrl-C or SIGTERM, without a login.

    Args:
        listener: Bound to the loopback address.
        uri: MLflow's store.
        home: The state folder.
    """
    hosts = own_hosts(int(listener.getsockname()[1]))
    os.environ.update(environment(uri, home, hosts))  # before MLflow is imported
    os.umask(0o077)  # state is this user's alone
    _run(listener, lambda: Gate(_opened_well(mlflow_internals.server_application(), uri), hosts))


def serve_shared(
    listener: socket.socket, uri: str, home: Path, page: SharedPage, accounts: Accounts
) -> None:
    """Serve behind a login until Ctrl-C or SIGTERM.

    Args:
        listener: Bound to the page's address.
        uri: MLflow's store.
        home: The state folder.
        page: Who may ask, and how; its password becomes the admin's.
        accounts: Of the state folder.
    """
    os.umask(0o077)
    os.environ.update(environment(uri, home, page.authorities, "https"))
    files: dict[str, Any] = {}
    if page.tls is not None:
        files = {"ssl_certfile": page.tls.certificate, "ssl_keyfile": page.tls.key}

    def application() -> Gate:
        from tuning.cli.ui_page.start import application_with_login

        guarded = _opened_well(application_with_login(accounts, page.password), uri)
        return Gate(guarded, page.authorities, "https")

    # What a proxy says of its clients is not asked for: it may hand on what they say themselves.
    _run(listener, application, proxy_headers=False, server_header=False, **files)


def _opened_well(app: Application, uri: str) -> FirstVisit:
    return FirstVisit(app, lambda: first_choices(uri))


def _run(listener: socket.socket, application: Callable[[], Gate], **settings: Any) -> None:
    try:
        import uvicorn

        config = uvicorn.Config(
            application(),
            log_level="warning",
            lifespan="on",
            timeout_graceful_shutdown=2,
            **settings,
        )
        uvicorn.Server(config).run(sockets=[listener])
    except KeyboardInterrupt:
        return  # uvicorn has shut down in order and passes it on
