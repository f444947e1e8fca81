"""`Leases`: who holds which device of this box, kept by the kernel as `flock`s.

A lease ends when the last process that has its descriptor ends: the driver, and the worker where
it holds a GPU's memory, but not what a worker forks (`server`). No heartbeat, no clock. That is
why the locks are made here and not by `filelock`, which we use elsewhere: its locks belong to one
object of one process, and its `release` unlocks for all.

A whole GPU is locked exclusively. A share of one (`GPU-x#1`) locks the GPU together with the other
shares and its own file exclusively: so a GPU is either somebody's as a whole or shared.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import math
import os
import stat
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from tuning.errors import StorageError
from tuning.executors.devices.holders import Holder, held_names, holder_at, note_in
from tuning.executors.devices.shared_folder import is_gpu, open_shared, shared_folder
from tuning.storage.ownership import ownership_fault

GPU_FOLDER = Path("/tmp/tuning-gpus")
"""Where GPUs are leased by all users of a box."""

_TICK_NS = 50_000_000


@dataclass(frozen=True)
class Lease:
    """The right to one device; `fd` may be handed to a worker, which then holds it too."""

    name: str
    fd: int = field(repr=False)

    def release(self) -> None:
        """Give up this process' share.

        Not `LOCK_UN`, which would take the worker's share away as well.
        """
        os.close(self.fd)


class Leases:
    """The leases of one user on this box, whatever the `TUNING_HOME`, and all users' of GPUs.

    GPUs are leased in `GPU_FOLDER`, which all users see; where a folder is named, or that one
    cannot be used, with the others.

    Args:
        folder: Default `TUNING_LEASES`, else `default_folder`.

    Attributes:
        folder: Where CPU cores are leased, and who waits stands in line.
        gpu_folder: Where GPUs are.
        fault: Why other users do not see which GPUs are leased here; "": they do, or a folder was
            named.

    Raises:
        StorageError: The folder belongs to another user, or others may write there.
    """

    def __init__(self, folder: Path | None = None) -> None:
        named = folder or os.environ.get("TUNING_LEASES")
        self.folder = _own_folder(Path(named or default_folder()))
        self.fault = "" if named else shared_folder(GPU_FOLDER)
        self.gpu_folder = self.folder if named or self.fault else GPU_FOLDER
        self._since: dict[str, float] = {}  # by device, when it was first taken
        # systemd-tmpfiles leaves a folder alone that somebody has locked: tmpfiles.d(5), "Age".
        self._quiet_since = -1  # the folder's time of change when nobody stood in line
        self._guard = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        fcntl.flock(self._guard, fcntl.LOCK_SH)

    def try_acquire(self, name: str, holder: str = "") -> Lease | None:
        """Take a device if it is free.

        Args:
            name: The device, e.g. `cpu:0` or a GPU's UUID.
            holder: Who holds it, for messages to others: e.g. the study's name.
        """
        return self._take(name, holder, fcntl.LOCK_EX)

    def _take(self, name: str, holder: str, kind: int) -> Lease | None:
        """Take a device alone, or with others (`LOCK_SH`)."""
        fd = self._open(name)
        if not _has_locked(fd, kind):
            return None
        if kind == fcntl.LOCK_EX:
            with suppress(OSError):  # another user's, made with a mode of its own
                self._sign(fd, name, holder)
        return Lease(name, fd)

    def _sign(self, fd: int, name: str, holder: str) -> None:
        """Write who holds a device, and since when, unless it stands there.

        Taken for each trial: ext4 writes a file that was cut to nothing to the disk, 1-5 ms.
        """
        text = _note_of(name, holder, self._since.get(name, 0.0))
        if os.pread(fd, len(text) + 1, 0) != text:  # somebody else has had it in between
            self._since[name] = time.time()
            text = _note_of(name, holder, self._since[name])
            os.pwrite(fd, text, 0)
            os.ftruncate(fd, len(text))

    def _open(self, name: str) -> int:
        if is_gpu(name) and self.gpu_folder != self.folder:
            # Where somebody has put something else in its place, this user's own leases still hold.
            with suppress(OSError):
                return open_shared(self._path(name))
        return _open(self.folder / f"device-{file_name(name)}")

    def acquire_all(self, names: Collection[str], holder: str = "") -> tuple[Lease, ...] | None:
        """Take all of `names`, or none."""
        taken: list[Lease] = []
        for name in names:
            gpu = whole_of(name)
            if gpu != name:
                shared = self._take(gpu, holder, fcntl.LOCK_SH)
                if shared is None:
                    release(taken)
                    return None
                taken.append(shared)
            lease = self.try_acquire(name, holder)
            if lease is None:
                release(taken)
                return None
            taken.append(lease)
        return tuple(taken)

    def holder(self, name: str) -> str:
        """Return who keeps a device from being taken, in words; see `holders`."""
        holders = self.holders(name)
        return ", ".join(holder.words for holder in holders) or "another search"

    def holders(self, name: str) -> list[Holder]:
        """Return who holds a device or shares of it, one a lease; of a share, or its whole GPU.

        For messages only: 10 ms and more for each that is held.
        """
        held = held_names(self._path(name), name)
        gpu = whole_of(name)
        if not held and gpu != name:
            # A whole GPU that others share is no hindrance to a further share.
            held = [each for each in held_names(self._path(gpu), gpu) if each == gpu]
        return [self._holder(each) for each in held]

    def _holder(self, name: str) -> Holder:
        path = self._path(name)
        return holder_at(path, name, is_for_all=path.parent != self.folder)

    def searches_on(self, gpu: str) -> set[int]:
        """Return the drivers that hold a GPU or shares of it just now, this process among them."""
        pids = {os.getpid()}
        path = self._path(gpu)
        for each in (path, *path.parent.glob(f"{path.name}%23*")):
            note = note_in(each)
            if note is not None:
                pids.add(note.pid)
        return pids

    def queue(self, names: Collection[str]) -> Ticket:
        """Stand in line for any of `names`; first come, first served."""
        return Ticket(self.folder, with_wholes(names))

    def waited_for(self, names: Collection[str]) -> bool:
        """Return whether anybody stands in line for one of `names`; asked after each trial.

        A line that was empty is not looked at again before the folder has changed: 2 µs.
        """
        changed_at = os.stat(self.folder).st_mtime_ns
        if changed_at == self._quiet_since:
            return False
        if any(self.folder.glob("ticket-*")):
            return _waited_for(self.folder, with_wholes(names))
        # The kernel's clock ticks each 4 ms: what is younger may change unseen.
        if time.time_ns() - changed_at > _TICK_NS:
            self._quiet_since = changed_at
        return False

    def close(self) -> None:
        """Forget the folder; leases that were taken stay."""
        os.close(self._guard)

    def _path(self, name: str) -> Path:
        folder = self.gpu_folder if is_gpu(name) else self.folder
        return folder / f"device-{file_name(name)}"


class Ticket:
    """A place in the line, held as a locked file, so that the dead leave it by themselves."""

    def __init__(self, folder: Path, names: frozenset[str]) -> None:
        self._folder = folder
        self._names = names
        with _door(folder):
            numbers = [_number(path) for path in folder.glob("ticket-*")]
            self._number = 1 + max(numbers, default=0)
            self._path = folder / f"ticket-{self._number:012d}"

            fd = _lock(self._path)
            if fd is None:
                raise StorageError(f"{self._path} is locked although it was not there")
            self._fd = fd
            os.pwrite(fd, json.dumps(sorted(names)).encode(), 0)

    def ahead(self, names: Collection[str]) -> bool:
        """Return whether somebody who came earlier waits for one of `names`."""
        return _waited_for(self._folder, with_wholes(names), before=self._number)

    def leave(self) -> None:
        """Give up the place."""
        with _door(self._folder):
            self._path.unlink()
            os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.leave()


def whole_of(name: str) -> str:
    """Return the GPU of a share such as `GPU-x#1`; of anything else its own name."""
    return name if name.startswith("cpu:") else name.partition("#")[0]


def with_wholes(names: Iterable[str]) -> frozenset[str]:
    """Return devices and the GPUs of those that are shares: who waits for one waits for both."""
    return frozenset(each for name in names for each in (name, whole_of(name)))


def release(leases: Iterable[Lease]) -> None:
    """Give up this process' share of several leases."""
    for lease in leases:
        lease.release()


def file_name(name: str) -> str:
    """Return a file name that no other device's name gives."""
    quoted = quote(name, safe="")
    if len(quoted) < 200:
        return quoted
    return hashlib.sha256(name.encode()).hexdigest()


def default_folder() -> Path:
    """Return where leases are when nothing else is said.

    Neither in `TMPDIR`, which batch systems set for each job, nor in `XDG_RUNTIME_DIR`, which cron
    and services have not: none of them would see what a login session holds.
    """
    return Path(f"/tmp/tuning-{os.getuid()}")


def _own_folder(folder: Path) -> Path:
    with suppress(FileExistsError):  # a file, or a link to one; refused below
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # `lstat`: another user may have put a link there, to have us lock files of our own elsewhere.
    is_folder = stat.S_ISDIR(folder.lstat().st_mode)
    fault = ownership_fault(folder) if is_folder else f"{folder} is a link or a file"
    if fault:
        raise StorageError(
            f"{folder} must be a folder of yours that nobody else may write to; it keeps the "
            f"device leases. {fault}. Change that, or name another folder in TUNING_LEASES."
        )
    return folder


def _number(path: Path) -> int:
    return int(path.name.removeprefix("ticket-"))


def _waited_for(folder: Path, names: Collection[str], before: float = math.inf) -> bool:
    """Whether a ticket of a lower number than `before` is for one of `names`."""
    with _door(folder):
        earlier = [path for path in folder.glob("ticket-*") if _number(path) < before]
        return any(_waits_for(path, names) for path in earlier)


def _waits_for(path: Path, names: Collection[str]) -> bool:
    fd = _lock(path)
    if fd is not None:  # its owner is gone
        path.unlink()
        os.close(fd)
        return False
    try:
        return not set(json.loads(path.read_text())).isdisjoint(names)
    except (ValueError, TypeError):  # somebody has written into it: it keeps its place
        return True


def _lock(path: Path) -> int | None:
    """Lock a file without waiting; None where another holds it."""
    fd = _open(path)
    return fd if _has_locked(fd, fcntl.LOCK_EX) else None


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _has_locked(fd: int, kind: int) -> bool:
    """Lock an open file without waiting; close it where another holds it."""
    try:
        fcntl.flock(fd, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return False
    return True


def _note_of(name: str, holder: str, since: float) -> bytes:
    note = {"pid": os.getpid(), "holder": holder, "device": name, "since": round(since, 3)}
    return json.dumps(note).encode()


@contextmanager
def _door(folder: Path) -> Iterator[None]:
    """Let one at a time to the line: nobody sees a ticket before it is locked and written.

    Held for microseconds, so it blocks in the kernel; `filelock` would poll, 50 ms at a time.
    """
    fd = os.open(folder / "door", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)
