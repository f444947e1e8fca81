"""Functions compiled to machine code by Numba, and the processor's mode for numbers too small for float32.

Numba compiles anew when the file of a function is newer than what it kept, not when this one is: touch `native.py` too.
"""

from __future__ import annotations

import platform
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

FLUSH_TO_ZERO = np.uint32(0x9FC0)  # x86: no exceptions, round to nearest, denormal operands and results are 0


def in_machine_code(function: Any) -> Any:
    """Compile at the first call, and keep the machine code on disk where there is a place for it."""
    try:
        return njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # Numba: "no locator available", neither beside this file nor in the user's cache
        return njit(nogil=True, error_model="numpy")(function)


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
