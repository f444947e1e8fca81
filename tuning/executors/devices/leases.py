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
from urllib.parse import quote, unquote

from tuning.errors import StorageError
from tuning.executors.devices.people import printable, user_of
from tuning.executors.devices.shared_folder import is_gpu, open_shared, shared_folder
from tuning.storage.ownership import ownership_fault
from tuning.storage.processes import process_lives

GPU_FOLDER = Path("/tmp/tuning-gpus")
"""Where GPUs are leased by all users of a box."""

_TICK_NS = 50_000_000
_MOST_BYTES = 4096  # read of a note, which another user may have written


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
        stored = {"pid": os.getpid(), "holder": holder, "device": name}
        text = json.dumps(stored).encode()
        # Taken for each trial: ext4 writes a file that was cut to nothing to the disk, 1-5 ms.
        if kind == fcntl.LOCK_EX and os.pread(fd, len(text) + 1, 0) != text:
            with suppress(OSError):  # another user's, made with a mode of its own
                os.pwrite(fd, text, 0)
                os.ftruncate(fd, len(text))
        return Lease(name, fd)

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
        """Return who holds a device, in words, with a process that lives.

        Looks through the open files of all processes: 10 ms and more, for messages only.
        """
        path = self._path(name)
        holders = _open_in(path)
        try:
            holder, pid = _note(path)
        except (OSError, ValueError, KeyError, TypeError):  # it is just being written
            return "another search"

        if path.parent != self.folder and pid not in holders and process_lives(pid):
            return f"{holder} of user {user_of(pid)} (process {pid})"
        if pid in holders or (not Path("/proc/self/fd").exists() and process_lives(pid)):
            return f"{holder} (process {pid})"
        if holders:
            return f"what {holder} has left behind (process {min(holders)})"
        return "another search"

    def holders(self, name: str) -> list[str]:
        """Return in words who holds a device or shares of it; one a lease.

        Looks without taking anything, but while it looks nobody else can take the device: 10 µs.
        """
        path = self._path(name)
        shares = sorted(path.parent.glob(f"{path.name}%23*"))
        held = [unquote(each.name.removeprefix("device-")) for each in shares if _is_held(each)]
        if not held and _is_held(path):
            held = [name]
        return [self.holder(each) for each in held]

    def searches_on(self, gpu: str) -> set[int]:
        """Return the drivers that hold a GPU or shares of it just now, this process among them."""
        pids = {os.getpid()}
        path = self._path(gpu)
        for each in (path, *path.parent.glob(f"{path.name}%23*")):
            with suppress(OSError, ValueError, KeyError, TypeError):  # it is just being written
                pids.add(_note(each)[1])
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


def _is_held(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:  # never leased
        return False
    if not _has_locked(fd, fcntl.LOCK_EX):
        return True
    os.close(fd)
    return False


def _note(path: Path) -> tuple[str, int]:
    """Return who has taken a device and by which process, as its file says.

    Raises:
        OSError, ValueError, KeyError, TypeError: It does not say so, or not yet.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        stored = json.loads(os.read(fd, _MOST_BYTES))
    finally:
        os.close(fd)
    return printable(str(stored["holder"] or "another search")), int(stored["pid"])


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
