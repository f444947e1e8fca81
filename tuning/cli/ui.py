"""`tuning ui`: MLflow's page over the state folder, on this machine only."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

import click

from tuning.cli import options
from tuning.errors import BusyError, MissingError, StorageError, StudyError
from tuning.reports.texts import call_here

LOOPBACK = ("127.0.0.1", "localhost")
# Without the type the page opens on its views of language models.
_START = "/#/experiments?workflowType=machine_learning"
_PORTS = 50  # tried from --port upwards

_STUDIES_QUERY = """
    SELECT experiments.name, experiments.experiment_id
    FROM experiments JOIN experiment_tags USING (experiment_id)
    WHERE experiment_tags.key = ? AND experiments.lifecycle_stage = 'active'
    ORDER BY experiments.name
"""


class Link(NamedTuple):
    """A study and the path of its page."""

    study: str
    path: str


@click.command("ui")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=5000,
    show_default=True,
    help="Where it is in use, the next free one is taken.",
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help="Only this machine's own address is accepted.",
)
@options.home
def ui(port: int, host: str, home: Path) -> int:
    """Show every search and trial in MLflow's page. Ends with Ctrl-C.

    \b
    Example:
      python -m tuning ui --port 5001
    """
    if host not in LOOPBACK:
        raise StudyError(
            f"--host {host}: the page has no password, so it is served on 127.0.0.1 only. "
            f"From another machine use ssh -L {port}:127.0.0.1:{port} THIS-MACHINE "
            f"and open http://127.0.0.1:{port} there"
        )

    uri = store_uri(home)
    with free_port(port) as listener:
        chosen = listener.getsockname()[1]
        if chosen != port:
            click.echo(f"Port {port} is in use.", err=True)
        from tuning.cli.ui_server import serve

        address = f"http://127.0.0.1:{chosen}"
        click.echo(f"MLflow: {address}{_START}  (Ctrl-C ends it)")
        for link in links(uri):
            click.echo(f"  {link.study}: {address}{link.path}")
        serve(listener, uri, home)
    return 0


def store_uri(home: Path) -> str:
    """Return the store to show.

    Raises:
        MissingError: There is none yet, or it is a server that shows itself.
    """
    from tuning.tracking.mlflow_store import sqlite_path, tracking_uri

    uri = tracking_uri(home)
    if uri.startswith(("http://", "https://")):
        raise MissingError("MLFLOW_TRACKING_URI names a server: open its address in a browser")
    path = sqlite_path(uri)
    if path is not None and not path.exists():
        search = call_here(with_make="make tune STUDY=housing", plain="python -m tuning run STUDY")
        raise MissingError(
            f"Nothing to show yet: {path} is not there. Run a search first: {search}"
        )
    return uri


def links(uri: str) -> list[Link]:
    """Return a link for each study; read without MLflow, whose import takes seconds.

    Raises:
        StorageError: The database is damaged.
    """
    import sqlite3
    from contextlib import closing

    from tuning.tracking.mlflow_store import sqlite_path
    from tuning.tracking.mlflow_view import VIEW, VIEW_TAG

    path = sqlite_path(uri)
    if path is None:
        return []
    try:
        with closing(sqlite3.connect(path, timeout=5)) as database:
            rows = database.execute(_STUDIES_QUERY, (VIEW_TAG,)).fetchall()
    except sqlite3.DatabaseError as error:
        raise StorageError(
            f"{path}: {error}. `tuning sync` puts it aside and writes it anew from the ledger"
        ) from error

    return [
        Link(study, f"/#/experiments/{number}/runs?viewStateShareKey={VIEW}")
        for study, number in rows
    ]


def free_port(port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1 at the first free port from `port` on.

    Raises:
        BusyError: None of the next 50 is free.
    """
    for candidate in range(port, min(port + _PORTS, 65536)):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if os.name == "posix":
            # There, the option allows the port after a restart, not beside another listener.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)

        try:
            listener.bind(("127.0.0.1", candidate))
            # A browser that comes while MLflow is imported waits.
            listener.listen(128)
        except OSError:
            listener.close()
            continue
        return listener
    raise BusyError(f"no free port from {port} to {port + _PORTS - 1}; give another --port")
