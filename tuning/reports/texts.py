"""How numbers, times, parameters and errors are written, the same in the live view, the tables and
the report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from tuning.trial import Proposal, Status, TrialResult

# All before the last @ of an authority is taken as secret: database drivers accept passwords with /
# and @ in them.
_USER_INFO = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)[^\s\"'<>]*@")
_SECRET_FIELD = re.compile(  # n_tokens and tokenizer are no secrets
    r"(?i)(?<![\w-])(?!(?:n|num|max|min)_tokens?\b|tokeniz)"
    r"([\w-]*(?:password|passwd|secret|token|api[_-]?key)[\w-]*\s*[=:]\s*)[^\s&;,\"']+"
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")


def masked(text: str) -> str:
    """Return `text` without the user and password of URLs, and without values called password,
    token, secret or key.
    """
    return _SECRET_FIELD.sub(r"\1***", _USER_INFO.sub(r"\1***@", text))


def one_line(text: str) -> str:
    """Return `text` masked, on one line and without control characters, fit for a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in masked(text)).split())


def first_line(error: str, most: int = 160) -> str:
    """Return the first line of an error, masked and cut to `most` characters."""
    text = one_line(error.strip().split("\n", 1)[0])
    return text if len(text) <= most else text[: most - 1] + "…"


def score(value: float | None) -> str:
    """Write a metric with four significant digits, fewer near 0; `–` where there is none."""
    if value is None:
        return "–"
    if not math.isfinite(value) or abs(value) >= 1e7:
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:.1f}"
    return f"{value:#.4g}".rstrip(".") if abs(value) >= 0.01 else f"{value:.3g}"


def spread(value: float) -> str:
    """Write a standard deviation with two significant digits, without an exponent where it is
    large.
    """
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def shown(value: Any) -> str:
    """Write the value of a parameter; real numbers with three significant digits."""
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 1000 else f"{value:.6g}"
    return one_line(str(value))


def params_text(params: Mapping[str, Any]) -> str:
    """Write parameters as `n_hidden=2 lr=0.0123`."""
    return " ".join(f"{one_line(name)}={shown(value)}" for name, value in params.items())


def clock_text(seconds: float) -> str:
    """Write a duration as `0:42`, `12:05` or `3:04:05`."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"


def seconds_text(seconds: float) -> str:
    """Write a duration as `0.04 s`, `4.2 s`, `71 s` or, from ten minutes on, as a clock."""
    if seconds >= 600:
        return clock_text(seconds)
    return (
        f"{seconds:.2f} s"
        if seconds < 1
        else f"{seconds:.1f} s"
        if seconds < 10
        else f"{seconds:.0f} s"
    )


def failure_groups(
    trials: Iterable[tuple[Proposal, TrialResult]],
) -> list[tuple[str, tuple[int, ...]]]:
    """Return what went wrong, the most frequent first: (status and error, numbers of the trials).

    Errors that differ only in their numbers are one group and are shown as the first trial had it.
    """
    groups: dict[tuple[str, str], tuple[str, list[int]]] = {}
    for _, result in trials:
        if result.status in (Status.COMPLETED, Status.PRUNED):
            continue
        error = first_line(result.error) or _UNNAMED[result.status]
        key = (result.status.value, _NUMBER.sub("#", error))
        groups.setdefault(key, (f"{result.status.value}: {error}", []))[1].append(result.number)
    ordered = sorted(groups.values(), key=lambda group: (-len(group[1]), group[1][0]))
    return [(text, tuple(numbers)) for text, numbers in ordered]


def failure_lines(trials: Iterable[tuple[Proposal, TrialResult]], most: int = 5) -> list[str]:
    """Return `failure_groups` as at most `most` lines, `3 × failed: ValueError: … (trials 2, 5,
    9)`.
    """
    groups = failure_groups(trials)
    kept = groups if len(groups) <= most else groups[: most - 1]
    lines = [f"{len(numbers)} × {text} ({_numbers(numbers)})" for text, numbers in kept]
    if rest := groups[len(kept) :]:
        lines.append(
            f"… and {sum(len(n) for _, n in rest)} more in {len(rest)} other ways; see the report"
        )
    return lines


_UNNAMED = {
    Status.FAILED: "no error was recorded",
    Status.DIVERGED: "the loss or the objective was not finite",
    Status.INFEASIBLE: "out of memory",
}


def _numbers(numbers: tuple[int, ...], most: int = 6) -> str:
    listed = ", ".join(map(str, numbers[:most])) + (", …" if len(numbers) > most else "")
    return f"trial {listed}" if len(numbers) == 1 else f"trials {listed}"
