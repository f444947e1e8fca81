"""The command line until the first epoch is reported.

`python -m benchmarks.perf.stopwatch NOTE run housing`: the time is written to NOTE and the
command interrupted as by Ctrl-C.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path
from typing import Any

from tuning.reports import progress
from tuning.trial import EpochReport


class Stopwatch(progress.SilentProgress):
    """Writes down when the first epoch is reported, and ends the run."""

    def __init__(self, note: Path) -> None:
        self._note = note

    def epoch(self, slot: str, report: EpochReport) -> None:
        """Note the time, end the run."""
        self._note.write_text(str(time.time()))
        raise KeyboardInterrupt


def main(note: Path, arguments: list[str]) -> int:
    """Run the command line with a stopwatch in place of what it shows.

    Returns:
        0 where the first epoch was seen, else the command's exit code.
    """

    def choose(*_: Any, **__: Any) -> Stopwatch:
        return Stopwatch(note)

    # The command looks it up when it runs.
    setattr(progress, "choose_progress", choose)  # noqa: B010 - mypy refuses a plain assignment
    sys.argv = ["tuning", *arguments]
    try:
        runpy.run_module("tuning", run_name="__main__")
    except SystemExit as ended:
        # How an interrupted run ends is its own matter.
        return 0 if note.exists() else int(ended.code or 1)
    return 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
