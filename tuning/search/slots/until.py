"""`Until`: the moment on the wall clock at which a run ends, `--until 08:00`.

What the user reads on a clock is meant, so the wall clock is asked each time: one that is set right
by some minutes, and a box that slept, count as the user sees them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from datetime import time as clock_time
from typing import Self

from tuning.errors import StudyError

Clock = Callable[[], float]

_TIME_OF_DAY = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")
_OTHER_DAY_S = 12 * 3600.0
"""A clock that steps further than this had the wrong day: a box that began without a battery."""


def _uptime_s() -> float:
    """Return seconds that nobody sets and that go on while the box sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


class Until:
    """A moment on the wall clock.

    Attributes:
        text: As it was given.
        moment: Unix seconds.

    Args:
        text: `08:00`, the next time that the clock shows it; or a day too, `2026-12-02T08:00`, with
            a zone where it is not the box's: `2026-12-02T08:00+01:00`.
        wall, uptime: Clocks, in seconds; tests give others.

    Raises:
        StudyError: It is no time, or has passed.
    """

    def __init__(self, text: str, wall: Clock = time.time, uptime: Clock = _uptime_s) -> None:
        self.text = text.strip()
        self._wall = wall
        self._uptime = uptime
        self._set_at = wall() - uptime()
        self._of_day = _of_day(self.text)
        self.moment = self._of_date() if self._of_day is None else self._next(self._of_day)

    @classmethod
    def of(cls, text: str | None) -> Self | None:
        """Return the moment that an option names; None where it was not given."""
        return None if text is None else cls(text)

    @property
    def has_come(self) -> bool:
        """Whether the wall clock shows that moment, or a later one."""
        stepped_s = self._wall() - self._uptime() - self._set_at
        if abs(stepped_s) > _OTHER_DAY_S and self._of_day is not None:
            # It was set: the time of day is meant of the day that it shows now.
            self._set_at += stepped_s
            self.moment = self._next(self._of_day)
        return self._wall() >= self.moment

    @property
    def seconds_left(self) -> float:
        """How long until then, as the clock stands now; not below 0."""
        return max(0.0, self.moment - self._wall())

    def _next(self, of_day: clock_time) -> float:
        """Return when the clock shows the time of day next."""
        now = self._wall()
        today = datetime.fromtimestamp(now).date()
        moments = [
            datetime.combine(today + timedelta(days=days), of_day.replace(fold=fold)).timestamp()
            for days in (0, 1)
            for fold in (0, 1)  # twice in the night when clocks are put back
        ]
        return min(moment for moment in moments if moment > now)

    def _of_date(self) -> float:
        try:
            date = datetime.fromisoformat(self.text)
        except ValueError:
            date = None
        # A day alone is no moment.
        if date is None or ":" not in self.text:
            raise StudyError(
                f"{self.text!r} is no time; write 08:00, 2026-12-02T08:00 or, in another zone than "
                "this box's, 2026-12-02T08:00+01:00",
                where="--until",
            )
        moment = date.timestamp()
        if moment <= self._wall():
            now = datetime.fromtimestamp(self._wall()).isoformat(timespec="minutes")
            raise StudyError(
                f"{self.text} has passed, it is {now} here; name a later time", where="--until"
            )
        return moment


def _of_day(text: str) -> clock_time | None:
    match = _TIME_OF_DAY.fullmatch(text)
    return None if match is None else clock_time(int(match[1]), int(match[2]))
