"""`docs/gpu.md`: the machine, a table of the checks, and what was not there."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.gpu_check.row import Figures, Row, Verdict
from tuning.executors.devices.gpus import Device
from tuning.schema import Json

HEAD = """# Checked on a GPU

Written by `make gpu-check` on a machine with a GPU. What is "not there" was not checked.
"""


def page(rows: Sequence[Row], gpus: Sequence[Device], about: Json) -> str:
    """Return the page.

    Args:
        rows: In the order of the checks.
        gpus: Those that the checks could use.
        about: The machine, as `benchmarks.perf.report.machine` tells.
    """
    lines = [HEAD, *_machine(gpus, about), "", "| check | | figures | |", "|---|---|---|---|"]
    for row in rows:
        cells = (row.check, row.verdict.value, _words(row.figures), row.note)
        lines.append(f"| {' | '.join(map(_cell, cells))} |")
    return "\n".join(lines) + "\n"


def sentence(rows: Sequence[Row]) -> str:
    """Say in one sentence how it went."""
    counts = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    return ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items() if count)


def _machine(gpus: Sequence[Device], about: Json) -> list[str]:
    libraries = ", ".join(f"{name} {version}" for name, version in about["libraries"].items())
    return [
        f"- GPUs: {', '.join(f'{gpu.name} ({gpu.memory_mb} MiB)' for gpu in gpus)}",
        f"- processor: {about['cpu']}, {about['cores']} cores, {about['memory_gib']} GiB",
        f"- {about['system']}, Python {about['python']}, {libraries}",
        f"- commit {about['commit']}, {about['date']}",
    ]


def _words(figures: Figures) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in figures.items() if value != "")


def _number(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _cell(text: str) -> str:
    """Return a text that does not end its cell."""
    return " ".join(text.split()).replace("|", "\\|")
