"""A small file system that is filled to its last byte; mounting one takes root's rights."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path

_BALLAST = "ballast"


def mount(folder: Path, megabytes: int) -> None:
    """Make a folder a file system of its own, in memory.

    Raises:
        PermissionError: This user may not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "none", str(folder)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise PermissionError(f"no file system of its own: {done.stderr.strip()}")


def unmount(folder: Path) -> None:
    """Give it up, with all that is in it."""
    subprocess.run(["umount", "--lazy", str(folder)], capture_output=True, check=False)


def fill(folder: Path) -> Path:
    """Write until not one byte more is taken; return the file that takes the space."""
    path = folder / _BALLAST
    # From large pieces to small ones: what is left at the end is less than the smallest.
    with open(path, "ab", buffering=0) as file:
        for size in (2**20, 2**12, 1):
            with contextlib.suppress(OSError):
                while True:
                    file.write(bytes(size))
        with contextlib.suppress(OSError):
            os.fsync(file.fileno())
    return path
