"""Part rss: whether a slot's processes grow over 200 trials, all of different structure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import psutil

from benchmarks.perf.commands import FINALS, fresh_home, our_command, results_of, watched
from benchmarks.perf.records import Part, Row, Sizes, Verdict

_LOOK_S = 0.2
_STUDY = Path(__file__).with_name("studies") / "structures.py"


def part_rss(sizes: Sizes) -> Part:
    """Return the highest RSS of any process that trains, over the first trials and over all later
    ones.
    """
    first, trials = (4, 10) if sizes.quick else (20, 200)
    with fresh_home() as home:
        looks = _watched(home, trials)
        at_end = [
            result["rss_mb"]
            for result in sorted(results_of(home), key=lambda r: float(r["ended_at"]))
        ]
    early = max(rss for done, rss in looks if done < first)
    late = max(rss for done, rss in looks if done >= first)
    name = f"highest RSS of a process that trains, {trials} structures"
    raw = {f"trials 1–{first}": [early], f"trials {first + 1}–{trials}": [late]}
    notes = {"at each trial's end": at_end}
    row = Row(name, "MiB", raw, f"trials {first + 1}–{trials}", better="lower", notes=notes)
    what = f"RSS over trials {first + 1}–{trials} against the first {first}"
    return Part("rss", "memory of the workers", [row], [Verdict.at_most(what, late / early, 1.3)])


def _watched(home: Path, trials: int) -> list[tuple[int, float]]:
    """Run the search; return (trials ended, highest RSS in MiB) five times a second."""
    looks: list[tuple[int, float]] = []

    def look(pid: int) -> None:
        folders = home.glob("ledger/*/*/trials/*")
        ended = [(folder / "result.json").exists() for folder in folders]
        if ended and (highest := _highest(pid)):
            looks.append((sum(ended), highest))

    watched(our_command(str(_STUDY), "--trials", trials, *FINALS), home, look, look_s=_LOOK_S)
    return looks


def _highest(pid: int) -> float:
    """Return the highest RSS among the forkserver's children; those that train are the largest of
    them.
    """
    sizes: list[float] = []
    try:
        family: Sequence[psutil.Process] = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0
    for process in family:
        try:
            if "tuning.tracking.writer" not in process.cmdline():
                sizes.append(process.memory_info().rss / 2**20)
        except psutil.Error:
            continue  # it has just ended
    return max(sizes, default=0.0)
