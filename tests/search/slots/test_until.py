"""The moment of `--until`, on a clock that may be set, and in zones that change theirs."""

from __future__ import annotations

import time
from datetime import datetime

import pytest

from tuning.errors import StudyError
from tuning.search.slots.until import Until


class Box:
    """A wall clock and an uptime that tests move."""

    def __init__(self, at: str) -> None:
        self.wall = datetime.fromisoformat(at).timestamp()
        self.uptime = 1000.0

    def goes_on(self, hours: float) -> None:
        self.wall += 3600 * hours
        self.uptime += 3600 * hours

    def until(self, text: str) -> Until:
        return Until(text, wall=lambda: self.wall, uptime=lambda: self.uptime)


@pytest.fixture(autouse=True)
def zone(monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def shown(until: Until) -> str:
    return datetime.fromtimestamp(until.moment).isoformat(timespec="minutes")


@pytest.mark.parametrize(
    ("now", "text", "moment"),
    [
        ("2026-12-01T23:30", "08:00", "2026-12-02T08:00"),
        ("2026-12-02T07:59", "8:00", "2026-12-02T08:00"),
        ("2026-12-02T08:00", "08:00", "2026-12-03T08:00"),
        ("2026-12-01T23:30", "2026-12-04T08:00", "2026-12-04T08:00"),
        ("2026-12-01T23:30", "2026-12-02T08:00+00:00", "2026-12-02T09:00"),
        # Spring forward at 02:00 on 2026-03-29, back at 03:00 on 2026-10-25.
        ("2026-03-28T22:00", "08:00", "2026-03-29T08:00"),
        ("2026-10-24T22:00", "08:00", "2026-10-25T08:00"),
    ],
)
def test_a_time_of_day_is_the_next_one_and_a_date_is_that_day(now, text, moment):
    assert shown(Box(now).until(text)) == moment


def test_the_night_when_clocks_are_put_back_has_ten_hours_until_eight():
    box = Box("2026-10-24T23:00")
    assert box.until("08:00").seconds_left == 10 * 3600


def test_a_time_that_is_shown_twice_in_that_night_is_meant_both_times():
    box = Box("2026-10-25T02:00")  # the first time
    box.goes_on(0.75)
    until = box.until("02:30")
    assert until.seconds_left == 45 * 60


def test_it_comes_with_the_clock_and_not_before():
    box = Box("2026-12-01T23:30")
    until = box.until("08:00")
    box.goes_on(8.4)
    assert not until.has_come
    box.goes_on(0.2)
    assert until.has_come


def test_a_clock_that_is_set_right_by_minutes_is_believed():
    box = Box("2026-12-01T23:30")
    until = box.until("08:00")
    box.goes_on(8.4)
    box.wall += 600
    assert until.has_come


@pytest.mark.parametrize("days", [-1, 1, 20000])
def test_a_clock_that_steps_by_a_day_ends_nothing_and_delays_nothing(days):
    box = Box("2026-12-01T23:30")
    until = box.until("08:00")
    box.goes_on(1.0)
    box.wall += 86400 * days
    assert not until.has_come
    box.goes_on(7.6)
    assert until.has_come


@pytest.mark.parametrize("text", ["8", "25:00", "08:61", "tomorrow", "2026-12-02", ""])
def test_what_is_no_time_is_refused_with_what_would_be(text):
    with pytest.raises(StudyError, match=r"is no time; write 08:00, 2026-12-02T08:00"):
        Box("2026-12-01T23:30").until(text)


def test_a_date_that_has_passed_is_refused():
    with pytest.raises(StudyError, match=r"2026-11-30T08:00 has passed, it is 2026-12-01T23:30"):
        Box("2026-12-01T23:30").until("2026-11-30T08:00")
