"""What the benchmark leaves behind: one JSON file, a page of plots, a table."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from benchmarks.perf.commands import ROOT
from benchmarks.perf.records import Part, Row, Sizes
from benchmarks.perf.together import core_slots

if TYPE_CHECKING:
    from rich.console import Console

_LIBRARIES = (
    "tensorflow-cpu",
    "tensorflow",
    "keras",
    "numpy",
    "scikit-learn",
    "scikeras",
    "optuna",
    "keras-tuner",
    "mlflow",
)


def machine() -> dict[str, Any]:
    """Return what the figures depend on: processor, memory, versions, commit."""
    return {
        "cpu": _cpu_model(),
        "cores": len(core_slots()),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": {n: v for n in _LIBRARIES if (v := _version(n))},
        "load_before": psutil.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "commit": _commit(),
    }


def as_json(parts: Sequence[Part], sizes: Sizes, about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole benchmark as plain JSON types."""
    verdicts = [verdict for part in parts for verdict in part.verdicts]
    return {
        "machine": dict(about),
        "settings": asdict(sizes),
        "met": sum(verdict.met for verdict in verdicts),
        "missed": [verdict.to_json()["words"] for verdict in verdicts if not verdict.met],
        "parts": {part.key: part.to_json() for part in parts},
    }


def write(
    folder: Path, parts: Sequence[Part], sizes: Sizes, about: Mapping[str, Any]
) -> list[Path]:
    """Write `perf.json` and `perf.html`, and `perf.png` where Plotly can make one; return what was
    written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = [folder / "perf.json", folder / "perf.html"]
    written[0].write_text(
        json.dumps(as_json(parts, sizes, about), indent=1, ensure_ascii=False) + "\n"
    )
    figure = _figure(parts, about)
    figure.write_html(written[1], include_plotlyjs=True, full_html=True)
    if find_spec("kaleido") is not None:
        written.append(folder / "perf.png")
        figure.write_image(written[-1])
    return written


def show(console: Console, parts: Sequence[Part]) -> None:
    """Print medians, ratios and verdicts."""
    from rich.table import Table

    for part in parts:
        table = Table(title=f"{part.key}: {part.title}", title_justify="left")
        for heading in ("compared", "unit", "medians", "ours is better by"):
            table.add_column(heading, overflow="fold")
        for row in part.rows:
            medians = "\n".join(f"{side}: {figure:.3g}" for side, figure in row.medians.items())
            table.add_row(row.name, row.unit, medians, "\n".join(_ratios(row)))
        console.print(table)
        for verdict in part.verdicts:
            console.print(
                ("[green]" if verdict.met else "[red]") + verdict.to_json()["words"] + "[/]",
                highlight=False,
            )


def _ratios(row: Row) -> list[str]:
    return [f"{row.ratio(other):.3g} × ({other})" for other in row.against]


def _figure(parts: Sequence[Part], about: Mapping[str, Any]) -> Any:
    """Draw one bar chart a part: how many times better ours is; part e: milliseconds over trials."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=len(parts), cols=1, subplot_titles=[f"{part.key}: {part.title}" for part in parts]
    )
    for place, part in enumerate(parts, 1):
        for others, factors, names in _bars(part):
            bar = go.Bar(
                x=factors,
                y=names,
                orientation="h",
                name=others,
                text=[f"{f:.1f} ×" for f in factors],
            )
            figure.add_trace(bar, row=place, col=1)
        for name, windows in part.series.items():
            x, y = [w["trials"] for w in windows], [w["driver_ms"] for w in windows]
            figure.add_trace(
                go.Scatter(x=x, y=y, name=f"{name}: driver, ms a trial"), row=place, col=1
            )
    heights = 220 * len(parts) + 26 * sum(len(part.rows) for part in parts)
    title = f"{about['cpu']}, {about['cores']} cores · {about['date']} · {about['commit'][:12]}"
    figure.update_layout(title=title, height=heights, template="plotly_white", barmode="group")
    return figure


def _bars(part: Part) -> list[tuple[str, list[float], list[str]]]:
    """Return (against whom, factors, names of the rows), one for each other side."""
    others = dict.fromkeys(other for row in part.rows for other in row.against)
    found = []
    for other in others:
        rows = [row for row in part.rows if other in row.against]
        found.append(
            (f"against {other}", [row.ratio(other) for row in rows], [row.name for row in rows])
        )
    if not others and not part.series:  # nothing compared: the figures themselves
        found += [(row.unit, list(row.medians.values()), list(row.medians)) for row in part.rows]
    return found


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []  # not Linux
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return ""


def _commit() -> str:
    asked = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    changed = subprocess.run(
        ["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return (
        asked.stdout.strip() + (" with changes" if changed.stdout.strip() else "")
        if asked.returncode == 0
        else ""
    )
