"""Part e: what the driver costs a trial, from the first to the ten-thousandth, and the writer
behind it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import psutil

from benchmarks.perf.commands import FINALS, fresh_home, our_command, results_of, run, watched
from benchmarks.perf.records import Part, Row, Sizes, Verdict
from tuning.storage.durable import read_json

_TRIAL_S = 5.0
_LOOK_S = 0.25
_STUDY = Path(__file__).with_name("studies") / "slow_trials.py"
Window = Mapping[str, float]


def part_e(sizes: Sizes) -> Part:
    """Return the driver's milliseconds a trial over 1,000 and 10,000 no-op trials, and the writer's
    share.
    """
    counts = (200,) if sizes.quick else (1_000, 10_000)
    series = {f"{count} trials": _drive(count) for count in counts}
    rows = [_by_window(name, windows) for name, windows in series.items()]
    writer, writer_verdicts = _writer(6 if sizes.quick else 24, sizes)
    longest = series[f"{counts[-1]} trials"]
    verdicts = [*_verdicts(longest), *writer_verdicts]
    return Part(
        "e",
        "the driver over trials that train nothing; the writer behind trials that do",
        [*rows, writer],
        verdicts,
        series,
    )


def _drive(trials: int) -> list[dict[str, float]]:
    with TemporaryDirectory(prefix="tuning-perf-") as folder:
        said = run([sys.executable, "-m", "benchmarks.perf.drive", str(trials), folder])
    windows: list[dict[str, float]] = json.loads(said.splitlines()[-1])
    return windows


def _by_window(name: str, windows: Sequence[Window]) -> Row:
    """Return the phases at the start and at the end; a raw figure a window."""
    raw = {
        phase: [window[phase] for window in windows]
        for phase in windows[0]
        if phase not in ("trials", "rss_mb")
    }
    notes = {
        "at the start": dict(windows[min(1, len(windows) - 1)]),
        "at the end": dict(windows[-1]),
        "driver's RSS, MiB": [window["rss_mb"] for window in windows],
    }
    what = f"{name}, no-op, one figure for each {windows[0]['trials']:.0f}"
    return Row(what, "ms a trial", raw, "driver_ms", better="lower", notes=notes)


def _verdicts(windows: Sequence[Window]) -> Iterator[Verdict]:
    """Compare trials 101–200 (the first 100 meet cold caches) with the last hundred."""
    start, end = windows[min(1, len(windows) - 1)], windows[-1]
    worst = median(window["driver_ms"] for window in windows[-5:])
    yield Verdict.at_most(
        "the driver's time a trial, median of the last five windows", worst, 15, "ms"
    )
    growth = end["driver_ms"] / start["driver_ms"]
    yield Verdict.at_most(
        f"the same after {end['trials']:.0f} trials against {start['trials']:.0f}", growth, 2
    )
    if end["trials"] > 1_000:
        first = next(window for window in windows if window["trials"] >= 1_000)
        grown = end["rss_mb"] / first["rss_mb"]
        yield Verdict.at_most(
            f"the driver's memory after {end['trials']:.0f} trials against 1,000 (flat)", grown, 1.1
        )


def _writer(trials: int, sizes: Sizes) -> tuple[Row, list[Verdict]]:
    """Run a search of real trials of some 5 s, look at its writer from outside."""
    epochs = 2 if sizes.quick else 60
    command = our_command(str(_STUDY), "--epochs", epochs, "--trials", trials, *FINALS)
    with fresh_home() as home:
        seen = _watched(command, home)
        results = results_of(home)
        status = read_json(next(home.glob("ledger/*/*/status.json"))) or {}
    slots = len({result["slot"] for result in results})
    trial_s = median(result["seconds"] for result in results)
    each = seen["steady_cpu_s"] / max(1, seen["steady_trials"])
    share = each * slots / _TRIAL_S  # longer trials have less of it
    behind = seen["ended_at"] - float(status["at"])
    notes = {
        "share of a trial's own time, %": 100 * share / slots,
        "trial, s": trial_s,
        "trials": len(results),
        "slots": slots,
        **seen,
    }
    raw = {"writer's CPU": [each], "command's end after the search's": [behind]}
    row = Row(
        f"the writer behind trials of {epochs} epochs",
        "s",
        raw,
        "writer's CPU",
        better="lower",
        notes=notes,
    )
    return row, [
        Verdict.at_most(
            f"the writer's CPU with {slots} slots of 5 s trials, share of the wall time",
            100 * share,
            2,
            "%",
        ),
        Verdict.at_most("the command's end after the search's (all written)", behind, 5, "s"),
    ]


def _watched(command: Sequence[str], home: Path) -> dict[str, float]:
    """Run the command; return the writer's CPU time, its start-up apart from what trials cost it."""
    looks: list[tuple[int, float]] = []

    def look(pid: int) -> None:
        spent = _writer_cpu(pid)
        if spent is not None:
            looks.append((len(list(home.glob("ledger/*/*/trials/*/result.json"))), spent))

    watched(command, home, look, look_s=_LOOK_S)
    return {
        "ended_at": time.time(),
        "writer_cpu_s": looks[-1][1] if looks else 0.0,
        **_steady(looks),
    }


def _steady(looks: Sequence[tuple[int, float]]) -> dict[str, float]:
    """Take the stretch from the third result on: by then MLflow is imported and its database made."""
    trials = max((count for count, _ in looks), default=0)
    stretch = [look for look in looks if 3 <= look[0] < trials]
    if not stretch:
        return {"steady_trials": 0, "steady_cpu_s": 0.0}
    return {
        "steady_trials": stretch[-1][0] - stretch[0][0],
        "steady_cpu_s": stretch[-1][1] - stretch[0][1],
    }


def _writer_cpu(pid: int) -> float | None:
    try:
        for child in psutil.Process(pid).children():
            if "tuning.tracking.writer" in child.cmdline():
                times = child.cpu_times()
                return float(times.user + times.system)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None
    return None
