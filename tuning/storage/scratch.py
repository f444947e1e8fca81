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
    """Make a temporary folder that this process holds a lock on.

    Folders that dead processes left behind are removed first.

    Args:
        prefix: Of its name; the folders of dead processes are looked for by it.
    """
    sweep(prefix)
    # A worker may still write into it while it is removed: that is no error.
    folder = TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True)

    # systemd-tmpfiles leaves a locked folder alone, and the kernel unlocks what a dead process
    # held. `filelock` locks files of its own making, not folders.
    descriptor = os.open(folder.name, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    weakref.finalize(folder, os.close, descriptor)
    return folder


def sweep(prefix: str) -> None:
    """Remove the folders of this prefix that are ours and that no living process holds."""
    for folder in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError:  # another user's, a link, or gone
            continue

        try:
            stat = os.fstat(descriptor)
            is_ours = stat.st_uid == os.getuid()
            # A younger one may belong to a process that has made it and not locked it yet.
            is_made = time.time() - stat.st_mtime > _MAKING_S
            if is_ours and is_made:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:  # it is held
            continue
        finally:
            os.close(descriptor)
