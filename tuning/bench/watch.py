"""What a benchmark says while it works: a bar on a terminal, a line for each search that ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from tuning.bench.plan import Search
from tuning.bench.runs import BenchRun
from tuning.reports.texts import first_line, one_line, score, seconds_text


class Watch:
    """Told by the driver what happens; one thread calls it.

    Args:
        console: Where it is written; None: nowhere.
    """

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(quiet=True)

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        )
        terminal = console is not None and console.is_terminal and not console.is_dumb_terminal
        self._bar = Progress(*columns, console=self._console, transient=True, disable=not terminal)
        self._task = self._bar.add_task("searches", total=None)

        self._epochs = 0
        self._ended = 0
        self._total = 0

    def begin(self, searches: Sequence[Search], earlier: Mapping[str, BenchRun]) -> None:
        """Say what will be done, and what is done already."""
        self._total = len(searches)
        self._ended = len(earlier)
        if earlier:
            self.notice(f"{len(searches)} searches, {len(earlier)} done before")
        else:
            self.notice(f"{len(searches)} searches")
        self._bar.update(self._task, total=self._total, completed=self._ended)

    def epoch(self, search: Search) -> None:
        """A trial of a search has trained an epoch."""
        self._epochs += 1
        self._bar.update(self._task, description=f"searches ({self._epochs} epochs trained)")

    def ended(self, search: Search, run: BenchRun) -> None:
        """A search has ended."""
        self._ended += 1
        self._bar.update(self._task, completed=self._ended)
        self.notice(f"[{self._ended}/{self._total}] {search.title}: {outcome(run)}")

    def notice(self, text: str) -> None:
        """Say something that stays on the screen."""
        self._console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._bar.stop()


def outcome(run: BenchRun) -> str:
    """Return how a search went, in a line."""
    spent = f"{run.counts.total} trials, {run.epochs} epochs, {seconds_text(run.seconds)}"
    if run.ended == "failed":
        return f"failed, {first_line(run.error)}; {spent}"

    value = score(None if run.best is None else run.best.value)
    test = score(None if run.best is None else run.best.test)
    line = f"{run.curve.metric} {value}, test {test}; {spent}"
    if run.ended == "exhausted":
        line += ", no more to propose"
    return line
