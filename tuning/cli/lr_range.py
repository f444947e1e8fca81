"""`tuning lr-range`: which learning rates a study's model can be trained with."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from tuning.lr_range.result import LRRange


@click.command("lr-range")
@click.argument("study")
@click.option(
    "--batch-size", type=click.IntRange(1), help="Rows a step; default: as the study has it."
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    help="Sweeps from fresh weights.",
)
@click.option(
    "--lr-min", type=float, default=1e-5, show_default=True, help="Where the sweep begins."
)
@click.option("--lr-max", type=float, default=1.0, show_default=True, help="Where it ends.")
@click.option(
    "--steps", type=click.IntRange(20), default=500, show_default=True, help="Steps of a sweep."
)
@click.option("--devices", default="auto", show_default=True, help="auto, cpu, gpu, or one GPU: 0.")
@click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
)
def lr_range(study: str, devices: str, as_json: bool, **asked: Any) -> int:
    """Train STUDY's model for some hundred steps at rising learning rates and suggest some.

    The model is that of the middle of the study's space. Nothing is searched or kept but the test,
    in MLflow and in the folder `reports` of the state folder.

    \b
    Example:
      python -m tuning lr-range housing --seeds 3 --batch-size 32
    """
    from tuning.errors import StudyError
    from tuning.executors.local import open_local
    from tuning.lr_range.result import LRRangeJob, rate_faults
    from tuning.search.lr_bounds import run_tests
    from tuning.search.processes import source_of
    from tuning.storage.home import tuning_home

    if faults := list(rate_faults(asked["lr_min"], asked["lr_max"])):
        raise StudyError(faults, where="lr-range")
    os.umask(0o077)
    home = tuning_home()
    job = LRRangeJob(source_of(study), {}, **asked)
    with open_local(
        devices, label=f"lr-range {study}", notice=lambda text: click.echo(text, err=True)
    ) as executor:
        (test,) = run_tests(executor, [job])
    files = _pictures(test, home / "reports")
    _show(test, files, as_json=as_json)
    stored = _record(test, home, files)
    if as_json:
        told = {
            name: value
            for name, value in test.to_json().items()
            if name not in ("low", "high", "lrs", "losses")
        }
        print(
            json.dumps({**told, "files": {f.suffix[1:]: str(f) for f in files}, "mlflow": stored}),
            flush=True,
        )
    return 0


def _pictures(test: LRRange, folder: Path) -> list[Path]:
    from tuning.lr_range.plot import write_html, write_png
    from tuning.storage.durable import write_json

    name = f"{test.study}-lr-range-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    file = folder / f"{name}.json"
    write_json(file, test.to_json())
    title = f"{test.study}: learning-rate range test"
    return [
        write_html([test], file.with_suffix(".html"), title),
        write_png([test], file.with_suffix(".png")),
        file,
    ]


def _record(test: LRRange, home: Path, files: list[Path]) -> dict[str, str]:
    from tuning.tracking.mlflow_store import QUIET, tracking_uri

    os.environ.update(QUIET)  # before MLflow is imported
    from tuning.tracking.lr_range_runs import record_lr_range

    return record_lr_range(tracking_uri(home), home, test, files)


def _show(test: LRRange, files: list[Path], *, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tuning.lr_range.result import DEFINITIONS
    from tuning.reports.texts import one_line, seconds_text, shown

    console = Console(stderr=as_json)
    table = Table("suggestion", "rate", "what it is", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, rate in test.suggestions.items():
        reason = test.reasons.get(name)
        text = Text(DEFINITIONS[name])
        if reason:
            text.append(f"\n{one_line(reason)}", style="yellow")
        table.add_row(name, shown(rate), text)
    seeds = f"{test.seeds} seed{'s' * (test.seeds > 1)}"
    console.print(
        Text(
            f"{test.study}: {one_line(test.label)}; {seeds}, {seconds_text(test.seconds)}",
            style="bold",
        )
    )
    console.print(table)
    console.print(f"worth searching: {shown(test.interval[0])} … {shown(test.interval[1])}")
    for path in files[:2]:
        console.print(Text(str(path)), soft_wrap=True)
