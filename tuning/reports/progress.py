"""What the driver shows while it works: a live view, one line a finished trial, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console

from tuning.reports.live import LiveProgress
from tuning.reports.texts import count_text, first_line, one_line, params_text, score, seconds_text
from tuning.trial import EpochReport, Params, Status, TrialResult

__all__ = ["LiveProgress", "PlainProgress", "Progress", "SilentProgress", "choose_progress"]


class Progress(Protocol):
    """Receives from the driver what happens.

    One thread calls it; every call is cheap; `stop` may be called twice.
    """

    def start(
        self,
        title: str,
        total_trials: int | None,
        *,
        metric: str = "value",
        earlier: Sequence[TrialResult] = (),
        best: TrialResult | None = None,
    ) -> None:
        """Begin.

        Args:
            title: Study and engine, as the user reads them.
            total_trials: Trials in all, the earlier ones included; None: until the engine has no
                more.
            metric: The objective's name.
            earlier: Results of the runs before, where a search is resumed; they are counted, not
                announced.
            best: The best of these.
        """

    def phase(self, text: str) -> None:
        """Say what the run does as a whole: `searching`, `training finalists 4 of 9`, …"""

    def finals(self, n_done: int, n_total: int) -> None:
        """So many of the trainings of the finalists have ended; in the end all of them have."""

    def notice(self, text: str) -> None:
        """Tell the user something that stays on the screen."""

    def running(self, slot: str, number: int, params: Params, epochs: int | None = None) -> None:
        """A trial has begun on a slot; `epochs` is where it ends at the latest."""

    def epoch(self, slot: str, report: EpochReport) -> None:
        """The trial on this slot has trained an epoch."""

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """A trial has ended; `best` is the best completed one so far."""

    def idle(self, slot: str) -> None:
        """The slot has nothing to do."""

    def stop(self) -> None:
        """End; the terminal is as before."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class SilentProgress:
    """Says nothing."""

    def start(
        self,
        title: str,
        total_trials: int | None,
        *,
        metric: str = "value",
        earlier: Sequence[TrialResult] = (),
        best: TrialResult | None = None,
    ) -> None:
        """Say nothing."""

    def phase(self, text: str) -> None:
        """Say nothing."""

    def finals(self, n_done: int, n_total: int) -> None:
        """Say nothing."""

    def notice(self, text: str) -> None:
        """Say nothing."""

    def running(self, slot: str, number: int, params: Params, epochs: int | None = None) -> None:
        """Say nothing."""

    def epoch(self, slot: str, report: EpochReport) -> None:
        """Say nothing."""

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Say nothing."""

    def idle(self, slot: str) -> None:
        """Say nothing."""

    def stop(self) -> None:
        """Say nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class PlainProgress(SilentProgress):
    """One line for each finished trial and each notice, for pipes and log files."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._metric = "value"
        self._total: int | None = None
        self._done = 0
        self._phase = ""
        self._finals_done = 0
        self._params: dict[int, str] = {}

    def start(
        self,
        title: str,
        total_trials: int | None,
        *,
        metric: str = "value",
        earlier: Sequence[TrialResult] = (),
        best: TrialResult | None = None,
    ) -> None:
        """Print what begins, and what is known from earlier runs."""
        self._metric = one_line(metric)
        self._total = total_trials
        self._done = sum(not result.never_trained for result in earlier)

        count = "all trials" if total_trials is None else count_text(total_trials, "trial")
        known = f", {len(earlier)} known from earlier runs" if earlier else ""
        self._print(f"{title}: {count}{known}")

    def phase(self, text: str) -> None:
        """Print it where it is another one than before: a start of seconds is no silence."""
        if text != self._phase:
            self._phase = text
            self._print(text)

    def finals(self, n_done: int, n_total: int) -> None:
        """Print each training that has ended."""
        if n_done > self._finals_done:
            self._print(f"[finals {n_done}/{n_total}]")
        self._finals_done = n_done

    def notice(self, text: str) -> None:
        """Print it."""
        self._print(text)

    def running(self, slot: str, number: int, params: Params, epochs: int | None = None) -> None:
        """Remember the parameters for the line to come."""
        self._params[number] = params_text(params)

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Print one line: count, trial, status, value or error, best so far, parameters."""
        self._done += not result.never_trained
        count = f"[{self._done}/{self._total}]" if self._total else f"[{self._done}]"
        parts = [f"{count} trial {result.number} {result.status.value}: {self._outcome(result)}"]

        if best is not None and best.value is not None:
            parts.append(f"best {score(best.value)} (trial {best.number})")

        params = self._params.pop(result.number, "")
        if params:
            parts.append(params)
        self._print(" · ".join(parts))

    def _outcome(self, result: TrialResult) -> str:
        """Return value or error, and what it cost."""
        if result.copied_from is not None:
            cost = f"as trial {result.copied_from}"
        elif result.from_search:
            cost = f"told by {result.from_search}"
        else:
            cost = f"{count_text(result.epochs, 'epoch')} in {seconds_text(result.seconds)}"

        if result.status in (Status.COMPLETED, Status.PRUNED):
            return f"{self._metric} {score(result.value)}, {cost}"
        error = first_line(result.error)
        return f"{error}, {cost}" if error else cost

    def _print(self, text: str) -> None:
        # Never wrapped: logs are searched line by line.
        self._console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)


def choose_progress(quiet: bool, json: bool, console: Console) -> Progress:
    """Return the view that fits the options and the terminal.

    Silence with `--quiet`; else the live view on a terminal, lines without one and with `--json`.
    """
    if quiet:
        return SilentProgress()
    # A dumb terminal cannot redraw; with `--json` a program reads along.
    if json or not console.is_terminal or console.is_dumb_terminal:
        return PlainProgress(console)
    return LiveProgress(console)
