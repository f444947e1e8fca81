"""Functions compiled to machine code by Numba, and the processor's mode for numbers too small for float32."""

from __future__ import annotations

import hashlib
import os
import platform
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from llvmlite import ir
from numba import config, njit, types
from numba.core import cgutils
from numba.extending import intrinsic

FLUSH_TO_ZERO = np.uint32(0x9FC0)  # x86: no exceptions, round to nearest, denormal operands and results are 0


def in_machine_code(function: Any) -> Any:
    """Compile at the first call."""
    return njit(nogil=True, error_model="numpy")(function)


def kept_in_machine_code(function: Any) -> Any:
    """Compile at the first call with all that is called, and keep the machine code on disk where there is a place."""
    before, config.CACHE_DIR = config.CACHE_DIR, _folder()
    try:
        return njit(nogil=True, error_model="numpy", cache=True)(function)
    except RuntimeError:  # Numba: "no locator available"
        return in_machine_code(function)
    finally:
        config.CACHE_DIR = before


@cache
def _folder() -> str:
    """Return a folder for machine code of these very sources: Numba looks at the file of the function alone."""
    here = Path(__file__).parent
    sources = b"".join((here / name).read_bytes() for name in ("machine_code.py", "products.py", "native.py"))
    place = here / "__pycache__" if os.access(here, os.W_OK) else Path.home() / ".cache" / "tuning"
    return str(Path(config.CACHE_DIR or place) / hashlib.sha256(sources).hexdigest()[:16])


@intrinsic  # type: ignore[untyped-decorator]
def set_float_mode(_: Any, mode: Any) -> Any:
    """Put `mode` into the register that says what becomes of denormal numbers; return what was there.

    TensorFlow flushes them to zero too. The momentum of a dead unit ends among them, where a step takes twice as long.
    """

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        if platform.machine() not in ("x86_64", "AMD64"):
            return given[0]
        slot, byte = cgutils.alloca_once(builder, ir.IntType(32)), ir.IntType(8).as_pointer()
        access = ir.FunctionType(ir.VoidType(), [byte])
        store, load = (
            cgutils.get_or_insert_function(builder.module, access, f"llvm.x86.sse.{name}mxcsr") for name in ("st", "ld")
        )
        builder.call(store, [builder.bitcast(slot, byte)])
        before = builder.load(slot)
        builder.store(given[0], slot)
        builder.call(load, [builder.bitcast(slot, byte)])
        return before

    return types.uint32(types.uint32), generate
