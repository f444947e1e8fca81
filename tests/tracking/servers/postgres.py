"""A PostgreSQL server of one's own, on a cluster in a temporary folder, that can be killed."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

_START_S = 60.0
_OWN_USER = "nobody"  # PostgreSQL refuses to run as root
# Beside PATH: Debian keeps them in folders of their versions, as Red Hat and Homebrew do.
_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql*/bin",
)
MISSING = "PostgreSQL's programs are not there: `apt-get install postgresql` brings them"


def programs() -> Path | None:
    """Return the folder of `initdb` and `postgres`, of the newest version; None: not there."""
    for pattern in _FOLDERS:
        folders = Path("/").glob(pattern.removeprefix("/"))
        whole = [folder for folder in folders if (folder / "initdb").exists()]
        if whole:
            return max(whole, key=_version)
    initdb = shutil.which("initdb")
    return None if initdb is None else Path(initdb).resolve().parent


def _version(folder: Path) -> float:
    digits = "".join(c for c in folder.parent.name if c.isdigit() or c == ".")
    return float(digits or 0)


def free_port() -> int:
    """Return a port of this machine on which nobody listens."""
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        return int(free.getsockname()[1])


class Postgres:
    """A server on 127.0.0.1; its data live as long as this object.

    What it has promised is on disk when its processes are killed, but not when the machine is: it
    does not wait for the disk, which takes seconds on some.

    Attributes:
        url: Of its databases, without their names; with the password, where there is one.

    Args:
        password: That the user `me` has to give; "": none is asked for.

    Raises:
        FileNotFoundError: PostgreSQL is not installed.
    """

    def __init__(self, password: str = "") -> None:
        folder = programs()
        if folder is None:
            raise FileNotFoundError(MISSING)
        self._programs = folder
        # Not in pytest's folders, which are closed for others: as root another user runs it.
        self._folder = Path(mkdtemp(prefix="tuning-postgres-"))
        self._data = self._folder / "data"
        self._as_user: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as_user = {"user": _OWN_USER, "extra_groups": []}
            shutil.chown(self._folder, _OWN_USER)

        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self._has: set[str] = set()
        self._make(password)
        user = f"me:{password}" if password else "me"
        self.url = f"postgresql://{user}@127.0.0.1:{self._port}"

    def _make(self, password: str) -> None:
        words = ["-D", str(self._data), "-U", "me", "-E", "UTF8", "--locale=C", "--no-sync"]
        if password:
            file = self._folder / "password"
            file.write_text(password)
            file.chmod(0o644)
            words += ["-A", "scram-sha-256", "--pwfile", str(file)]
        else:
            words += ["-A", "trust"]
        subprocess.run(
            [str(self._programs / "initdb"), *words],
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            cwd="/",
            **self._as_user,
        )

    def start(self) -> None:
        """Start it on the data that it has; wait until it answers."""
        words = ["-D", str(self._data), "-p", str(self._port), "-k", str(self._folder)]
        for setting in ("listen_addresses=127.0.0.1", "fsync=off", "shared_buffers=32MB"):
            words += ["-c", setting]
        with open(self._folder / "log", "ab") as log:
            self._process = subprocess.Popen(
                [str(self._programs / "postgres"), *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
                **self._as_user,
            )
        self._wait()

    def database(self, name: str) -> str:
        """Return the URL of a database, which is made where it is missing."""
        if name not in self._has:
            self.execute("postgres", f"CREATE DATABASE {name}")
            self._has.add(name)
        return f"{self.url}/{name}"

    def execute(self, database: str, statement: str) -> list[tuple[Any, ...]]:
        """Run one statement in a transaction of its own; return the rows that it has."""
        import psycopg

        with psycopg.connect(f"{self.url}/{database}", autocommit=True) as connection:
            cursor = connection.execute(statement)
            return [] if cursor.description is None else list(cursor.fetchall())

    def kill(self) -> None:
        """End all its processes at once, as a power cut does."""
        if self._process is None:
            return
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._process = None
        # What it has begun ends a moment later; its files are free only then.
        time.sleep(0.05)

    def stop(self) -> None:
        """Make it hang, with all that is connected to it."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it answer again what it was asked meanwhile."""
        self._signal(signal.SIGCONT)

    def close(self) -> None:
        """End it for good."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _signal(self, number: signal.Signals) -> None:
        import psutil

        if self._process is None:
            raise RuntimeError("it does not run")
        postmaster = psutil.Process(self._process.pid)
        # Its father first: it begins no others then.
        for process in (postmaster, *_children(postmaster)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def _wait(self) -> None:
        import psycopg

        until = time.monotonic() + _START_S
        while True:
            try:
                self.execute("postgres", "SELECT 1")
            except psycopg.OperationalError:
                ended = self._process is None or self._process.poll() is not None
                if ended or time.monotonic() > until:
                    raise TimeoutError((self._folder / "log").read_text()[-2000:]) from None
                time.sleep(0.02)
            else:
                return


def _children(process: Any) -> list[Any]:
    import psutil

    try:
        return list(process.children(recursive=True))
    except psutil.NoSuchProcess:
        return []
