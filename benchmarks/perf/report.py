"""What the benchmark leaves behind: one JSON file, a page of plots, a table."""

from __future__ import annotations

import json
import platform
import subprocess
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import psutil

from benchmarks.perf.commands import ROOT
from benchmarks.perf.records import Part, Row, Sizes
from benchmarks.perf.together import core_slots
from tuning.schema import Json, JsonObject

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


def machine() -> JsonObject:
    """Return what the figures depend on: processor, memory, versions, commit."""
    return {
        "cpu": _cpu_model(),
        "cores": len(core_slots()),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "libraries": _versions(_LIBRARIES),
        "load_before": psutil.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "commit": _commit(),
    }


def as_json(parts: Sequence[Part], sizes: Sizes, about: Json) -> JsonObject:
    """Return the whole benchmark as plain JSON types; `about` is the machine."""
    verdicts = [verdict for part in parts for verdict in part.verdicts]
    return {
        "machine": dict(about),
        "settings": asdict(sizes),
        "met": sum(verdict.met for verdict in verdicts),
        "missed": [verdict.words for verdict in verdicts if not verdict.met],
        "parts": {part.key: part.to_json() for part in parts},
    }


def write(folder: Path, parts: Sequence[Part], sizes: Sizes, about: Json) -> list[Path]:
    """Write `perf.json` and `perf.html`, and `perf.png` where Plotly can make one.

    Returns:
        What was written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "perf.json"
    text = json.dumps(as_json(parts, sizes, about), indent=1, ensure_ascii=False)
    data.write_text(f"{text}\n")

    page = folder / "perf.html"
    figure = _figure(parts, about)
    figure.write_html(page, include_plotlyjs=True, full_html=True)
    if find_spec("kaleido") is None:
        return [data, page]

    picture = folder / "perf.png"
    figure.write_image(picture)
    return [data, page, picture]


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
            colour = "green" if verdict.met else "red"
            console.print(f"[{colour}]{verdict.words}[/]", highlight=False)


def _ratios(row: Row) -> list[str]:
    return [f"{row.ratio(other):.3g} × ({other})" for other in row.against]


def _figure(parts: Sequence[Part], about: Json) -> Any:
    """Draw one chart a part: how many times better ours is; part e: milliseconds over trials."""
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    figure = make_subplots(
        rows=len(parts), cols=1, subplot_titles=[f"{part.key}: {part.title}" for part in parts]
    )
    for place, part in enumerate(parts, 1):
        for bars in _bars(part):
            trace = go.Bar(
                x=bars.factors,
                y=bars.names,
                orientation="h",
                name=bars.title,
                text=[f"{factor:.1f} ×" for factor in bars.factors],
            )
            figure.add_trace(trace, row=place, col=1)
        for name, windows in part.series.items():
            trace = go.Scatter(
                x=[window["trials"] for window in windows],
                y=[window["driver_ms"] for window in windows],
                name=f"{name}: driver, ms a trial",
            )
            figure.add_trace(trace, row=place, col=1)
    heights = 220 * len(parts) + 26 * sum(len(part.rows) for part in parts)
    title = f"{about['cpu']}, {about['cores']} cores · {about['date']} · {about['commit'][:12]}"
    figure.update_layout(title=title, height=heights, template="plotly_white", barmode="group")
    return figure


class _Bars(NamedTuple):
    """Bars of one colour: one for each row."""

    title: str
    factors: list[float]
    names: list[str]


def _bars(part: Part) -> list[_Bars]:
    """Return how many times better ours is than each other side."""
    bars = []
    others = dict.fromkeys(other for row in part.rows for other in row.against)
    for other in others:
        rows = [row for row in part.rows if other in row.against]
        factors = [row.ratio(other) for row in rows]
        bars.append(_Bars(f"against {other}", factors, [row.name for row in rows]))

    if not others and not part.series:  # nothing is compared: the figures themselves
        bars += [
            _Bars(row.unit, list(row.medians.values()), list(row.medians)) for row in part.rows
        ]
    return bars


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []  # not Linux
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())


def _versions(libraries: Iterable[str]) -> dict[str, str]:
    """Return the versions of those that are installed."""
    versions = {}
    for library in libraries:
        with suppress(PackageNotFoundError):
            versions[library] = version(library)
    return versions


def _commit() -> str:
    """Return the commit, and whether files differ from it; "" outside a repository."""
    head = _git("rev-parse", "HEAD")
    if head.returncode != 0:
        return ""
    changes = _git("status", "--porcelain").stdout.strip()
    return head.stdout.strip() + (" with changes" if changes else "")


def _git(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
