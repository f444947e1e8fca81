"""Calendar expressions of systemd's `OnCalendar=`: checked, and as cron's fields where cron can."""

from __future__ import annotations

import re
import shutil
import subprocess

from tuning.errors import StudyError

# systemd.time(7), "Calendar events": the words that cron can express, too.
WORDS = {
    "minutely": "* * * * *",
    "hourly": "0 * * * *",
    "daily": "0 0 * * *",
    "weekly": "0 0 * * 1",
    "monthly": "0 0 1 * *",
    "quarterly": "0 0 1 1,4,7,10 *",
    "semiannually": "0 0 1 1,7 *",
    "yearly": "0 0 1 1 *",
    "annually": "0 0 1 1 *",
}
WORKS = '"Mon..Fri 22:00", "Sat,Sun 08:30", "*-*-01 03:00", "22:00", daily, hourly, weekly'

_WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LIMITS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12)}
"""Cron's fields before the weekday, in cron's order, with their lowest and highest number."""

_FORM = re.compile(
    r"(?:(?P<days>[A-Za-z]+(?:(?:\.\.|,)[A-Za-z]+)*)\s+)?"
    r"(?:\*-(?P<month>\*|\d+(?:,\d+)*)-(?P<day>\*|\d+(?:,\d+)*)\s+)?"
    r"(?P<hour>\*|\d+(?:,\d+)*|[\d*]+/\d+):(?P<minute>\*|\d+(?:,\d+)*|[\d*]+/\d+)(?::00?)?"
)


def check_calendar(text: str) -> None:
    """Check that systemd would take `text`, by `systemd-analyze` where there is one.

    Raises:
        StudyError: It would not.
    """
    if not _is_understood(text):
        raise StudyError(f"calendar {text!r} is not understood; these work: {WORKS}")


def _is_understood(text: str) -> bool:
    if not text.strip() or "\n" in text:
        return False

    tool = shutil.which("systemd-analyze")
    if tool is None:
        return to_cron(text) is not None
    command = [tool, "calendar", "--", text]
    done = subprocess.run(command, capture_output=True, check=False, timeout=30)
    return done.returncode == 0


def to_cron(text: str) -> str | None:
    """Return cron's five fields for a calendar expression, or None where cron cannot express it.

    Cron has no seconds, years or time zones, and of weekday and day of the month it takes either,
    not both.
    """
    expression = text.strip()
    if expression.lower() in WORDS:
        return WORDS[expression.lower()]

    match = _FORM.fullmatch(expression)
    if match is None:
        return None

    fields = {}
    for name, (lowest, highest) in _LIMITS.items():
        field = _field(match[name] or "*", lowest, highest)
        if field is None:
            return None
        fields[name] = field

    weekdays = _weekdays(match["days"]) if match["days"] else "*"
    if weekdays is None or (weekdays != "*" and fields["day"] != "*"):
        return None
    return " ".join([*fields.values(), weekdays])


def _field(text: str, lowest: int, highest: int) -> str | None:
    """Return one field as cron has it: `*`, `9,17`, `0-59/15`; None where a number is too high."""
    start, _, step = text.partition("/")
    numbers = [int(number) for number in start.split(",") if number != "*"]
    if any(not lowest <= number <= highest for number in numbers):
        return None

    if not step:
        return ",".join(str(number) for number in numbers) or "*"
    if not 1 <= int(step) <= highest:
        return None
    first = numbers[0] if numbers else lowest
    return f"{first}-{highest}/{int(step)}"


def _weekdays(text: str) -> str | None:
    """Return weekdays as cron has them, Sunday as 0; None where a word is not a weekday."""
    numbers: set[int] = set()
    for part in text.split(","):
        days = [_day_number(name) for name in part.split("..")]
        first, last = days[0], days[-1]
        if first is None or last is None or len(days) > 2:
            return None
        if first > last:  # systemd takes no range over the end of its week, Sunday
            return None

        numbers.update(day % 7 for day in range(first, last + 1))
    return _ranges(sorted(numbers))


def _day_number(name: str) -> int | None:
    """Return 1 for `Mon` or `Monday` to 7 for Sunday."""
    for number, day in enumerate(_WEEK, start=1):
        if name.lower() in (day, day[:3]):
            return number
    return None


def _ranges(numbers: list[int]) -> str:
    """Write numbers as cron does: [1, 2, 3, 5] is `1-3,5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
