"""Files that are whole or absent: temporary name, fsync, rename."""

from __future__ import annotations

import errno
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tuning.errors import StorageError

_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO}


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


def read_json(path: Path) -> Any | None:
    """Return what `write_json` wrote, or None where the file is absent or torn."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None


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
