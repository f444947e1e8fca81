"""Where the GPUs of a box are leased by all its users: a sticky folder with a file for each GPU.

Everybody may lock such a file, so it is opened with suspicion: what lies there may be a link, a
pipe, or a file that somebody wants us to wait for. Nothing here waits. What the files say is for
messages to people; the right to a GPU is the kernel's lock alone.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path

_STICKY_FOR_ALL = 0o1777
_FOR_ALL = 0o666
_OPENING = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a pipe would be waited for


def is_gpu(name: str) -> bool:
    """Whether a lease is one of a GPU, of an instance, or of a share of one."""
    return name.startswith(("GPU-", "MIG-"))


def shared_folder(path: Path) -> str:
    """Make the folder unless it is there; return why it cannot be used, else ""."""
    try:
        with suppress(FileExistsError):
            path.mkdir(mode=0o700)
        status = path.lstat()
        # Not by `mkdir`, from whose mode the umask takes away; one that was killed here is mended.
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid():
            path.chmod(_STICKY_FOR_ALL)
    except OSError as error:
        return f"{path} cannot be made: {error.strerror}"
    return fault_of_shared(path)


def fault_of_shared(path: Path) -> str:
    """Return why a folder cannot be shared by all users, else ""; changes nothing."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        can_be_made = os.access(path.parent, os.W_OK | os.X_OK)
        return "" if can_be_made else f"{path} cannot be made: {path.parent} is not writable"
    except OSError as error:
        return f"{path} cannot be looked at: {error.strerror}"
    if not stat.S_ISDIR(mode):
        return f"{path} is a link or a file"
    if mode & _STICKY_FOR_ALL != _STICKY_FOR_ALL:
        return f"{path} is not a folder for all users; its owner should say: chmod 1777 {path}"
    return ""


def open_shared(path: Path) -> int:
    """Open the file of a GPU, which any user may have made.

    Returns:
        A descriptor that can be locked; written to only where the file's mode lets us.

    Raises:
        OSError: What lies there is no file that we may open.
    """
    for _ in range(10):  # somebody may make or remove it at this moment
        with suppress(FileNotFoundError):
            return _of_a_file(_open_there(path), path)
        # The kernel refuses O_CREAT for another user's file here (fs.protected_regular): only what
        # is not there yet is made.
        with suppress(FileExistsError):
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _OPENING, _FOR_ALL)
            os.fchmod(fd, _FOR_ALL)  # the umask has taken away what others need
            return fd
    raise OSError(f"{path} comes and goes")


def _open_there(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | _OPENING)
    except PermissionError:
        return os.open(path, os.O_RDONLY | _OPENING)  # enough for a lock


def _of_a_file(fd: int, path: Path) -> int:
    """Return the descriptor of a plain file; close any other."""
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return fd
    os.close(fd)
    raise OSError(f"{path} is no plain file")
