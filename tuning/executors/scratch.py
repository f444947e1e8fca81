"""`Scratch`: a temporary folder that a later process removes where this one is killed."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

_MAKING_S = 60.0
"""So long after it was made, a folder that nobody holds is one whose process has died."""


class Scratch:
    """A folder of this process alone, held by a lock on it; made together with a look for those of dead processes.

    Args:
        prefix: Of its name; the folders of dead processes are looked for by it.
    """

    def __init__(self, prefix: str) -> None:
        _sweep(prefix)
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        # As on leases: systemd-tmpfiles leaves a locked folder alone, and the kernel unlocks what a dead process held.
        self._fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._fd, fcntl.LOCK_SH)

    def remove(self) -> None:
        """Remove the folder and all in it; a second time nothing happens."""
        if self._fd >= 0:
            shutil.rmtree(self.path, ignore_errors=True)  # a worker may be writing its last words
            os.close(self._fd)
            self._fd = -1


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
