"""Calendar expressions: checked, and turned into cron's fields."""

from __future__ import annotations

import shutil

import pytest

from tuning.cli.calendar import WORDS, check_calendar, to_cron
from tuning.errors import StudyError

CRON = {
    "Mon..Fri 22:00": "0 22 * * 1-5",
    "Sat,Sun 08:30": "30 8 * * 0,6",
    "Fri..Sun 01:00": "0 1 * * 0,5-6",
    "Monday,Wed..Friday 6:05:00": "5 6 * * 1,3-5",
    "22:00": "0 22 * * *",
    "*-*-01 03:00": "0 3 1 * *",
    "*-*-1,15 03:00": "0 3 1,15 * *",
    "*-06-* 12:00": "0 12 * 6 *",
    "*:0/15": "0-59/15 * * * *",
    "0/6:30": "30 0-23/6 * * *",
    "9,17:00": "0 9,17 * * *",
    **WORDS,
}
BEYOND_CRON = [
    "*-*-* 22:00:30",
    "2027-01-01 00:00",
    "22:00 Europe/Berlin",
    "Mon *-*-01 03:00",
    "*-*~03 10:00",
]
WRONG = [
    "",
    "every day",
    "Mon..Fri",
    "Fri..Mon 01:00",
    "Moon 10:00",
    "25:00",
    "10:60",
    "*-13-01 10:00",
    "22:00\nExecStart=x",
    "--help",
]


@pytest.fixture(params=["systemd", "own"])
def check(request, monkeypatch):
    """The check with systemd's help, and without."""
    if request.param == "own":
        monkeypatch.setattr(shutil, "which", lambda name: None)
    elif shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze here")
    return check_calendar


@pytest.mark.parametrize(("calendar", "fields"), CRON.items())
def test_a_simple_calendar_has_a_cron_line(calendar, fields):
    assert to_cron(calendar) == fields


@pytest.mark.parametrize("calendar", [*BEYOND_CRON, *WRONG])
def test_what_cron_cannot_express_has_none(calendar):
    assert to_cron(calendar) is None


def test_every_calendar_that_has_a_cron_line_is_accepted(check):
    for calendar in CRON:
        check(calendar)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze here")
def test_systemd_is_asked_about_what_cron_cannot_express():
    for calendar in BEYOND_CRON:
        check_calendar(calendar)


# To systemd, "Mon..Fri" is midnight.
@pytest.mark.parametrize("calendar", [text for text in WRONG if text != "Mon..Fri"])
def test_a_calendar_that_means_nothing_is_refused_with_what_works(check, calendar):
    with pytest.raises(StudyError) as caught:
        check(calendar)
    assert str(caught.value) == (
        f"calendar {calendar!r} is not understood; these work: "
        '"Mon..Fri 22:00", "Sat,Sun 08:30", "*-*-01 03:00", "22:00", daily, hourly, weekly'
    )
