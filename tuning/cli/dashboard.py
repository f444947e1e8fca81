"""`tuning dashboard`: Optuna's dashboard over the trials of every engine, on this machine only."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Iterable
from pathlib import Path
from socketserver import ThreadingMixIn
from typing import Any
from urllib.parse import urlsplit
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import click

from tuning.cli import options
from tuning.cli.ui import LOOPBACK, free_port
from tuning.errors import MissingError
from tuning.reports.texts import call_here

_READS = ("GET", "HEAD", "OPTIONS")
_REFUSED = "403 Forbidden"


@click.command("dashboard")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=8080,
    show_default=True,
    metavar="PORT",
    help="The port of the page; where it is in use, the next free one.",
)
@options.home
def dashboard(*, port: int, home: Path) -> int:
    """Show every search in Optuna's dashboard, whichever engine ran it. Ends with Ctrl-C.

    Needs the extra `dashboard`. The page shows and changes nothing: what could be renamed, deleted
    or told there is written from the ledger.

    \b
    Example:
      python -m tuning dashboard --port 8081
    """
    application = _application(storage_of(home))
    with free_port(port) as listener:
        chosen = listener.getsockname()[1]
        if chosen != port:
            click.echo(f"Port {port} is in use.", err=True)
        click.echo(f"Optuna's dashboard: http://127.0.0.1:{chosen}/dashboard  (Ctrl-C ends it)")
        _Server(listener, guarded(application, chosen)).serve_forever()
    return 0


def storage_of(home: Path) -> str:
    """Return the storage to show.

    Raises:
        MissingError: There is none yet.
    """
    from tuning.tracking.mlflow_store import sqlite_path
    from tuning.tracking.optuna_storage import ensure_storage, storage_url

    url = storage_url(home)
    path = sqlite_path(url)
    if path is not None and not path.exists():
        search = call_here(with_make="make tune STUDY=housing", plain="python -m tuning run STUDY")
        raise MissingError(
            f"Nothing to show yet: {path} is not there. Run a search first: {search}"
        )
    ensure_storage(url)
    return url


def _application(url: str) -> Any:
    """Return the dashboard (WSGI).

    Raises:
        MissingError: It is not installed.
    """
    try:
        package = importlib.import_module("optuna_dashboard")
    except ImportError as error:
        raise MissingError(
            "Optuna's dashboard is not installed: pip install optuna-dashboard, or this package "
            "with its extra `dashboard`"
        ) from error
    from tuning.tracking.optuna_dashboard.ordered_storage import OrderedStorage

    return package.wsgi(OrderedStorage(url))


def guarded(application: Any, port: int) -> Callable[[Any, Any], Iterable[bytes]]:
    """Return the dashboard for this machine's own browsers, to look at.

    Args:
        application: WSGI.
        port: That it is asked at.
    """
    hosts = {f"{name}:{port}" for name in LOOPBACK}

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        # A foreign page may have its own name lead here.
        if environ.get("HTTP_HOST") not in hosts:
            return _refused(start_response, f"ask for http://127.0.0.1:{port}")
        origin = environ.get("HTTP_ORIGIN")
        if origin and urlsplit(origin).netloc not in hosts:
            return _refused(start_response, "another page asks")
        if environ["REQUEST_METHOD"] not in _READS:
            return _refused(start_response, "this page shows and changes nothing")
        found: Iterable[bytes] = application(environ, start_response)
        return found

    return answer


def _refused(start_response: Any, reason: str) -> list[bytes]:
    start_response(_REFUSED, [("Content-Type", "application/json")])
    return [b'{"reason": "%s"}' % reason.encode()]


class _Quiet(WSGIRequestHandler):
    """Without a line for each request."""

    def log_message(self, *_: object) -> None:
        pass


class _Server(ThreadingMixIn, WSGIServer):
    """Python's own server on a socket that listens already, a thread for each request."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, application: Any) -> None:
        super().__init__(listener.getsockname(), _Quiet, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.server_name, self.server_port = listener.getsockname()
        self.setup_environ()
        self.set_app(application)
