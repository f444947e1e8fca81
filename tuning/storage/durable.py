"""Files that are whole or absent: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import json
import math
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

from tuning.errors import DamagedFileError, StorageError
from tuning.storage.aside import set_aside

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}
_NO_FILE = {errno.EINVAL, errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV}


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` so that after any kill or power cut `path` is as before or complete (mode 0600).

    Raises:
        StorageError: The disk is full, read-only or failing; nothing was changed.
    """
    # Beside it, since a rename is atomic within one file system; a name for each process.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)

        # `open` would make it with the umask's mode, readable for others until a chmod.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())  # before the rename: a power cut must not leave an empty file
        try:
            os.replace(temporary, path)
        except IsADirectoryError:  # somebody's; it is not ours to delete
            set_aside(path)
            os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        if error.errno in _FULL:
            raise StorageError(
                f"cannot write {path}: {error.strerror}. Free some space, then run again."
            ) from error
        raise


@contextmanager
def raise_on_full_disk() -> Iterator[None]:
    """Raise `StorageError` for what a full disk makes of any call in the block, a library's too."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        where = f" ({error.filename})" if error.filename else ""
        raise StorageError(f"{error.strerror}{where}. Free some space, then run again.") from error


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, durably.

    NaN and infinities are written as the strings `"nan"`, `"inf"`, `"-inf"`.
    """
    text = json.dumps(_plain(value), ensure_ascii=False, indent=1, allow_nan=False)
    write_bytes(path, text.encode())


def load_json(path: Path) -> Any | None:
    """Return what `write_json` wrote, or None where there is no file.

    What we never write is damage: NaN and infinities as such, a name twice in one object.

    Raises:
        DamagedFileError: Something is there, but no JSON of ours.
        StorageError: It may not be read.
    """
    data = _content(path)
    if data is None:
        return None
    try:
        return _DECODER.decode(data.decode(json.detect_encoding(data)))
    except RecursionError as error:
        raise DamagedFileError(path, "its lists lie too deep in each other") from error
    except ValueError as error:
        raise DamagedFileError(path, f"no JSON: {error}") from error


def read_json(path: Path) -> Any | None:
    """Return what `write_json` wrote, or None where the file is absent or torn."""
    try:
        return load_json(path)
    except DamagedFileError:
        return None


def open_file(path: Path) -> BufferedReader:
    """Open a file to read; a pipe that somebody has put in its place raises, and never blocks.

    Raises:
        OSError: There is none, it is no file (`errno.EINVAL`), or it cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is no file", str(path))
    return os.fdopen(descriptor, "rb")


def _content(path: Path) -> bytes | None:
    """Return a file's bytes; None where there is nothing of this name."""
    try:
        with open_file(path) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        if path.is_symlink():
            raise DamagedFileError(path, "it is a link to nothing") from None
        return None
    except OSError as error:
        if error.errno in _NO_FILE:
            raise DamagedFileError(path, "it is no file") from error
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is none of JSON's numbers")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return values


# Made once: `json.loads` makes one at each call where it is given a hook.
_DECODER = json.JSONDecoder(parse_constant=_refuse_constant, object_pairs_hook=_unique)


def _plain(value: Any) -> Any:
    if hasattr(value, "item"):
        value = value.item()  # NumPy's own, whose NaN may be no float yet

    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
