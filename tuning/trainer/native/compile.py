"""Functions compiled to machine code by Numba, and the processor's mode for numbers too small for
float32.
"""

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

FLUSH_TO_ZERO = np.uint32(
    0x9FC0
)  # x86: no exceptions, round to nearest, denormal operands and results are 0


def in_machine_code(function: Any) -> Any:
    """Compile at the first call."""
    return njit(nogil=True, error_model="numpy")(function)


def kept_in_machine_code(function: Any) -> Any:
    """Compile by `load` with all that is called, and keep the machine code on disk where there is a
    place for it.
    """
    folder = _folder()
    if folder is None:
        return in_machine_code(function)
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    finally:
        config.CACHE_DIR = before


def load(function: Any, signature: Any) -> None:
    """Compile a function for its only types, or read it from disk; other types are an error from
    then on.
    """
    folder = _folder()
    try:
        function.compile(signature)
    except (
        OSError,
        EOFError,
        pickle.PickleError,
    ):  # the disk is full, or what is kept was cut short
        if folder is None:
            raise
        for file in folder.glob("*/*.nb?"):
            file.unlink(missing_ok=True)
        function.compile(signature)
    function.disable_compile()


@cache
def _folder() -> Path | None:
    """Return a folder for machine code of these very sources and this processor; None where none
    can be written to.

    Numba alone looks at the file of the function, not at those of what it calls, and two kinds of
    processors that begin at once would exchange their code.
    """
    here = Path(__file__).parent
    sources = b"".join(file.read_bytes() for file in sorted(here.glob("*.py")))
    host = binding.get_host_cpu_name(), binding.get_host_cpu_features().flatten()
    name = hashlib.sha256(
        sources + repr((host, config.CPU_NAME, config.CPU_FEATURES)).encode()
    ).hexdigest()[:16]
    for place in (config.CACHE_DIR or here / "__pycache__", "~/.cache/tuning"):
        with suppress(OSError, RuntimeError):  # RuntimeError: there is no home
            folder = Path(place).expanduser() / name
            folder.mkdir(parents=True, exist_ok=True)
            TemporaryFile(dir=folder).close()
            return folder
    return None


@intrinsic  # type: ignore[untyped-decorator]
def set_float_mode(_: Any, mode: Any) -> Any:
    """Put `mode` into the register that says what becomes of denormal numbers; return what was
    there.

    TensorFlow flushes them to zero too. The momentum of a dead unit ends among them, where a step
    takes twice as long.
    """

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        if platform.machine() not in ("x86_64", "AMD64"):
            return given[0]
        slot, byte = cgutils.alloca_once(builder, ir.IntType(32)), ir.IntType(8).as_pointer()
        access = ir.FunctionType(ir.VoidType(), [byte])
        store, load = (
            cgutils.get_or_insert_function(builder.module, access, f"llvm.x86.sse.{name}mxcsr")
            for name in ("st", "ld")
        )
        builder.call(store, [builder.bitcast(slot, byte)])
        before = builder.load(slot)
        builder.store(given[0], slot)
        builder.call(load, [builder.bitcast(slot, byte)])
        return before

    return types.uint32(types.uint32), generate
