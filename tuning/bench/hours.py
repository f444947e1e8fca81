"""`Hours`: `--gpu-hours` and `--cpu-hours` of a benchmark, over all its searches."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from tuning.bench.plan import Search
from tuning.ledger.search import SearchFiles
from tuning.ledger.stamps import numbered
from tuning.ledger.usage import Usage, of_results, used_so_far
from tuning.reports.texts import seconds_text
from tuning.search.budget.compute_budget import Limits

_LOOK_S = 2.0
_WORDS = {"cpu_s": "--cpu-hours", "gpu_s": "--gpu-hours"}


class Hours:
    """Keeps account of what the trials of some searches use, those of earlier runs included.

    A search of a benchmark goes on where it was, so none is held back: once all is used, those that
    run stop at the end of their epoch.

    Attributes:
        refused: Which budget is used up, in words; "": none is.

    Args:
        limits: The budget.
        searches: All of the benchmark.
        clock: In seconds; the files are looked at each 2 s of it.
    """

    def __init__(
        self,
        limits: Limits,
        searches: Sequence[Search],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.refused = ""
        self._limits = limits.named
        self._clock = clock
        self._look_at = clock()
        self._searches = [_Counted(SearchFiles(search.folder)) for search in searches]

    def are_used_up(self) -> bool:
        """Whether one of the budgets is; asked often."""
        now = self._clock()
        if self._limits and not self.refused and now >= self._look_at:
            self._look_at = now + _LOOK_S
            self._look()
        return bool(self.refused)

    def _look(self) -> None:
        used = Usage()
        for search in self._searches:
            used = used.plus(search.used())
        for name, limit in self._limits.items():
            spent: float = getattr(used, name)
            if spent >= limit:
                amounts = f"{seconds_text(spent)} of {seconds_text(limit)}"
                self.refused = f"{_WORDS[name]}: {amounts} are used; a larger one goes on from here"


class _Counted:
    """One search, of which no result is read twice."""

    def __init__(self, files: SearchFiles) -> None:
        self._files = files
        self._ended: set[str] = set()
        self._used = Usage()

    def used(self) -> Usage:
        """Return what its trials have used by now."""
        open_trials = Usage()
        for name in numbered(self._files.folder / "trials"):
            if name in self._ended:
                continue
            result = self._files.result(int(name))
            if result is None:
                folder = self._files.trial_folder(int(name))
                open_trials = open_trials.plus(used_so_far(folder))
            else:
                self._ended.add(name)
                self._used = self._used.plus(of_results([result]))
        return self._used.plus(open_trials)
