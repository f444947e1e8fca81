"""The live view: counts, best so far, time left, and a line for each slot."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Self

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from tuning.reports.texts import clock_text, one_line, params_text, score
from tuning.trial import EpochReport, Params, Status, TrialResult

MOST_SLOTS = 12
REFRESH_HZ = 4


@dataclass(frozen=True, kw_only=True)
class _RunningTrial:
    """What a slot is busy with.

    Attributes:
        number: The trial's.
        params: Its parameters, as text.
        epochs: Where it ends at the latest; None: not known.
        began: When it did, by the view's clock.
        report: Its last epoch; None before the first.
    """

    number: int
    params: str
    epochs: int | None
    began: float
    report: EpochReport | None = None


@dataclass(frozen=True, kw_only=True)
class _Finals:
    """How far the trainings of the finalists are.

    Attributes:
        done: So many have ended.
        total: So many there are.
        began: When the first was begun, by the view's clock.
    """

    done: int
    total: int
    began: float

    def eta_s(self, now: float, parts: float) -> float | None:
        """Return the seconds left; None before anything of them is done.

        Args:
            now: By the view's clock.
            parts: What those that run have done, each between 0 and 1, together.
        """
        done = min(self.done + parts, self.total)
        if not done:
            return None
        return (now - self.began) / done * (self.total - done)


@dataclass
class _Board:
    """What the view shows; written by the driver's thread, read by Rich's, both under `lock`."""

    clock: Callable[[], float]
    title: str = ""
    total: int | None = None
    metric: str = "value"
    phase: str = ""
    best: TrialResult | None = None
    began: float | None = None  # when the view was first drawn
    finals: _Finals | None = None  # while the best few are trained on fresh seeds
    counts: Counter[str] = field(default_factory=Counter)
    n_refused: int = 0
    durations: list[float] = field(default_factory=list)
    slots: dict[str, _RunningTrial | None] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, result: TrialResult) -> None:
        # It does not count to the trials that are to be done, and says nothing of their time.
        if result.never_trained:
            self.n_refused += 1
            return
        outcome = "failed" if result.status is Status.DIVERGED else result.status.value
        self.counts[outcome] += 1
        if result.trained:
            self.durations.append(result.seconds)

    @property
    def busy(self) -> list[_RunningTrial]:
        return [trial for trial in self.slots.values() if trial is not None]

    @property
    def elapsed_s(self) -> float:
        return 0.0 if self.began is None else self.clock() - self.began

    @property
    def eta_s(self) -> float | None:
        """Seconds left, by the mean time of finished trials; None before the first has finished.

        Work is spread over the slots, and what running trials have done so far counts.
        """
        if self.finals is not None:
            return self.finals.eta_s(self.clock(), self._parts_of_running)
        if self.total is None or not self.durations:
            return None
        n_left = self.total - self.counts.total()
        if n_left <= 0:
            return 0.0

        mean_s = sum(self.durations) / len(self.durations)
        now = self.clock()
        # A trial that takes longer than the mean does not count for more than one.
        done_s = sum(min(now - trial.began, mean_s) for trial in self.busy)

        n_slots = max(1, min(len(self.slots), n_left))
        return max(0.0, n_left * mean_s - done_s) / n_slots

    @property
    def _parts_of_running(self) -> float:
        """What the trainings that run have done, each between 0 and 1, together."""
        parts = 0.0
        for trial in self.busy:
            if trial.report is not None and trial.epochs:
                parts += min(1.0, trial.report.epoch / trial.epochs)
        return parts

    @property
    def bar(self) -> tuple[int, int] | None:
        """How much is done of how much; None where no number says when the search ends."""
        if self.finals is not None:
            return self.finals.done, self.finals.total
        if not self.total:
            return None
        return min(self.counts.total(), self.total), self.total

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        # Under the lock only until the lines are made: drawing must not hold up the driver.
        with self.lock:
            lines = [*self._head(), *self._slot_lines()] if self.title else [self._starting()]
            bar = self.bar if self.title else None

        for index, line in enumerate(lines):
            line.no_wrap = True
            line.overflow = "ellipsis"
            yield line
            if index == 0 and bar is not None:
                done, total = bar
                width = min(options.max_width, 60)
                yield ProgressBar(total=total, completed=done, width=width)
                yield Text("")

    def _starting(self) -> Text:
        return Text.assemble((self.phase, "cyan"), f"  {self.elapsed_s:.0f} s")

    def _head(self) -> list[Text]:
        phase = f"  {self.phase}" if self.phase else ""
        title = Text.assemble((self.title, "bold"), (phase, "cyan"))

        times = f"elapsed {clock_text(self.elapsed_s)}{self._left()}"
        return [title, self._counts_line(), Text.assemble(self._best(), "  ", (times, "dim"))]

    def _left(self) -> str:
        """Return how long it will take; nothing once nothing is left that has an end in sight."""
        bar = self.bar
        if bar is not None and bar[0] >= bar[1]:
            return ""
        eta_s = self.eta_s
        return f"  left {'unknown' if eta_s is None else clock_text(eta_s)}"

    def _counts_line(self) -> Text:
        n_done = self.counts.total()
        parts = [
            f"{n_done} of {self.total} done" if self.total else f"{n_done} done",
            f"{len(self.busy)} running",
            f"{self.counts['pruned']} pruned",
            f"{self.counts['failed']} failed",
        ]
        if self.counts["infeasible"]:
            parts.append(f"{self.counts['infeasible']} infeasible")
        if self.finals is not None:
            parts.append(f"{self.finals.done} of {self.finals.total} trainings of finalists done")
        if self.n_refused:
            parts.append(f"{self.n_refused} broke a constraint, untrained")
        return Text(" · ".join(parts))

    def _best(self) -> Text:
        if self.best is None or self.best.value is None:
            return Text(f"best {self.metric} –")
        value = (f"{self.metric} {score(self.best.value)}", "bold green")
        return Text.assemble("best ", value, f" (trial {self.best.number})")

    def _slot_lines(self) -> list[Text]:
        names = list(self.slots)
        n_hidden = len(names) - MOST_SLOTS
        if n_hidden > 0:
            # The busy ones first only where not all have room: lines that jump are hard to read.
            names.sort(key=lambda name: self.slots[name] is None)
            names = names[:MOST_SLOTS]

        width = max((len(_shortened(name)) for name in names), default=0)
        lines = []
        for name in names:
            label = f"{_shortened(name):<{width}}  "
            lines.append(Text.assemble((label, "cyan"), self._trial_text(self.slots[name])))
        if n_hidden > 0:
            lines.append(Text(f"… and {n_hidden} more", "dim"))
        return lines

    def _trial_text(self, trial: _RunningTrial | None) -> Text:
        if trial is None:
            return Text("idle", "dim")

        if trial.report is None:
            state = "starting"
        else:
            last = f"/{trial.epochs}" if trial.epochs else ""
            state = f"epoch {trial.report.epoch}{last}  {self.metric} {score(trial.report.value)}"
        return Text.assemble(f"trial {trial.number}  {state}  ", (trial.params, "dim"))


class LiveProgress:
    """The view on a terminal, redrawn four times a second; it vanishes at the end, notices stay."""

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
        board.title = one_line(title)
        board.metric = one_line(metric)
        board.total = total_trials
        board.best = best
        for result in earlier:
            board.count(result)
        self._show()

    def _show(self) -> None:
        if self._live is not None or self._ended:
            return

        self._board.began = self._board.clock()
        # stdout may be a pipe and must stay as it is; only what goes to stderr is drawn above.
        self._live = Live(
            self._board,
            console=self._console,
            refresh_per_second=REFRESH_HZ,
            transient=True,
            redirect_stdout=False,
        )
        self._live.start(refresh=True)

    def phase(self, text: str) -> None:
        """Show it beside the title; before `start` alone, with the seconds that have passed."""
        self._board.phase = one_line(text)
        self._show()

    def finals(self, n_done: int, n_total: int) -> None:
        """Show them in the bar, and how long the others will take."""
        board = self._board
        with board.lock:
            known = board.finals
            # The next few are a round of their own.
            goes_on = known is not None and known.done <= n_done
            began = known.began if known is not None and goes_on else board.clock()
            board.finals = _Finals(done=n_done, total=n_total, began=began)

    def notice(self, text: str) -> None:
        """Print it above the view."""
        self._console.print(Text(one_line(text)))

    def running(self, slot: str, number: int, params: Params, epochs: int | None = None) -> None:
        """Show the trial on the slot's line."""
        trial = _RunningTrial(
            number=number, params=params_text(params), epochs=epochs, began=self._board.clock()
        )
        with self._board.lock:
            self._board.slots[slot] = trial

    def epoch(self, slot: str, report: EpochReport) -> None:
        """Show the epoch on the slot's line at the next redraw."""
        with self._board.lock:
            trial = self._board.slots.get(slot)
            if trial is not None:
                self._board.slots[slot] = replace(trial, report=report)

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Count the trial and free its line."""
        with self._board.lock:
            self._board.count(result)
            self._board.best = best
            for slot, trial in self._board.slots.items():
                if trial is not None and trial.number == result.number:
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


def _shortened(slot: str) -> str:
    """Return a slot's name so that it fits a line.

    `GPU-1a2b3c4d` for a UUID; at most three of them, with + between.
    """
    devices = one_line(slot).split("+")[:3]
    return "+".join(device[:12] for device in devices)
