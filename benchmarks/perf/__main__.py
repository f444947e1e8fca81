"""`python -m benchmarks.perf`: run the benchmark, or some of its parts."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from benchmarks.perf.commands import ROOT, warm_imports
from benchmarks.perf.driver import part_e
from benchmarks.perf.epochs import part_a, part_floor
from benchmarks.perf.memory import part_rss
from benchmarks.perf.page import write_page
from benchmarks.perf.records import Part, Sizes
from benchmarks.perf.report import machine, show, write
from benchmarks.perf.searches import part_b, part_c, part_d
from benchmarks.perf.startup import part_f
from tuning.errors import TuningError
from tuning.storage.home import tuning_home

PARTS: Mapping[str, Callable[[Sizes], Part]] = {
    "a": part_a,
    "b": part_b,
    "c": part_c,
    "d": part_d,
    "e": part_e,
    "f": part_f,
    "rss": part_rss,
    "floor": part_floor,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print and write; a missed target is no error.

    Returns:
        0, or the exit code of the error that ended it.
    """
    options = _parser().parse_args(arguments)
    # For all children: both sides import compiled bytecode.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

    if options.quick:
        sizes = Sizes(quick=True, repeats=options.repeats or 1, seconds=0.05)
    else:
        sizes = Sizes(repeats=options.repeats or 3)
    console = Console(stderr=True)
    about = machine()
    out = options.out or tuning_home() / "perf"
    parts: list[Part] = []
    try:
        warm_imports()
        for key in options.parts:
            console.print(f"part {key} …", highlight=False)
            parts.append(PARTS[key](sizes))
            write(out, parts, sizes, about)  # after each part: many minutes may follow
    except TuningError as error:
        console.print(str(error), markup=False, highlight=False)
        return error.exit_code
    finally:
        # A log has no width; 80 would fold every cell.
        show(Console(width=None if sys.stdout.isatty() else 140), parts)
    console.print(f"written: {out / 'perf.json'} and perf.html", highlight=False)
    # Some parts, or tiny ones, are no table for readers.
    is_whole = not options.quick and list(options.parts) == list(PARTS)
    if is_whole and options.page.exists() and write_page(options.page, parts, about):
        console.print(f"written: {options.page}", highlight=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make perf", description=__doc__)
    parser.add_argument(
        "--parts", type=_parts, default=list(PARTS), help=f"of {','.join(PARTS)}; default: all"
    )
    parser.add_argument(
        "--quick",
        action="store_true",
        help="tiny sizes, to see that it runs; the figures say nothing",
    )
    parser.add_argument(
        "--repeats", type=int, default=0, help="pairs of each comparison; default 3"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the files; default: perf in TUNING_HOME"
    )
    parser.add_argument(
        "--page",
        type=Path,
        default=ROOT / "docs" / "benchmarks.md",
        help="page whose table a whole run writes; default: docs/benchmarks.md",
    )
    return parser


def _parts(text: str) -> list[str]:
    keys = text.split(",")
    unknown = [key for key in keys if key not in PARTS]
    if unknown:
        raise argparse.ArgumentTypeError(f"no part {unknown[0]!r}; there are {','.join(PARTS)}")
    return keys


if __name__ == "__main__":
    sys.exit(main())
