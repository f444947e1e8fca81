"""The live view: counts, best so far, time left, and a line for each slot."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from tuning.reports.texts import clock_text, one_line, params_text, score
from tuning.trial import EpochReport, Status, TrialResult

MOST_SLOTS = 12
REFRESH_HZ = 4


@dataclass(frozen=True)
class _Work:
    number: int
    params: str
    epochs: int | None
    since: float
    report: EpochReport | None = None


@dataclass
class _Board:
    """What the view shows; written by the driver's thread, read by Rich's, both under `lock`."""

    clock: Callable[[], float]
    title: str = ""
    total: int | None = None
    metric: str = "value"
    phase: str = ""
    best: TrialResult | None = None
    began: float | None = None  # when the view was first shown
    counts: Counter[str] = field(default_factory=Counter)
    durations: list[float] = field(default_factory=list)
    slots: dict[str, _Work | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, result: TrialResult) -> None:
        name = "failed" if result.status is Status.DIVERGED else result.status.value
        self.counts[name] += 1
        if result.copied_from is None:
            self.durations.append(result.seconds)

    @property
    def elapsed_s(self) -> float:
        return 0.0 if self.began is None else self.clock() - self.began

    @property
    def eta_s(self) -> float | None:
        """Seconds left by the mean time of finished trials, spread over the slots; None before the
        first.
        """
        if self.total is None or not self.durations:
            return None
        left = self.total - self.counts.total()
        if left <= 0:
            return 0.0
        mean = sum(self.durations) / len(self.durations)
        now = self.clock()
        done = sum(min(now - work.since, mean) for work in self.slots.values() if work is not None)
        return max(0.0, left * mean - done) / max(1, min(len(self.slots), left))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        with self.lock:
            lines = [*self._head(), *self._slot_lines()] if self.title else [self._starting()]
            done, total = self.counts.total(), self.total
        for index, line in enumerate(lines):
            line.no_wrap, line.overflow = True, "ellipsis"
            yield line
            if index == 0 and total:
                yield ProgressBar(
                    total=total, completed=min(done, total), width=min(options.max_width, 60)
                )
                yield Text("")

    def _starting(self) -> Text:
        return Text.assemble((self.phase, "cyan"), f"  {self.elapsed_s:.0f} s")

    def _head(self) -> list[Text]:
        title = Text.assemble(
            (self.title, "bold"), ("  " + self.phase if self.phase else "", "cyan")
        )
        running = sum(work is not None for work in self.slots.values())
        done = self.counts.total()
        of = f"{done} of {self.total}" if self.total else f"{done}"
        parts = [f"{of} done", f"{running} running", f"{self.counts['pruned']} pruned"]
        parts.append(f"{self.counts['failed']} failed")
        if self.counts["infeasible"]:
            parts.append(f"{self.counts['infeasible']} out of memory")
        eta = "unknown" if self.eta_s is None else clock_text(self.eta_s)
        times = f"elapsed {clock_text(self.elapsed_s)}  left {eta}"
        return [title, Text(" · ".join(parts)), Text.assemble(self._best(), "  ", (times, "dim"))]

    def _best(self) -> Text:
        if self.best is None or self.best.value is None:
            return Text(f"best {self.metric} –")
        value = (f"{self.metric} {score(self.best.value)}", "bold green")
        return Text.assemble("best ", value, f" (trial {self.best.number})")

    def _slot_lines(self) -> list[Text]:
        # The busy ones first only where not all can be shown: lines that jump are hard to read.
        names = list(self.slots)
        if len(names) > MOST_SLOTS:
            names.sort(key=lambda name: self.slots[name] is None)
        width = max((len(_short(name)) for name in names[:MOST_SLOTS]), default=0)
        lines = [
            Text.assemble((f"{_short(n):<{width}}  ", "cyan"), self._work(n))
            for n in names[:MOST_SLOTS]
        ]
        if len(names) > MOST_SLOTS:
            lines.append(Text(f"… and {len(names) - MOST_SLOTS} more", "dim"))
        return lines

    def _work(self, slot: str) -> Text:
        work = self.slots[slot]
        if work is None:
            return Text("idle", "dim")
        report = work.report
        state = "starting"
        if report is not None:
            of = f"/{work.epochs}" if work.epochs else ""
            state = f"epoch {report.epoch}{of}  {self.metric} {score(report.value)}"
        return Text.assemble(f"trial {work.number}  {state}  ", (work.params, "dim"))


class LiveProgress:
    """The view on a terminal, redrawn four times a second whatever happens; it vanishes at the end,
    notices stay.
    """

    def __init__(self, console: Console, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._board = _Board(clock)
        self._live: Live | None = None
        self._ended = False

    def start(
        self,
        title: str,
        total_trials: int | None,
        *,
        metric: str = "value",
        earlier: Sequence[TrialResult] = (),
        best: TrialResult | None = None,
    ) -> None:
        """Draw the view."""
        board = self._board
        board.title, board.metric, board.total = one_line(title), one_line(metric), total_trials
        board.best = best
        for result in earlier:
            board.count(result)
        self._show()

    def _show(self) -> None:
        if self._live is not None or self._ended:
            return
        self._board.began = self._board.clock()
        # Only what goes to stderr is drawn above the view: stdout may be a pipe and must stay as it
        # is.
        self._live = Live(
            self._board,
            console=self._console,
            refresh_per_second=REFRESH_HZ,
            transient=True,
            redirect_stdout=False,
        )
        self._live.start(refresh=True)

    def phase(self, text: str) -> None:
        """Show it beside the title; before `start` alone, with the seconds since."""
        self._board.phase = one_line(text)
        self._show()

    def notice(self, text: str) -> None:
        """Print it above the view."""
        self._console.print(Text(one_line(text)))

    def running(
        self, slot: str, number: int, params: Mapping[str, Any], epochs: int | None = None
    ) -> None:
        """Show the trial on the slot's line."""
        work = _Work(number, params_text(params), epochs, self._board.clock())
        with self._board.lock:
            self._board.slots[slot] = work

    def epoch(self, slot: str, report: EpochReport) -> None:
        """Show the epoch on the slot's line at the next redraw."""
        with self._board.lock:
            work = self._board.slots.get(slot)
            if work is not None:
                self._board.slots[slot] = _Work(
                    work.number, work.params, work.epochs, work.since, report
                )

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Count the trial and free its line."""
        with self._board.lock:
            self._board.count(result)
            self._board.best = best
            for slot, work in self._board.slots.items():
                if work is not None and work.number == result.number:
                    self._board.slots[slot] = None

    def idle(self, slot: str) -> None:
        """Show the slot as idle."""
        with self._board.lock:
            self._board.slots[slot] = None

    def stop(self) -> None:
        """Take the view off the screen, for good."""
        self._ended = True
        if self._live is not None:
            self._live.stop()
            self._live = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def _short(slot: str) -> str:
    """Return a slot's name as it fits a line: `GPU-1a2b3c4d` for a UUID, parts joined by + each so."""
    return "+".join(part[:12] for part in one_line(slot).split("+")[:3])
