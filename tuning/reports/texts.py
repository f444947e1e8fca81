"""How numbers, times, parameters and errors are written, the same in every view and report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuning.storage.secrets import without_secrets
from tuning.trial import Params, Proposal, Status, TrialResult

_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")

_WITHOUT_ERROR = {
    Status.FAILED: "no error was recorded",
    Status.DIVERGED: "the loss or the objective was not finite",
    Status.INFEASIBLE: "out of memory",
}
_MOST_NUMBERS = 6  # of trials that are named one by one


def one_line(text: str) -> str:
    """Return `text` without secrets and control characters, on one line: fit for a terminal."""
    printable = "".join(c if c.isprintable() else " " for c in without_secrets(text))
    return " ".join(printable.split())


def first_line(error: str, most: int = 160) -> str:
    """Return the first line of an error, without secrets and cut to `most` characters."""
    line, _, _ = error.strip().partition("\n")
    text = one_line(line)
    return text if len(text) <= most else text[: most - 1] + "…"


def call_here(*, with_make: str, plain: str) -> str:
    """Return the one of two commands that works in this folder.

    Args:
        with_make: Where a Makefile calls this package, as the project's own does.
        plain: Everywhere else.
    """
    try:
        makefile = Path("Makefile").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return plain
    return with_make if "-m tuning" in makefile else plain


def figure(metric: str, value: float | None) -> str:
    """Write the value of an objective: a count of parameters whole, any other as a `score`."""
    if value is None or metric != "n_parameters":
        return score(value)
    return f"{value:,.0f}"


def score(value: float | None) -> str:
    """Write a metric with four significant digits, fewer near 0; `–` where there is none."""
    if value is None:
        return "–"
    if not math.isfinite(value) or abs(value) >= 1e7:
        return f"{value:.3g}"
    if abs(value) >= 1000:
        return f"{value:.1f}"
    if abs(value) >= 0.01:
        return f"{value:#.4g}".rstrip(".")
    return f"{value:.3g}"


def with_spread(value: float | None, deviation: float | None) -> str:
    """Write a score, and behind it its spread over the seeds of repeats, where there is one."""
    return score(value) if deviation is None else f"{score(value)} ± {spread(deviation)}"


def over_seeds(metric: str, mean: float | None, deviation: float | None, n_seeds: int) -> str:
    """Write a mean over fresh seeds, and its spread where there are two of them and more."""
    text = figure(metric, mean)
    if mean is None or deviation is None or n_seeds < 2:
        return text
    return f"{text} ± {spread(deviation)}"


def spread(value: float) -> str:
    """Write a standard deviation with two significant digits, never with a large exponent."""
    return f"{value:.2g}" if value < 100 else f"{value:.0f}"


def value_text(value: Any) -> str:
    """Write the value of a parameter; real numbers with three significant digits."""
    if not isinstance(value, float):
        return one_line(str(value))
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.6g}"


def params_text(params: Params) -> str:
    """Write parameters as `n_hidden=2 lr=0.0123`."""
    return " ".join(f"{one_line(name)}={value_text(value)}" for name, value in params.items())


def count_text(count: int, unit: str) -> str:
    """Write `1 trial`, `0 trials`, `1,000 trials`."""
    return f"{count:,} {unit}" if count == 1 else f"{count:,} {unit}s"


def clock_text(seconds: float) -> str:
    """Write a duration as `0:42`, `12:05` or `3:04:05`."""
    minutes, second = divmod(max(0, int(seconds)), 60)
    hours, minute = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minute:02d}:{second:02d}"
    return f"{minute}:{second:02d}"


def seconds_text(seconds: float) -> str:
    """Write a duration as `0.04 s`, `4.2 s`, `71 s` or, from ten minutes on, as a clock."""
    if seconds >= 600:
        return clock_text(seconds)
    if seconds >= 10:
        return f"{seconds:.0f} s"
    if seconds >= 1:
        return f"{seconds:.1f} s"
    return f"{seconds:.2f} s"


def used_text(cpu_s: float, gpu_s: float) -> str:
    """Write what was used of processors and GPUs; "" where nothing was measured."""
    used = []
    if cpu_s:
        used.append(f"{seconds_text(cpu_s)} of processor time")
    if gpu_s:
        used.append(f"{seconds_text(gpu_s)} on GPUs ({gpu_s / 3600:.3g} GPU-hours)")
    return ", ".join(used)


@dataclass
class FailureGroup:
    """Trials that failed in the same way.

    Attributes:
        text: Status and error, as the first of them had it.
        numbers: The trials, in their order.
    """

    text: str
    numbers: list[int] = field(default_factory=list)


def failure_groups(trials: Iterable[tuple[Proposal, TrialResult]]) -> list[FailureGroup]:
    """Return what went wrong, the most frequent first, then the earliest.

    Errors that differ only in their numbers are one group.
    """
    # `… lr=0.05` and `… lr=0.2` are one error.
    groups: dict[tuple[Status, str], FailureGroup] = {}
    for _, result in trials:
        if result.status in (Status.COMPLETED, Status.PRUNED):
            continue

        error = first_line(result.error) or _WITHOUT_ERROR[result.status]
        key = (result.status, _NUMBER.sub("#", error))
        if key not in groups:
            groups[key] = FailureGroup(f"{result.status.value}: {error}")
        groups[key].numbers.append(result.number)

    return sorted(groups.values(), key=lambda group: (-len(group.numbers), group.numbers[0]))


def failure_lines(trials: Iterable[tuple[Proposal, TrialResult]], most: int = 5) -> list[str]:
    """Return `failure_groups` as at most `most` lines.

    A line reads `3 × failed: ValueError: … (trials 2, 5, 9)`.
    """
    groups = failure_groups(trials)
    n_listed = len(groups) if len(groups) <= most else most - 1
    others = groups[n_listed:]

    lines = [f"{len(g.numbers)} × {g.text} ({_trials_text(g.numbers)})" for g in groups[:n_listed]]
    if others:
        n_trials = sum(len(group.numbers) for group in others)
        lines.append(f"… and {n_trials} more in {len(others)} other ways; see the report")
    return lines


def _trials_text(numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"trial {numbers[0]}"
    text = ", ".join(str(number) for number in numbers[:_MOST_NUMBERS])
    if len(numbers) > _MOST_NUMBERS:
        text += ", …"
    return f"trials {text}"
