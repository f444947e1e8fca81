"""Where the login keeps its users and its key, and the admin's password on its way there."""

from __future__ import annotations

import os
import secrets
import shlex
import sqlite3
import stat
import sys
from pathlib import Path

import click

from tuning.errors import StorageError, StudyError
from tuning.storage.durable import write_bytes
from tuning.storage.ownership import ownership_fault
from tuning.storage.secrets import remember_secret
from tuning.tracking.mlflow_internals import (
    ADMIN_NAME,
    ADMIN_PASSWORD,
    FLASK_KEY,
    has_login,
    login_environment,
    login_settings,
)

ADMIN = "admin"
SHORTEST = 12
_KNOWN_TO_ALL = ("password1234",)  # MLflow's own, until 3.16
_FEWEST_DIFFERENT = 4
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO
_LONGEST_FILE = 4096


class Accounts:
    """The folder `login` of a state folder: users, settings and key, for its owner's eyes alone.

    Raises:
        StorageError: Others may read it or write to it; the text says which command helps.
    """

    def __init__(self, home: Path) -> None:
        self.folder = home.resolve() / "login"
        self.users = self.folder / "users.db"
        self._settings = self.folder / "settings.ini"
        self._key = self.folder / "secret_key"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        paths = (self.folder, self.users, self._settings, self._key)
        faults = [private_fault(path) for path in paths if os.path.lexists(path)]
        if any(faults):
            raise StorageError("; ".join(fault for fault in faults if fault))

    def has_admin(self) -> bool:
        """Whether the admin has a password already.

        Raises:
            StorageError: The database is damaged.
        """
        try:
            return has_login(self.users, ADMIN)
        except sqlite3.DatabaseError as error:
            raise StorageError(
                f"{self.users}: {error}. Put it back from a copy, or move it away: the users in "
                "it are then to be made anew"
            ) from error

    def prepare(self, password: str | None) -> dict[str, str]:
        """Write the settings and return what MLflow reads when it is imported, secrets included.

        Args:
            password: Of the admin; None where it has one.
        """
        write_bytes(self._settings, login_settings(self.users).encode())
        # Made here, for SQLite would make it with the mode of the process.
        os.close(os.open(self.users, os.O_CREAT | os.O_RDWR | os.O_NOFOLLOW, 0o600))
        return {
            **login_environment(self._settings),
            FLASK_KEY: self._secret_key(),
            ADMIN_NAME: ADMIN,
            ADMIN_PASSWORD: password or "",
        }

    def _secret_key(self) -> str:
        """Return the key that signs forms, made at the first start."""
        if not self._key.exists() or len(self._key.read_bytes()) < 64:
            write_bytes(self._key, secrets.token_hex(32).encode())
        key = self._key.read_text(encoding="ascii")
        remember_secret(key)
        return key


def private_fault(path: Path) -> str:
    """Return why a folder or file is not its user's alone, to read or to write; else ""."""
    if path.is_symlink():
        return f"{path} is a link; put what it leads to in its place"
    fault = ownership_fault(path)
    if fault:
        return fault
    if path.stat().st_mode & _FOR_OTHERS:
        mode = "700" if path.is_dir() else "600"
        return f"others may read {path}: chmod {mode} {shlex.quote(str(path))}"
    return ""


def given_password(file: Path | None) -> tuple[str | None, list[str]]:
    """Return the admin's password from a file or from the environment, and what is wrong with it.

    The variable is taken out of the environment: nothing that is started here needs it.

    Args:
        file: Its first line is the password; wins over the variable.
    """
    password = os.environ.pop(ADMIN_PASSWORD, None)
    source = ADMIN_PASSWORD
    fault = ""
    if file is not None:
        source = "--password-file"
        password, fault = _first_line(file)
    if fault:
        return None, [f"{fault} ({source})"]
    if password is None:
        return None, []
    remember_secret(password)
    return password, [f"{fault} ({source})" for fault in password_faults(password)]


def _first_line(path: Path) -> tuple[str, str]:
    """Return a file's first line, and why it is not taken."""
    try:
        if not path.is_file():
            return "", f"{path} is not there, or is no file"
        fault = private_fault(path.resolve())
        if fault:
            return "", fault
        with open(path, encoding="utf-8") as file:
            lines = file.read(_LONGEST_FILE).splitlines()
    except UnicodeDecodeError:
        return "", f"{path} is no text"
    except OSError as error:
        return "", f"cannot read {path}: {error.strerror}"
    return (lines[0] if lines else ""), ""


def password_faults(password: str) -> list[str]:
    """Return why a password is not taken; the texts do not quote it."""
    faults = []
    if len(password) < SHORTEST:
        faults.append(f"the password has {len(password)} characters; it needs {SHORTEST} or more")
    if password.lower() in _KNOWN_TO_ALL or len(set(password)) < _FEWEST_DIFFERENT:
        faults.append("this password is among the first that anybody tries; take another")
    if not (password.isascii() and password.isprintable()):
        faults.append("the password holds other characters than the printable ones of ASCII")
    return faults


def ask_for_password() -> str:
    """Return a new password for the admin, typed twice at the terminal.

    Raises:
        StudyError: There is no terminal, or the password is not taken.
    """
    if not sys.stdin.isatty():
        raise StudyError(
            f"the user '{ADMIN}' has no password yet; there is none to begin with. Write one of "
            f"{SHORTEST} characters or more into a file of mode 0600 for --password-file FILE, "
            f"set {ADMIN_PASSWORD}, or start this at a terminal, where it is asked for"
        )
    password: str = click.prompt(
        f"New password for '{ADMIN}'", hide_input=True, confirmation_prompt=True, err=True
    )
    remember_secret(password)
    faults = password_faults(password)
    if faults:
        raise StudyError(faults)
    return password
