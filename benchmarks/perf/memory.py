"""Part rss: whether a slot's processes grow over 200 trials, all of different structure."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import psutil

from benchmarks.perf.commands import FINALS, fresh_home, our_command, results_of, watched
from benchmarks.perf.records import Part, Row, Sizes, Verdict

_LOOK_S = 0.2
_STUDY = Path(__file__).with_name("studies") / "structures.py"
_MOST_GROWTH = 1.3


class _Look(NamedTuple):
    """What was seen at one moment."""

    trials: int  # that had ended
    rss_mb: float  # of the largest process that trains


def part_rss(sizes: Sizes) -> Part:
    """Return the highest RSS of any process that trains, at first and later."""
    n_first = 4 if sizes.quick else 20
    n_trials = 10 if sizes.quick else 200
    with fresh_home() as home:
        looks = _watch_search(home, n_trials)
        results = sorted(results_of(home), key=lambda result: float(result["ended_at"]))

    early = max(look.rss_mb for look in looks if look.trials < n_first)
    late = max(look.rss_mb for look in looks if look.trials >= n_first)
    later_trials = f"trials {n_first + 1}–{n_trials}"
    row = Row(
        name=f"highest RSS of a process that trains, {n_trials} structures",
        unit="MiB",
        raw={f"trials 1–{n_first}": [early], later_trials: [late]},
        ours=later_trials,
        better="lower",
        notes={"at each trial's end": [result["rss_mb"] for result in results]},
    )
    what = f"RSS over {later_trials} against the first {n_first}"
    verdict = Verdict.at_most(what, late / early, _MOST_GROWTH)
    return Part(key="rss", title="memory of the workers", rows=[row], verdicts=[verdict])


def _watch_search(home: Path, trials: int) -> list[_Look]:
    """Run the search; return what was seen of it five times a second."""
    looks: list[_Look] = []

    def look(pid: int) -> None:
        folders = home.glob("ledger/*/*/trials/*")
        ended = [(folder / "result.json").exists() for folder in folders]
        if not ended:  # no trial has begun
            return
        highest = _highest_rss(pid)
        if highest:
            looks.append(_Look(sum(ended), highest))

    command = our_command(str(_STUDY), "--trials", trials, *FINALS)
    watched(command, home, look, look_s=_LOOK_S)
    return looks


def _highest_rss(pid: int) -> float:
    """Return the highest RSS in MiB among a command's children; those that train are the largest.

    0 where there are none.
    """
    try:
        children = psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0

    highest = 0.0
    for child in children:
        try:
            if "tuning.tracking.writer" not in child.cmdline():
                highest = max(highest, child.memory_info().rss / 2**20)
        except psutil.Error:
            continue  # it has just ended
    return highest
