"""A search whose parts may be silent for 3 s only, in a process of its own: what faults hit.

    python -m tests.faults.search_driver <engine> [field=value …]

Prints one JSON line for each phase, notice and trial, and one at its end.
"""

from __future__ import annotations

import json
import sys
import time

import tuning.search.run
from tests.search.run_parts import FILE, NoWriter, options_of
from tuning.executors.supervision.parts import PARTS
from tuning.reports.progress import SilentProgress

SILENCE_S = 3.0


class Told(SilentProgress):
    """Prints what happens."""

    def notice(self, text):
        say(notice=text)

    def phase(self, text):
        say(phase=text)

    def finished(self, result, best):
        say(trial=result.number, attempt=result.attempt, trial_status=result.status.value)


def say(**words):
    print(json.dumps({"at": time.monotonic(), **words}), flush=True)


if __name__ == "__main__":
    tuning.search.run.Writer = NoWriter
    for part in PARTS.values():
        if part.silence_s is not None:
            part.silence_s = SILENCE_S
        part.restarts = 100  # more faults in a row than the world has
    changes = dict(word.split("=") for word in sys.argv[2:])
    budget = {name: json.loads(value) for name, value in changes.items()}
    summary = tuning.search.run.run_study(FILE, options_of(sys.argv[1], **budget), Told())
    params = None if summary.winner is None else dict(summary.winner.params)
    say(status=summary.status, counts=summary.counts, winner=params, test=dict(summary.test))
