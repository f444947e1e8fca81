"""Products of small float32 matrices in machine code: BLAS libraries prepare for large ones, which
takes longer here.

A tile of the result stays in registers while the inner dimension is walked through once; nothing is
packed (the tiles of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication",
2008, section 4, without the rest). On one core of an AMD EPYC (Zen 5) that gives 215-260 GFLOP/s
from 32x100x100 on; OpenBLAS gives 75 there by its kernels for AVX2, and 70-235 by those for
AVX-512.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tuning.data.dataset import Array
from tuning.trainer.native.compile import in_machine_code

_LARGE = bool(binding.get_host_cpu_features().get("avx512f"))
LANES = 16 if _LARGE else 8
"""Numbers in a vector; where processors have smaller ones LLVM splits it."""

ROWS = 8 if _LARGE else 4
"""Rows of a tile. It is two vectors wide, and must fit into 32 or 16 registers with what is
multiplied.
"""

_INT, _SHORT, _FLOAT, _VECTOR = (
    ir.IntType(64),
    ir.IntType(32),
    ir.FloatType(),
    ir.VectorType(ir.FloatType(), LANES),
)
_BYTES, _ALIGNED = 4 * LANES, _SHORT(4)  # vectors begin at any number


@in_machine_code
def multiply(a: Array, b: Array, out: Array) -> None:
    """Put a product into `out`. Nothing is checked: other shapes or strides read and write
    anywhere.

    Args:
        a: float32 `(rows, inner)`, of any strides.
        b: float32 `(inner, columns or more)`, each row without gaps.
        out: float32 `(rows, columns)`, each row without gaps; it shares no memory with the others.
    """
    (rows, columns), inner = out.shape, a.shape[1]
    (left, row, step), (right, b_row, _), (result, out_row, _) = _place(a), _place(b), _place(out)
    height = ROWS if rows >= ROWS else 1
    j = 0
    while j < columns:
        wide, of_b = columns - j >= 2 * LANES, (right + 4 * j, b_row)
        for start in range(0, rows, height):
            i = min(start, rows - height)  # the last tile may cover rows of the one before
            tile, of_a = (result + i * out_row + 4 * j, out_row), (left + i * row, row, step)
            if height > 1 and wide:
                _tall_wide(tile, of_a, of_b, (inner, columns - j))
            elif height > 1:
                _tall(tile, of_a, of_b, (inner, columns - j))
            elif wide:
                _wide(tile, of_a, of_b, (inner, columns - j))
            else:
                _single(tile, of_a, of_b, (inner, columns - j))
        j += 2 * LANES if wide else LANES


@in_machine_code
def transpose(a: Array, out: Array) -> None:
    """Put `a`, float32 `(rows, columns)`, into `out`, float32 `(columns, rows or more)`; no gaps
    within their rows.
    """
    rows, columns = a.shape
    if rows < LANES or columns < LANES:
        for i in range(rows):
            for j in range(columns):
                out[j, i] = a[i, j]
        return
    (source, row, _), (target, out_row, _) = _place(a), _place(out)
    for first_row in range(0, rows, LANES):
        i = min(first_row, rows - LANES)
        for first_column in range(0, columns, LANES):
            j = min(first_column, columns - LANES)
            _square((target + j * out_row + 4 * i, out_row), (source + i * row + 4 * j, row))


@in_machine_code
def _place(array: Array) -> tuple[int, int, int]:
    """Return the address of a matrix, which its holder keeps alive, and the bytes to the next row
    and column.
    """
    return np.int64(array.ctypes.data), array.strides[0], array.strides[1]  # type: ignore[return-value]


class _Memory:
    """Reads and writes vectors by LLVM's instructions: whole ones, or their first `count` numbers."""

    def __init__(self, builder: Any, count: Any = None) -> None:
        self._builder, self._mask = builder, None
        if count is not None:
            lanes = ir.Constant(ir.VectorType(_INT, LANES), list(range(LANES)))
            self._mask = builder.icmp_signed("<", lanes, self._repeated(count))

    def read(self, address: Any) -> Any:
        place = self._builder.inttoptr(address, _VECTOR.as_pointer())
        if self._mask is None:
            return self._builder.load(place, align=4)
        return self._call(
            "load", _VECTOR, place, _ALIGNED, self._mask, ir.Constant(_VECTOR, [0.0] * LANES)
        )

    def write(self, vector: Any, address: Any) -> None:
        place = self._builder.inttoptr(address, _VECTOR.as_pointer())
        if self._mask is None:
            self._builder.store(vector, place, align=4)
        else:
            self._call("store", ir.VoidType(), vector, place, _ALIGNED, self._mask)

    def broadcast(self, address: Any) -> Any:
        """Return a vector with the one number of `address` in all places."""
        return self._repeated(
            self._builder.load(self._builder.inttoptr(address, _FLOAT.as_pointer()), align=4)
        )

    def _repeated(self, number: Any) -> Any:
        nothing = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
        one = self._builder.insert_element(nothing, number, _SHORT(0))
        return self._builder.shuffle_vector(
            one, nothing, ir.Constant(ir.VectorType(_SHORT, LANES), [0] * LANES)
        )

    def _call(self, verb: str, result: Any, *given: Any) -> Any:
        kind = ir.FunctionType(result, [value.type for value in given])
        name = f"llvm.masked.{verb}.v{LANES}f32.p0"
        return self._builder.call(
            cgutils.get_or_insert_function(self._builder.module, kind, name), given
        )


def _tile(rows: int, vectors: int, *, whole: bool) -> Any:
    """Return the function for one tile: the inner products of `rows` rows with one or two vectors
    of columns.

    It takes (address, bytes to the next row) of the result; the same of the left factor, with the
    bytes to its next column; the same of the right factor; (inner dimension, columns that there
    are), these counting if not `whole`.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(_: Any, out: Any, a: Any, b: Any, counts: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
            unpacked = (cgutils.unpack_tuple(builder, pair) for pair in given)
            (result, out_row), (left, row, step), (right, b_row), (inner, columns) = unpacked
            memory = _Memory(builder, None if whole else columns)

            def at(start: Any, *steps: tuple[Any, Any]) -> Any:
                for count, size in steps:
                    start = builder.add(start, builder.mul(count, size))
                return start

            zero, cells = (
                ir.Constant(_VECTOR, [0.0] * LANES),
                [(i, v) for i in range(rows) for v in range(vectors)],
            )
            sums = {cell: cgutils.alloca_once_value(builder, zero) for cell in cells}
            with cgutils.for_range(builder, inner) as loop:
                of_b = [
                    memory.read(at(right, (loop.index, b_row), (_INT(v), _INT(_BYTES))))
                    for v in range(vectors)
                ]
                of_a = [
                    memory.broadcast(at(left, (loop.index, step), (_INT(i), row)))
                    for i in range(rows)
                ]
                for (i, v), place in sums.items():
                    product = builder.fmul(of_a[i], of_b[v], flags=["contract"])
                    builder.store(
                        builder.fadd(builder.load(place), product, flags=["contract"]), place
                    )
            for (i, v), place in sums.items():
                memory.write(
                    builder.load(place), at(result, (_INT(i), out_row), (_INT(v), _INT(_BYTES)))
                )
            return context.get_dummy_value()

        return types.void(out, a, b, counts), generate

    return tile


@intrinsic  # type: ignore[untyped-decorator]
def _square(_: Any, out: Any, a: Any) -> Any:
    """Transpose LANES x LANES numbers; takes (address, bytes to the next row) of the result and of
    what it is made of.

    Each pass puts a row and the one half a square below it together, number by number, as two
    halves of a deck of cards: after log2(LANES) of them each number is in its place.
    """

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        (result, out_row), (source, row) = (cgutils.unpack_tuple(builder, g) for g in given)
        memory, half = _Memory(builder), LANES // 2
        orders = [
            [at for i in range(start, start + half) for at in (i, LANES + i)] for start in (0, half)
        ]
        decks = [ir.Constant(ir.VectorType(_SHORT, LANES), order) for order in orders]
        rows = [memory.read(builder.add(source, builder.mul(_INT(i), row))) for i in range(LANES)]
        for _ in range(LANES.bit_length() - 1):
            rows = [
                builder.shuffle_vector(rows[i // 2], rows[i // 2 + half], decks[i % 2])
                for i in range(LANES)
            ]
        for i, vector in enumerate(rows):
            memory.write(vector, builder.add(result, builder.mul(_INT(i), out_row)))
        return context.get_dummy_value()

    return types.void(out, a), generate


_tall_wide, _tall = _tile(ROWS, 2, whole=True), _tile(ROWS, 1, whole=False)
_wide, _single = _tile(1, 2, whole=True), _tile(1, 1, whole=False)
