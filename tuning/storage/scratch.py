"""`scratch_folder`: a temporary folder that the next process removes where this one is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
import weakref
from pathlib import Path
from tempfile import TemporaryDirectory

_MAKING_S = 60.0
"""So long after it was made, a folder that nobody holds is one whose process has died."""


def scratch_folder(prefix: str) -> TemporaryDirectory[str]:
    """Make a temporary folder that this process holds a lock on; those of dead processes are
    removed before.

    Args:
        prefix: Of its name; the folders of dead processes are looked for by it.
    """
    _sweep(prefix)
    folder = TemporaryDirectory(
        prefix=prefix, ignore_cleanup_errors=True
    )  # a worker may write its last words
    # As on leases: systemd-tmpfiles leaves a locked folder alone, and the kernel unlocks what a
    # dead process held.
    fd = os.open(folder.name, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    weakref.finalize(folder, os.close, fd)
    return folder


def _sweep(prefix: str) -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        try:
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's, a link, or gone
            continue
        try:
            about = os.fstat(fd)
            if about.st_uid == os.getuid() and time.time() - about.st_mtime > _MAKING_S:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:  # it is held
            continue
        finally:
            os.close(fd)
