"""Calendar expressions: what systemd's `OnCalendar=` takes, checked, and put as cron's five fields
where cron can.
"""

from __future__ import annotations

import re
import shutil
import subprocess

from tuning.errors import StudyError

# systemd.time(7), "Calendar events"; cron's line for the words both know.
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
_DAYS = {
    day: number
    for number, day in enumerate(("mon", "tue", "wed", "thu", "fri", "sat", "sun"), start=1)
}
_FORM = re.compile(
    r"(?:(?P<days>[A-Za-z]+(?:(?:\.\.|,)[A-Za-z]+)*)\s+)?"
    r"(?:\*-(?P<month>\*|\d+(?:,\d+)*)-(?P<day>\*|\d+(?:,\d+)*)\s+)?"
    r"(?P<hour>\*|\d+(?:,\d+)*|[\d*]+/\d+):(?P<minute>\*|\d+(?:,\d+)*|[\d*]+/\d+)(?::00?)?"
)
_LIMITS = {"month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59)}
WORKS = '"Mon..Fri 22:00", "Sat,Sun 08:30", "*-*-01 03:00", "22:00", daily, hourly, weekly'


def check_calendar(text: str) -> None:
    """Raise `StudyError` where systemd would not take `text`; asks `systemd-analyze` where there is
    one.
    """
    tool = shutil.which("systemd-analyze")
    if not text.strip() or "\n" in text:
        understood = False
    elif tool is not None:
        done = subprocess.run(
            [tool, "calendar", "--", text], capture_output=True, check=False, timeout=30
        )
        understood = done.returncode == 0
    else:
        understood = to_cron(text) is not None
    if not understood:
        raise StudyError(f"calendar {text!r} is not understood; these work: {WORKS}")


def to_cron(text: str) -> str | None:
    """Return cron's five fields for a calendar expression, or None where cron cannot express it.

    Cron can't: seconds, years, time zones, and weekday together with day of the month (cron takes
    either, not both).
    """
    plain = text.strip()
    if plain.lower() in WORDS:
        return WORDS[plain.lower()]
    match = _FORM.fullmatch(plain)
    if match is None:
        return None
    days = _weekdays(match["days"]) if match["days"] else "*"
    fields = {name: _field(match[name] or "*", *limits) for name, limits in _LIMITS.items()}
    if days is None or None in fields.values() or (days != "*" and fields["day"] != "*"):
        return None
    return f"{fields['minute']} {fields['hour']} {fields['day']} {fields['month']} {days}"


def _field(text: str, least: int, most: int) -> str | None:
    start, _, step = text.partition("/")
    numbers = [int(number) for number in start.split(",") if number != "*"]
    if any(not least <= number <= most for number in numbers):
        return None
    if not step:
        return ",".join(str(number) for number in numbers) or "*"
    if not 1 <= int(step) <= most:
        return None
    return f"{numbers[0] if numbers else least}-{most}/{int(step)}"


def _weekdays(text: str) -> str | None:
    numbers: set[int] = set()
    for part in text.split(","):
        names = [name.lower()[:3] if _is_day(name) else "" for name in part.split("..")]
        if "" in names or len(names) > 2:
            return None
        first, last = _DAYS[names[0]], _DAYS[names[-1]]
        if first > last:  # systemd takes no range over the end of its week, Sunday
            return None
        numbers.update(day % 7 for day in range(first, last + 1))
    return _runs(sorted(numbers))


def _is_day(name: str) -> bool:
    full = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
    return name.lower() in _DAYS or name.lower() in full


def _runs(numbers: list[int]) -> str:
    """Write numbers as cron does: [1, 2, 3, 5] is `1-3,5`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)
