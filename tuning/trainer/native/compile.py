"""Functions compiled to machine code by Numba, and how the processor rounds very small numbers."""

from __future__ import annotations

import hashlib
import pickle
import platform
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from tuning.storage.ownership import contents_fault, ownership_fault

FLUSH_TO_ZERO = np.uint32(0x9FC0)
"""x86: no exceptions, round to nearest, denormal operands and results are 0."""

_UNREADABLE = (OSError, EOFError, pickle.PickleError)
"""What reading machine code raises where the disk is full, or what was written was cut short."""


def in_machine_code(function: Any) -> Any:
    """Compile at the first call."""
    return njit(nogil=True, error_model="numpy")(function)


def kept_in_machine_code(function: Any) -> Any:
    """Compile by `load` with all that is called.

    The machine code is kept on disk where there is a place for it.
    """
    folder = _folder()
    if folder is None:
        return in_machine_code(function)

    # Numba reads the folder where a function is decorated, and takes none as an argument.
    configured = config.CACHE_DIR
    config.CACHE_DIR = str(folder)
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    finally:
        config.CACHE_DIR = configured


def load(function: Any, signature: Any) -> None:
    """Compile a function for its only types, or read it from disk.

    Other types are an error from then on.
    """
    folder = _folder()
    try:
        function.compile(signature)
    except _UNREADABLE:
        if folder is None:
            raise
        # Which of the files is damaged is not said: index and code of all functions are made anew.
        for file in folder.glob("*/*.nb?"):
            file.unlink(missing_ok=True)
        function.compile(signature)
    function.disable_compile()


@cache
def _folder() -> Path | None:
    """Return a folder for machine code of these very sources and this processor.

    Numba alone looks at the file of the function, not at those of what it calls, and two kinds of
    processors that begin at once would exchange their code.

    Returns:
        None where none can be written to, or others than this user could write to each.
    """
    here = Path(__file__).parent
    name = _fingerprint(here)
    for place in (config.CACHE_DIR or here / "__pycache__", "~/.cache/tuning"):
        with suppress(OSError, RuntimeError):  # RuntimeError: there is no home
            folder = Path(place).expanduser() / name
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            # Numba unpickles what lies there, so nobody else may ever have been able to write.
            if ownership_fault(folder) or contents_fault(folder):
                continue
            TemporaryFile(dir=folder).close()  # whether it can be written to
            return folder
    return None


def _fingerprint(sources: Path) -> str:
    """Return equal texts for equal files in a folder and equal processors."""
    contents = b"".join(file.read_bytes() for file in sorted(sources.glob("*.py")))
    host = (binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten())
    processor = repr((host, config.CPU_NAME, config.CPU_FEATURES))
    return hashlib.sha256(contents + processor.encode()).hexdigest()[:16]


@intrinsic  # type: ignore[untyped-decorator]
def set_float_mode(_: Any, mode: Any) -> Any:
    """Put `mode` into the register that says what becomes of denormal numbers; return what it held.

    TensorFlow flushes them to zero too. The momentum of a dead unit ends among them, where a step
    takes twice as long.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        (new,) = arguments
        if platform.machine() not in ("x86_64", "AMD64"):
            return new

        # The two instructions take the address of four bytes.
        slot = cgutils.alloca_once(builder, ir.IntType(32))
        address = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [address])
        store = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.stmxcsr")
        load = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.sse.ldmxcsr")

        builder.call(store, [builder.bitcast(slot, address)])
        before = builder.load(slot)
        builder.store(new, slot)
        builder.call(load, [builder.bitcast(slot, address)])
        return before

    return types.uint32(types.uint32), generate
