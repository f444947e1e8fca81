"""Products of small float32 matrices in machine code.

BLAS libraries prepare for large ones, which takes longer here. Nothing is packed: a tile of the
result stays in registers while the inner dimension is walked through once (the tiles of Goto and
van de Geijn, "Anatomy of high-performance matrix multiplication", 2008, section 4, without the
rest). On one core of an AMD EPYC (Zen 5) that gives 215-260 GFLOP/s from 32x100x100 on; OpenBLAS
gives 75 there by its kernels for AVX2, and 70-235 by those for AVX-512.

Columns are taken two vectors at a time, rows ROWS at a time:

                              b
                     | columns of a tile |
                     | one row at a time |
                              |
       a             .--------v----------.
    ROWS numbers --> | ROWS x 2 vectors  |  out
    of one column    | of sums           |
                     '-------------------'

For each step along the inner dimension the tile reads two vectors of `b` and ROWS single numbers of
`a`, and adds each of the 2 x ROWS products to its sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from tuning.data.dataset import Array
from tuning.trainer.native.compile import in_machine_code

_HAS_AVX512 = bool(binding.get_host_cpu_features().get("avx512f"))

LANES = 16 if _HAS_AVX512 else 8
"""Numbers in a vector; where processors have smaller ones LLVM splits it."""

ROWS = 8 if _HAS_AVX512 else 4
"""Rows of a tile.

It is two vectors wide, and must fit into 32 or 16 registers with what is multiplied.
"""

_NUMBER_BYTES = 4
_VECTOR_BYTES = _NUMBER_BYTES * LANES

_INT64 = ir.IntType(64)
_INT32 = ir.IntType(32)
_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)
_ZEROS = ir.Constant(_VECTOR, [0.0] * LANES)


class _Place(NamedTuple):
    """Where a matrix lies: its address and the bytes to the next row and column."""

    address: Any
    row: Any
    column: Any


@in_machine_code
def multiply(a: Array, b: Array, out: Array) -> None:
    """Put a product into `out`.

    Nothing is checked: other shapes or strides read and write anywhere.

    Args:
        a: float32 `(rows, inner)`, of any strides.
        b: float32 `(inner, columns or more)`, each row without gaps.
        out: float32 `(rows, columns)`, each row without gaps; it shares no memory with the others.
    """
    rows, columns = out.shape
    inner = a.shape[1]
    of_a = _place(a)
    of_b = _place(b)
    of_out = _place(out)
    height = ROWS if rows >= ROWS else 1

    j = 0
    while j < columns:
        is_wide = columns - j >= 2 * LANES
        counts = (inner, columns - j)
        right = (of_b.address + _NUMBER_BYTES * j, of_b.row)
        for start in range(0, rows, height):
            # The last tile may cover rows of the one before, and computes them again.
            i = min(start, rows - height)
            tile = (of_out.address + i * of_out.row + _NUMBER_BYTES * j, of_out.row)
            left = (of_a.address + i * of_a.row, of_a.row, of_a.column)
            if height > 1 and is_wide:
                _tall_wide(tile, left, right, counts)
            elif height > 1:
                _tall(tile, left, right, counts)
            elif is_wide:
                _wide(tile, left, right, counts)
            else:
                _single(tile, left, right, counts)
        j += 2 * LANES if is_wide else LANES


@in_machine_code
def transpose(a: Array, out: Array) -> None:
    """Put `a`, float32 `(rows, columns)`, into `out`, float32 `(columns, rows or more)`.

    There are no gaps within their rows.
    """
    rows, columns = a.shape
    if rows < LANES or columns < LANES:
        for i in range(rows):
            for j in range(columns):
                out[j, i] = a[i, j]
        return

    of_a = _place(a)
    of_out = _place(out)
    for first_row in range(0, rows, LANES):
        i = min(first_row, rows - LANES)  # the last square may cover some of the one before
        for first_column in range(0, columns, LANES):
            j = min(first_column, columns - LANES)
            target = of_out.address + j * of_out.row + _NUMBER_BYTES * i
            source = of_a.address + i * of_a.row + _NUMBER_BYTES * j
            _square((target, of_out.row), (source, of_a.row))


@in_machine_code
def _place(array: Array) -> _Place:
    """Return where a matrix lies; its holder keeps it alive."""
    return _Place(np.int64(array.ctypes.data), array.strides[0], array.strides[1])


class _Memory:
    """Reads and writes vectors by LLVM's instructions.

    Args:
        builder: Where the instructions go.
        count: How many numbers of a vector there are; None: all of them. Those beyond are read as
            zeros and not written.
    """

    def __init__(self, builder: Any, count: Any = None) -> None:
        self._builder = builder
        self._mask = None
        if count is not None:
            lanes = ir.Constant(ir.VectorType(_INT64, LANES), list(range(LANES)))
            self._mask = builder.icmp_signed("<", lanes, self._repeated(count))

    def read(self, address: Any) -> Any:
        place = self._builder.inttoptr(address, _VECTOR.as_pointer())
        if self._mask is None:
            return self._builder.load(place, align=_NUMBER_BYTES)
        return self._masked("load", _VECTOR, [place, _alignment(), self._mask, _ZEROS])

    def write(self, vector: Any, address: Any) -> None:
        place = self._builder.inttoptr(address, _VECTOR.as_pointer())
        if self._mask is None:
            self._builder.store(vector, place, align=_NUMBER_BYTES)
        else:
            self._masked("store", ir.VoidType(), [vector, place, _alignment(), self._mask])

    def broadcast(self, address: Any) -> Any:
        """Return a vector with the one number of `address` in all places."""
        place = self._builder.inttoptr(address, _FLOAT.as_pointer())
        return self._repeated(self._builder.load(place, align=_NUMBER_BYTES))

    def _repeated(self, number: Any) -> Any:
        # Put it into the first place of a vector, and take that place for all.
        undefined = ir.Constant(ir.VectorType(number.type, LANES), ir.Undefined)
        first = self._builder.insert_element(undefined, number, _INT32(0))
        all_first = ir.Constant(ir.VectorType(_INT32, LANES), [0] * LANES)
        return self._builder.shuffle_vector(first, undefined, all_first)

    def _masked(self, verb: str, result: Any, arguments: Sequence[Any]) -> Any:
        kind = ir.FunctionType(result, [argument.type for argument in arguments])
        name = f"llvm.masked.{verb}.v{LANES}f32.p0"
        function = cgutils.get_or_insert_function(self._builder.module, kind, name)
        return self._builder.call(function, arguments)


def _alignment() -> Any:
    """Return what the masked instructions are told: vectors begin at any number."""
    return _INT32(_NUMBER_BYTES)


def _tile(n_rows: int, n_vectors: int, *, whole: bool) -> Any:
    """Return the function for one tile of the result.

    It takes (address, bytes to the next row) of the tile; the same of the left factor, with the
    bytes to its next column; the same of the right factor; (inner dimension, columns that there
    are).

    Args:
        n_rows: Rows of the tile.
        n_vectors: Vectors of columns of the tile.
        whole: Whether all columns of the tile are there; else only so many are read and written.
    """

    @intrinsic  # type: ignore[untyped-decorator]
    def tile(_: Any, out: Any, a: Any, b: Any, counts: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            of_out, of_a, of_b, of_counts = (
                cgutils.unpack_tuple(builder, argument) for argument in arguments
            )
            out_start, out_row = of_out
            a_start, a_row, a_column = of_a
            b_start, b_row = of_b
            inner, columns = of_counts
            memory = _Memory(builder, None if whole else columns)

            def address(start: Any, step: tuple[Any, Any], further: tuple[Any, Any]) -> Any:
                for count, size in (step, further):
                    start = builder.add(start, builder.mul(count, size))
                return start

            def vector_step(v: int) -> tuple[Any, Any]:
                return (_INT64(v), _INT64(_VECTOR_BYTES))

            # One sum for each row and vector. LLVM keeps these variables in registers.
            sums = {
                (i, v): cgutils.alloca_once_value(builder, _ZEROS)
                for i in range(n_rows)
                for v in range(n_vectors)
            }

            # Along the inner dimension: add the product of each number of `a` and vector of `b`.
            with cgutils.for_range(builder, inner) as loop:
                vectors = [
                    memory.read(address(b_start, (loop.index, b_row), vector_step(v)))
                    for v in range(n_vectors)
                ]
                numbers = [
                    memory.broadcast(address(a_start, (loop.index, a_column), (_INT64(i), a_row)))
                    for i in range(n_rows)
                ]
                for (i, v), place in sums.items():
                    # "contract" lets LLVM multiply and add by one instruction, rounding once.
                    product = builder.fmul(numbers[i], vectors[v], flags=["contract"])
                    total = builder.fadd(builder.load(place), product, flags=["contract"])
                    builder.store(total, place)

            for (i, v), place in sums.items():
                target = address(out_start, (_INT64(i), out_row), vector_step(v))
                memory.write(builder.load(place), target)
            return context.get_dummy_value()

        return types.void(out, a, b, counts), generate

    return tile


@intrinsic  # type: ignore[untyped-decorator]
def _square(_: Any, out: Any, a: Any) -> Any:
    """Transpose LANES x LANES numbers.

    It takes (address, bytes to the next row) of the result and of what it is made of.

    Each pass puts a row and the one half a square below it together, number by number, as two
    halves of a deck of cards: after log2(LANES) of them each number is in its place.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        of_out, of_a = (cgutils.unpack_tuple(builder, argument) for argument in arguments)
        target, target_row = of_out
        source, source_row = of_a
        memory = _Memory(builder)

        rows = []
        for i in range(LANES):
            address = builder.add(source, builder.mul(_INT64(i), source_row))
            rows.append(memory.read(address))

        half = LANES // 2
        shuffles = [_shuffle_of(range(half)), _shuffle_of(range(half, LANES))]
        n_passes = LANES.bit_length() - 1
        for _ in range(n_passes):
            rows = [
                builder.shuffle_vector(rows[i // 2], rows[i // 2 + half], shuffles[i % 2])
                for i in range(LANES)
            ]

        for i, row in enumerate(rows):
            memory.write(row, builder.add(target, builder.mul(_INT64(i), target_row)))
        return context.get_dummy_value()

    return types.void(out, a), generate


def _shuffle_of(places: Sequence[int]) -> Any:
    """Return the order that takes these places of two vectors in turns."""
    order = []
    for place in places:
        order += [place, LANES + place]
    return ir.Constant(ir.VectorType(_INT32, LANES), order)


_tall_wide = _tile(ROWS, 2, whole=True)
_tall = _tile(ROWS, 1, whole=False)
_wide = _tile(1, 2, whole=True)
_single = _tile(1, 1, whole=False)
