"""Part f: from the command to the first epoch, beside `import tensorflow` in the same minute."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from benchmarks.perf.commands import fresh_home, run
from benchmarks.perf.records import Part, Row, Sizes, Verdict

MOST_OVER_S = 3.0

_IMPORT = (
    "import time; began = time.perf_counter(); "
    "import tensorflow; print(time.perf_counter() - began)"
)


def part_f(sizes: Sizes) -> Part:
    """Return seconds from `python -m tuning run housing` to its first epoch.

    The state folder is empty each time.
    """
    imports = []
    first_epochs = []
    for _ in range(sizes.repeats):
        imports.append(float(run([sys.executable, "-c", _IMPORT]).splitlines()[-1]))
        first_epochs.append(_first_epoch())

    row = Row(
        name="`tuning run housing` to its first epoch",
        unit="s",
        raw={"import tensorflow": imports, "ours": first_epochs},
        better="lower",
    )
    over = row.medians["ours"] - row.medians["import tensorflow"]
    what = "the first epoch after the command, above the time of `import tensorflow`"
    verdict = Verdict.at_most(what, over, MOST_OVER_S, "s")
    return Part(key="f", title="time to the first epoch", rows=[row], verdicts=[verdict])


def _first_epoch() -> float:
    with fresh_home() as home:
        note = Path(f"{home}.first")
        began = time.time()
        run([sys.executable, "-m", "benchmarks.perf.stopwatch", str(note), "run", "housing"], home)
        return float(note.read_text()) - began
