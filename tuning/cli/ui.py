"""`tuning ui`: MLflow's page over the state folder: on this machine only, or behind a login."""

from __future__ import annotations

import errno
import os
import socket
from dataclasses import replace
from pathlib import Path

import click

from tuning.cli import options
from tuning.cli.ui_page.accounts import ADMIN, Accounts, ask_for_password
from tuning.cli.ui_page.shared_page import Wishes, shared_page
from tuning.cli.ui_page.studies import study_pages
from tuning.errors import BusyError, MissingError, StudyError
from tuning.reports.texts import call_here
from tuning.storage.home import tuning_home
from tuning.tracking.mlflow_internals import WORKFLOW

LOOPBACK = ("127.0.0.1", "localhost")
_START = f"/#/experiments?{WORKFLOW}"
_PORTS = 50  # tried from --port upwards

_PATH = click.Path(path_type=Path)


@click.command("ui")
@click.option(
    "--port",
    type=click.IntRange(1, 65535),
    default=5000,
    show_default=True,
    metavar="PORT",
    help=(
        "The port of the page; where it is in use, the next free one (not for a page with a login)."
    ),
)
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    metavar="ADDRESS",
    help=("The address of the page; any but this machine's own needs a login, TLS and a name."),
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="NAME",
    help="A name by which browsers ask for the page; may be repeated.",
)
@click.option(
    "--tls-certificate", type=_PATH, help="The PEM file of the certificate, with its chain."
)
@click.option("--tls-key", type=_PATH, help="The PEM file of the certificate's key, of mode 0600.")
@click.option(
    "--behind-proxy", is_flag=True, help="A page whose TLS ends at a proxy in front of it."
)
@click.option(
    "--password-file",
    type=_PATH,
    help="A file whose first line becomes the password of the user 'admin'; of mode 0600.",
)
@options.home
def ui(
    *,
    port: int,
    host: str,
    names: tuple[str, ...],
    tls_certificate: Path | None,
    tls_key: Path | None,
    behind_proxy: bool,
    password_file: Path | None,
    home: Path,
) -> int:
    """Show every search and trial in MLflow's page. Ends with Ctrl-C.

    On 127.0.0.1 the page has no login. Any other address needs one, TLS, and the names by which
    browsers ask for it (docs/security.md). The first start asks for the password of the user
    'admin'; MLFLOW_AUTH_ADMIN_PASSWORD or --password-file may hold it.

    \b
    Examples:
      python -m tuning ui --port 5001
      python -m tuning ui --host 0.0.0.0 --name lab.example.org
        --tls-certificate lab.pem --tls-key lab.key
    """
    wishes = Wishes(
        host=host,
        port=port,
        names=names,
        certificate=tls_certificate,
        key=tls_key,
        behind_proxy=behind_proxy,
        password_file=password_file,
    )
    if host in LOOPBACK and not wishes.speak_of_others:
        _show_here(port, home)
    else:
        _show_to_others(wishes, home)
    return 0


def _show_here(port: int, home: Path) -> None:
    uri = store_uri(home)
    with free_port(port) as listener:
        chosen = listener.getsockname()[1]
        if chosen != port:
            click.echo(f"Port {port} is in use.", err=True)
        from tuning.cli.ui_page.server import serve

        _print_links(uri, f"http://127.0.0.1:{chosen}")
        serve(listener, uri, home)


def _show_to_others(wishes: Wishes, home: Path) -> None:
    page = shared_page(wishes)
    uri = store_uri(home)
    accounts = Accounts(tuning_home(str(home)))
    has_admin = accounts.has_admin()
    with listen_at(page.host, wishes.port) as listener:
        if page.password is None and not has_admin:
            page = replace(page, password=ask_for_password())
        from tuning.cli.ui_page.server import serve_shared

        _print_links(uri, f"https://{page.authorities[0]}")
        click.echo(f"Log in as '{ADMIN}', who adds users at /signup.")
        serve_shared(listener, uri, home, page, accounts)


def _print_links(uri: str, address: str) -> None:
    click.echo(f"MLflow: {address}{_START}  (Ctrl-C ends it)")
    for page in study_pages(uri):
        click.echo(f"  {page.study}: {address}{page.path}")
        click.echo(f"    trials of all its engines, best first: {address}{page.trials_path}")


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


def free_port(port: int) -> socket.socket:
    """Return a socket that listens on 127.0.0.1 at the first free port from `port` on.

    Raises:
        BusyError: None of the next 50 is free.
    """
    for candidate in range(port, min(port + _PORTS, 65536)):
        try:
            return _listener(socket.AF_INET, ("127.0.0.1", candidate))
        except OSError:
            continue
    raise BusyError(f"no free port from {port} to {port + _PORTS - 1}; give another --port")


def listen_at(host: str, port: int) -> socket.socket:
    """Return a socket that listens at this address and no other port: names and proxies know it.

    Raises:
        StudyError: The address is not this machine's, or the port is for root alone.
        BusyError: The port is in use.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return _listener(family, address)
    except socket.gaierror as error:
        raise StudyError(f"--host {host}: no such address ({error.strerror})") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise BusyError(f"port {port} of {host} is in use; give another --port") from error
        raise StudyError(f"--host {host} --port {port}: {error.strerror}") from error


def _listener(family: int, address: tuple[str | int, ...] | tuple[int, bytes]) -> socket.socket:
    # Named as TCP, for asyncio turns Nagle's delay of 40 ms an answer off for no other.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    if os.name == "posix":
        # There, the option allows the port after a restart, not beside another listener.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        # A browser that comes while MLflow is imported waits.
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener
