"""Who holds a device of this box, and since when: for messages to people, never for a decision.

What is said comes from the lease's file, which for a GPU any user may have written, and from the
open files of processes, as far as this user may look into them.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tuning.executors.devices.people import printable, user_of
from tuning.storage.processes import process_lives

_MOST_BYTES = 4096  # read of a note, which another user may have written
_UNKNOWN = "another search"
_A_DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds a device or a share of one.

    Attributes:
        device: As it is leased: `cpu:0`, a GPU's UUID, `GPU-x#1`.
        study: What is searched there; "": not known.
        user: Whose search it is; "": this user's, or not known.
        pid: Of the search, or of what it has left behind; None: not known.
        since: When the search first took it, in Unix seconds, nobody else having had it in between;
            None: not known.
        is_left: Whether the search is gone, and `pid` is a process that it has started.
    """

    device: str
    study: str = ""
    user: str = ""
    pid: int | None = None
    since: float | None = None
    is_left: bool = False

    @property
    def words(self) -> str:
        """As people are told of it: `housing of user ada (process 77) since 08:12`."""
        if self.pid is None:
            return _UNKNOWN
        study = self.study or _UNKNOWN
        if self.is_left:
            return f"what {study} has left behind (process {self.pid})"
        user = f" of user {self.user}" if self.user else ""
        return f"{study}{user} (process {self.pid}){since_text(self.since)}"


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a lease's file says of who took the device last."""

    study: str
    pid: int
    since: float | None


def holder_at(path: Path, device: str, *, is_for_all: bool) -> Holder:
    """Return who holds a device that is held.

    Looks through the open files of all processes: 10 ms and more.

    Args:
        path: The lease's file.
        device: Its name.
        is_for_all: Whether it lies where all users lease.
    """
    opened_by = _open_in(path)
    note = note_in(path)
    if note is None:  # it is just being written
        return Holder(device=device)

    lives = process_lives(note.pid)
    # Into another user's processes nobody may look, and without /proc into none.
    is_hidden = lives and (is_for_all or not Path("/proc/self/fd").exists())
    if note.pid in opened_by or is_hidden:
        return Holder(
            device=device,
            study=note.study,
            user=_user_of(note.pid) if is_for_all else "",
            pid=note.pid,
            since=note.since,
        )
    if opened_by:
        return Holder(device=device, study=note.study, pid=min(opened_by), is_left=True)
    return Holder(device=device)


def held_names(path: Path, device: str) -> list[str]:
    """Return what is held of a device: shares of it, or itself.

    While it looks nobody else can take the device: 10 µs.

    Args:
        path: The file of its lease.
        device: Its name, that of a whole GPU or of a core.
    """
    shares = sorted(path.parent.glob(f"{path.name}%23*"))
    held = [unquote(share.name.removeprefix("device-")) for share in shares if is_held(share)]
    if not held and is_held(path):
        held = [device]
    return held


def is_held(path: Path) -> bool:
    """Whether somebody has locked a file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # never leased
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def note_in(path: Path) -> Note | None:
    """Return what a lease's file says; None where it does not, or not yet."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        stored = json.loads(os.read(fd, _MOST_BYTES))
        since = stored.get("since")
        return Note(
            study=printable(str(stored["holder"])),
            pid=int(stored["pid"]),
            since=None if since is None else float(since),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None
    finally:
        os.close(fd)


def since_text(since: float | None) -> str:
    """Return ` since 08:12`, with the day where that is not the last one; "" where not known."""
    if since is None:
        return ""
    form = "%H:%M" if abs(time.time() - since) < _A_DAY_S else "%Y-%m-%d %H:%M"
    try:
        return f" since {time.strftime(form, time.localtime(since))}"
    except (OverflowError, ValueError, OSError):  # another user may have written anything
        return ""


def _user_of(pid: int) -> str:
    """Return whose a process is; "" where it is this user's."""
    user = user_of(pid)
    return "" if user == user_of(os.getpid()) else user


def _open_in(path: Path) -> set[int]:
    """Return the processes that have a file open; of those that we may look into."""
    try:
        wanted = path.stat()
    except OSError:
        return set()

    holders = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # another user's, or gone
            descriptors = os.listdir(process / "fd")
            if any(_is_file(process / "fd" / each, wanted) for each in descriptors):
                holders.add(int(process.name))
    return holders


def _is_file(path: Path, file: os.stat_result) -> bool:
    try:
        return os.path.samestat(path.stat(), file)
    except OSError:
        return False
