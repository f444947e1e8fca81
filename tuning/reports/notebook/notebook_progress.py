"""`NotebookProgress`: the live view of a terminal, in the output of a notebook's cell."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

from rich.console import Console

from tuning.reports.live import LiveProgress
from tuning.reports.progress import Progress, SilentProgress
from tuning.trial import EpochReport, Params, TrialResult

_WIDTH = 100
_SHORTEST_S = 0.5
"""Between two drawings: each is a message to the browser."""

_PRE = '<pre style="line-height:1.3;white-space:pre;overflow-x:auto">{code}</pre>'


class Display(Protocol):
    """The output of a cell that can be drawn again, as IPython's display handle is one."""

    def update(self, html: str) -> None:
        """Show this in the place of what was shown."""


def default_progress() -> Progress:
    """Return what a call that says nothing else shows: the view in a notebook, elsewhere nothing.

    IPython is asked only where it runs already: outside of it nothing is imported.
    """
    display = _display_of_the_cell()
    return SilentProgress() if display is None else NotebookProgress(display)


def _display_of_the_cell() -> Display | None:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    # IPython in a terminal has no kernel, and cannot draw an output again.
    if shell is None or getattr(shell, "kernel", None) is None:
        return None
    return _CellDisplay(sys.modules["IPython.display"])


class _CellDisplay:
    """A display handle of IPython's.

    Args:
        module: `IPython.display`.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self._handle: Any = None

    def update(self, html: str) -> None:
        shown = self._module.HTML(html)
        if self._handle is None:
            self._handle = self._module.display(shown, display_id=True)
        else:
            self._handle.update(shown)


class NotebookProgress(LiveProgress):
    """The same lines as in a terminal, drawn again as trials go on; at the end they vanish.

    Notices are printed, so that they stay.

    Args:
        display: Where it is drawn.
        clock: Seconds; only a test needs another than the process's own.
    """

    def __init__(self, display: Display, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(Console(file=sys.stdout, force_jupyter=False, width=_WIDTH), clock)
        self._display = display
        self._clock = clock
        self._drawn_at: float | None = None

    def _show(self) -> None:
        if self._ended:
            return
        if self._board.began is None:
            self._board.began = self._clock()
        self._draw(at_once=True)

    def _draw(self, *, at_once: bool = False) -> None:
        now = self._clock()
        if not at_once and self._drawn_at is not None and now - self._drawn_at < _SHORTEST_S:
            return
        self._drawn_at = now
        console = Console(
            file=io.StringIO(), record=True, width=_WIDTH, force_terminal=True, force_jupyter=False
        )
        console.print(self._board)
        self._display.update(console.export_html(inline_styles=True, code_format=_PRE))

    def running(self, slot: str, number: int, params: Params, epochs: int | None = None) -> None:
        """Show the trial on the slot's line."""
        super().running(slot, number, params, epochs)
        self._draw()

    def epoch(self, slot: str, report: EpochReport) -> None:
        """Show the epoch on the slot's line, if the last drawing is old enough."""
        super().epoch(slot, report)
        self._draw()

    def finished(self, result: TrialResult, best: TrialResult | None) -> None:
        """Count the trial and free its line."""
        super().finished(result, best)
        self._draw()

    def stop(self) -> None:
        """Take the view out of the cell, for good."""
        drawn = self._drawn_at is not None and not self._ended
        super().stop()
        if drawn:
            self._display.update("")
