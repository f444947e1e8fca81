"""`python -m benchmarks.gpu_check`: check all of it, print a line a check, write `docs/gpu.md`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.gpu_check.box import Box
from benchmarks.gpu_check.checks import CHECKS, checked
from benchmarks.gpu_check.page import page, sentence
from benchmarks.gpu_check.row import Verdict
from benchmarks.perf.commands import ROOT
from benchmarks.perf.report import machine
from tuning.errors import MissingError, TuningError
from tuning.executors.devices.gpus import discover

NO_GPU = (
    "there is no NVIDIA GPU that this process may use, so there is nothing to check. "
    "See nvidia-smi and CUDA_VISIBLE_DEVICES"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print and write.

    Returns:
        0; 1 where a check has failed; 3 where there is no GPU, and nothing is written.
    """
    options = _parser().parse_args(arguments)
    try:
        box = _box()
    except TuningError as error:
        print(error, file=sys.stderr)
        return error.exit_code

    rows = []
    for name in options.checks:
        print(f"{name} …", file=sys.stderr, flush=True)
        row = checked(name, box)
        print(f"{row.verdict.value}: {row.check} {row.note}".strip(), flush=True)
        rows.append(row)
        # After each: a driver may take the machine down with it.
        options.out.write_text(page(rows, box.gpus, machine()))

    print(f"{sentence(rows)}; written: {options.out}")
    return int(any(row.verdict is Verdict.FAILED for row in rows))


def _box() -> Box:
    """Return the machine.

    Raises:
        MissingError: It has no GPU.
    """
    gpus = discover()
    if not gpus:
        raise MissingError(NO_GPU)
    return Box(gpus)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make gpu-check", description=__doc__)
    parser.add_argument(
        "--checks", type=_checks, default=list(CHECKS), help=f"of {','.join(CHECKS)}; default: all"
    )
    parser.add_argument(
        "--out", type=Path, default=ROOT / "docs" / "gpu.md", help="default: docs/gpu.md"
    )
    return parser


def _checks(text: str) -> list[str]:
    names = text.split(",")
    unknown = [name for name in names if name not in CHECKS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no check {unknown[0]!r}; there are {','.join(CHECKS)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
