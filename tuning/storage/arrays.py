"""Reading an `.npz` file: its arrays, or in words that it is damaged; never code from a pickle."""

from __future__ import annotations

import errno
import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tuning.errors import DamagedFileError, first_line

# What `zipfile` and NumPy raise for bytes that they did not write. Of a header that was changed
# they may allocate any size, or call it encrypted or packed in another way.
_DAMAGED = (
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def load_arrays(path: Path) -> dict[str, npt.NDArray[Any]] | None:
    """Return the arrays of an `.npz` file by name; None where there is no file.

    Raises:
        DamagedFileError: It is torn, no archive of arrays, or no file at all.
    """
    if not path.is_file():  # a pipe would block
        if os.path.lexists(path):
            raise DamagedFileError(path, "it is no file")
        return None
    try:
        # Opened here: NumPy leaves its own file open where it finds no archive in it.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            if not isinstance(stored, np.lib.npyio.NpzFile):
                raise DamagedFileError(path, "it is no archive")
            return {name: stored[name] for name in stored.files}
    except _DAMAGED as error:
        raise DamagedFileError(path, first_line(error) or type(error).__name__) from error
    except OSError as error:
        if error.errno not in (None, errno.EINVAL):  # a seek to where no file goes
            raise
        raise DamagedFileError(path, first_line(error)) from error
