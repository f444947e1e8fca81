"""Whether an error is that of a full disk: the words alone are no proof."""

from __future__ import annotations

import errno
import os
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FREE_BYTES = 1 << 20
_PACKAGE = str(Path(__file__).parents[1])
_LIBRARIES = (*sysconfig.get_paths().values(), "<frozen")


def is_full_disk(error: BaseException, folder: Path | None = None) -> bool:
    """Whether a full disk is the cause of an error, and not only in its text.

    It is where the system refused a write of ours, or where the error says so, as h5py's, NumPy's
    and TensorFlow's do in their own ways, and the disk of our files is full indeed. A file of a
    user's own on another disk is that trial's own matter.

    Args:
        error: Whatever was raised.
        folder: Where our files are; None: not known.
    """
    for each in _chain(error):
        if isinstance(each, OSError) and each.errno in _FULL and _is_of_our_call(each):
            return True
    return says_full(str(error)) and folder is not None and is_full(folder)


def says_full(text: str) -> bool:
    """Whether an error's text is that of a full disk."""
    return os.strerror(errno.ENOSPC) in text


def is_full(folder: Path) -> bool:
    """Whether there is less than 1 MiB for us on the disk of a folder, or no further file."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    space = os.statvfs(folder)
    has_files_left = space.f_favail > 0 or space.f_files == 0  # 0: not counted, e.g. by btrfs
    return space.f_bavail * space.f_frsize < _FREE_BYTES or not has_files_left


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what it was raised from."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _is_of_our_call(error: OSError) -> bool:
    """Whether this package made the call, itself or through a library; not a user's function."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(_PACKAGE):
            return True
        if not frame.filename.startswith(_LIBRARIES):
            return False
    return False
