"""`RunningTrial`: what is seen of a trial while it runs, and what that says of its cost."""

from __future__ import annotations

from dataclasses import dataclass

from tuning.executors.devices.slot import Slot
from tuning.executors.placement.model import Cost, Timing
from tuning.executors.placement.work import Work

_EARLY_NOISE = 0.2  # of two epochs
_OVERDUE = 3.0  # so many times what it was believed to take
_SETUP_S = 15.0  # a first set-up may well take this: libraries, compilation, data


@dataclass(kw_only=True)
class RunningTrial:
    """A trial on a slot.

    Attributes:
        work: What it does.
        slot: Where.
        began: On the clock, when it was given to its worker.
        n_reports: Epochs it has reported, each fold's counted.
        first_s, last_s: Seconds of its own clock at the first and at the last of them.
    """

    work: Work
    slot: Slot
    began: float
    n_reports: int = 0
    first_s: float = 0.0
    last_s: float = 0.0

    def report(self, seconds: float, fits: int) -> None:
        """Note an epoch."""
        if self.n_reports == 0:
            self.first_s = seconds
        self.last_s = seconds
        self.n_reports += fits

    def early_timing(self) -> Timing | None:
        """Return what the second epoch tells; None at any other."""
        if self.n_reports != 2:
            return None
        return self._timing(_EARLY_NOISE)

    def final_timing(self, seconds: float, believed: Cost) -> Timing:
        """Return what the whole trial tells.

        Args:
            seconds: It has taken in all.
            believed: For the set-up of a trial that has not told its epochs.
        """
        timing = self._timing(0.05)
        if timing is not None:
            return timing
        setup_s = min(believed.setup_s, 0.9 * seconds)
        epochs = max(1, self.n_reports or self.work.epochs)
        epoch_s = (seconds - setup_s) / epochs
        return Timing(kind=self.slot.kind, params=self.work.params, epoch_s=epoch_s, noise=0.5)

    def overdue(self, now: float, believed: Cost, longest_setup_s: float | None) -> Timing | None:
        """Return the least that its epochs take where they take longer than was believed.

        A trial may be so slow that its first epoch never comes: it is not waited for.

        Args:
            now: On the clock.
            believed: Its cost there.
            longest_setup_s: Of others on this kind of slot; None: there was none.
        """
        elapsed = now - self.began
        if self.n_reports > 1:
            return None
        expected = believed.setup_s + (self.n_reports + 1) * believed.epoch_s
        patience_s = _SETUP_S
        if longest_setup_s is not None:
            patience_s = min(_SETUP_S, 2.0 + _OVERDUE * longest_setup_s)
        if elapsed < _OVERDUE * expected or elapsed < patience_s:
            return None
        epoch_s = (elapsed - believed.setup_s) / (self.n_reports + 1)
        return Timing(kind=self.slot.kind, params=self.work.params, epoch_s=epoch_s, noise=0.4)

    def left_s(self, now: float, believed: Cost, epochs: float) -> float:
        """Return the seconds it still takes.

        Args:
            now: On the clock.
            believed: Its cost there.
            epochs: It is going to train in all.
        """
        left = max(0.0, epochs - self.n_reports)
        if self.n_reports > 1:
            return left * self._epoch_s
        elapsed = now - self.began
        return max(0.0, believed.seconds(epochs) - elapsed)

    @property
    def _epoch_s(self) -> float:
        return (self.last_s - self.first_s) / (self.n_reports - 1)

    def _timing(self, noise: float) -> Timing | None:
        if self.n_reports < 2:
            return None
        return Timing(
            kind=self.slot.kind,
            params=self.work.params,
            epoch_s=self._epoch_s,
            setup_s=max(1e-3, self.first_s - self._epoch_s),
            noise=noise,
        )
