"""Part e: what the driver costs a trial, the first and the ten-thousandth, and its writer."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

from benchmarks.perf.commands import FINALS, fresh_home, our_command, results_of, run, watched
from benchmarks.perf.records import Part, Row, Sizes, Verdict, Window
from tuning.storage.durable import read_json

_TRIAL_S = 5.0
_LOOK_S = 0.25
_STUDY = Path(__file__).with_name("studies") / "slow_trials.py"


class _Look(NamedTuple):
    """What was seen of the writer at one moment."""

    trials: int  # that had ended
    cpu_s: float  # that the writer had used


@dataclass(frozen=True, kw_only=True)
class _Watched:
    """What was seen of the writer of one command.

    Attributes:
        ended_at: When the command ended, seconds since the epoch.
        writer_cpu_s: The writer's CPU time in all.
        steady_trials: Trials of the stretch in which nothing starts up any more.
        steady_cpu_s: The writer's CPU time over that stretch.
    """

    ended_at: float
    writer_cpu_s: float
    steady_trials: int
    steady_cpu_s: float


def part_e(sizes: Sizes) -> Part:
    """Return the driver's milliseconds a trial over no-op trials, and the writer's share."""
    counts = (200,) if sizes.quick else (1_000, 10_000)
    series = {f"{count} trials": _drive(count) for count in counts}
    longest = series[f"{counts[-1]} trials"]
    rows = [_by_window(name, windows) for name, windows in series.items()]
    verdicts = list(_driver_verdicts(longest))

    writer, writer_verdicts = _writer(sizes)
    return Part(
        key="e",
        title="the driver over trials that train nothing; the writer behind trials that do",
        rows=[*rows, writer],
        verdicts=[*verdicts, *writer_verdicts],
        series=series,
    )


def _drive(trials: int) -> list[dict[str, float]]:
    with TemporaryDirectory(prefix="tuning-perf-") as folder:
        output = run([sys.executable, "-m", "benchmarks.perf.drive", str(trials), folder])
    windows: list[dict[str, float]] = json.loads(output.splitlines()[-1])
    return windows


def _by_window(name: str, windows: Sequence[Window]) -> Row:
    """Return the phases at the start and at the end; a raw figure a window."""
    phases = [phase for phase in windows[0] if phase not in ("trials", "rss_mb")]

    return Row(
        name=f"{name}, no-op, one figure for each {windows[0]['trials']:.0f}",
        unit="ms a trial",
        raw={phase: [window[phase] for window in windows] for phase in phases},
        ours="driver_ms",
        better="lower",
        notes={
            "at the start": dict(_start_of(windows)),
            "at the end": dict(windows[-1]),
            "driver's RSS, MiB": [window["rss_mb"] for window in windows],
        },
    )


def _start_of(windows: Sequence[Window]) -> Window:
    """Return the second window, of trials 101–200: the first 100 meet cold caches."""
    return windows[min(1, len(windows) - 1)]


def _driver_verdicts(windows: Sequence[Window]) -> Iterator[Verdict]:
    """Compare the second window with the last."""
    start = _start_of(windows)
    end = windows[-1]
    trials = f"{end['trials']:.0f} trials"

    last_five = median(window["driver_ms"] for window in windows[-5:])
    what = "the driver's time a trial, median of the last five windows"
    yield Verdict.at_most(what, last_five, 15, "ms")

    growth = end["driver_ms"] / start["driver_ms"]
    yield Verdict.at_most(f"the same after {trials} against {start['trials']:.0f}", growth, 2)

    if end["trials"] > 1_000:
        thousandth = next(window for window in windows if window["trials"] >= 1_000)
        growth = end["rss_mb"] / thousandth["rss_mb"]
        what = f"the driver's memory after {trials} against 1,000 (flat)"
        yield Verdict.at_most(what, growth, 1.1)


def _writer(sizes: Sizes) -> tuple[Row, list[Verdict]]:
    """Run a search of real trials of some 5 s, look at its writer from outside."""
    trials = 6 if sizes.quick else 24
    epochs = 2 if sizes.quick else 60
    command = our_command(str(_STUDY), "--epochs", epochs, "--trials", trials, *FINALS)
    with fresh_home() as home:
        seen = _watch_writer(command, home)
        results = results_of(home)
        status = read_json(next(home.glob("ledger/*/*/status.json"))) or {}

    slots = len({result["slot"] for result in results})
    cpu_s = seen.steady_cpu_s / max(1, seen.steady_trials)
    share = cpu_s * slots / _TRIAL_S  # longer trials have less of it
    behind_s = seen.ended_at - float(status["at"])
    row = Row(
        name=f"the writer behind trials of {epochs} epochs",
        unit="s",
        raw={"writer's CPU": [cpu_s], "command's end after the search's": [behind_s]},
        ours="writer's CPU",
        better="lower",
        notes={
            "share of a trial's own time, %": 100 * share / slots,
            "trial, s": median(result["seconds"] for result in results),
            "trials": len(results),
            "slots": slots,
            **asdict(seen),
        },
    )
    what = f"the writer's CPU with {slots} slots of 5 s trials, share of the wall time"
    return row, [
        Verdict.at_most(what, 100 * share, 2, "%"),
        Verdict.at_most("the command's end after the search's (all written)", behind_s, 5, "s"),
    ]


def _watch_writer(command: Sequence[str], home: Path) -> _Watched:
    """Run the command; return the writer's CPU time, in all and while nothing starts up."""
    looks: list[_Look] = []

    def look(pid: int) -> None:
        cpu_s = _writer_cpu_s(pid)
        if cpu_s is not None:
            ended = len(list(home.glob("ledger/*/*/trials/*/result.json")))
            looks.append(_Look(ended, cpu_s))

    watched(command, home, look, look_s=_LOOK_S)
    ended_at = time.time()

    # By the third result MLflow is imported and its database made.
    # With the last one the command begins to end.
    most = max((look.trials for look in looks), default=0)
    steady = [look for look in looks if 3 <= look.trials < most]
    return _Watched(
        ended_at=ended_at,
        writer_cpu_s=looks[-1].cpu_s if looks else 0.0,
        steady_trials=steady[-1].trials - steady[0].trials if steady else 0,
        steady_cpu_s=steady[-1].cpu_s - steady[0].cpu_s if steady else 0.0,
    )


def _writer_cpu_s(pid: int) -> float | None:
    """Return the CPU time of a command's writer; None where it does not run."""
    try:
        for child in psutil.Process(pid).children():
            if "tuning.tracking.writer" in child.cmdline():
                times = child.cpu_times()
                return float(times.user + times.system)
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return None
    return None
