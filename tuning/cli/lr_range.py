"""`tuning lr-range`: which learning rates a study's model can be trained with."""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuning.cli import options
from tuning.cli.common.early import refuse_function_study

if TYPE_CHECKING:
    from tuning.lr_range.result import LRRange

_CURVES = ("low", "high", "lrs", "losses")  # in the JSON file, too long for the terminal


@dataclass(frozen=True, kw_only=True)
class _Files:
    """Where a range test is kept."""

    html: Path
    png: Path
    json: Path

    def all(self) -> list[Path]:
        return [self.html, self.png, self.json]

    def to_json(self) -> dict[str, str]:
        return {"html": str(self.html), "png": str(self.png), "json": str(self.json)}


@click.command("lr-range")
@click.argument("study")
@click.option(
    "--batch-size",
    type=click.IntRange(1),
    metavar="N",
    help="The number of rows a step. [default: the study's]",
)
@click.option(
    "--seeds",
    type=click.IntRange(1),
    default=3,
    show_default=True,
    metavar="N",
    help="The number of sweeps, each from fresh weights.",
)
@click.option(
    "--lr-min",
    type=float,
    default=1e-5,
    show_default=True,
    metavar="RATE",
    help="The rate at which the sweep begins.",
)
@click.option(
    "--lr-max",
    type=float,
    default=1.0,
    show_default=True,
    metavar="RATE",
    help="The rate at which the sweep ends.",
)
@click.option(
    "--steps",
    type=click.IntRange(20),
    default=500,
    show_default=True,
    metavar="N",
    help="The number of steps of a sweep.",
)
@click.option(
    "--devices",
    default="auto",
    show_default=True,
    metavar="DEVICES",
    help="The device to train on: auto, cpu, gpu, or one GPU by number: 0.",
)
@options.executor
@options.ray_address
@options.memory_per_slot
@options.quota
@options.as_json
def lr_range(
    study: str,
    *,
    batch_size: int | None,
    seeds: int,
    lr_min: float,
    lr_max: float,
    steps: int,
    devices: str,
    executor: str,
    ray_address: str | None,
    memory_per_slot: int | None,
    quota: int | None,
    as_json: bool,
) -> int:
    """Train STUDY's model for some hundred steps at rising learning rates, and suggest rates.

    The model is that of the middle of the study's space. Nothing is searched; only the test is
    kept, in MLflow and in the folder `reports` of the state folder.

    \b
    Example:
      python -m tuning lr-range housing --seeds 3 --batch-size 32
    """
    from tuning.errors import StudyError
    from tuning.executors.executor_spec import ExecutorChoice, open_executor
    from tuning.executors.worker import Limits
    from tuning.lr_range.result import LRRangeJob, rate_faults
    from tuning.search.lr_bounds import run_tests
    from tuning.search.processes import source_of
    from tuning.storage.home import tuning_home
    from tuning.storage.space import SpaceWatch

    options.check_executor(executor, ray_address)
    faults = list(rate_faults(lr_min, lr_max))
    if faults:
        raise StudyError(faults, where="lr-range")

    refuse_function_study(study, "lr-range")
    os.umask(0o077)  # state is this user's alone
    home = tuning_home()
    space = SpaceWatch(home, quota)
    space.check()  # before TensorFlow is imported
    job = LRRangeJob(
        source=source_of(study),
        overrides={},
        batch_size=batch_size,
        seeds=seeds,
        lr_min=lr_min,
        lr_max=lr_max,
        steps=steps,
    )

    def notice(text: str) -> None:
        click.echo(text, err=True)

    limits = Limits(memory_bytes=memory_per_slot)
    label = f"lr-range {study}"
    with open_executor(
        ExecutorChoice(executor, ray_address),
        devices,
        limits=limits,
        label=label,
        notice=notice,
        sources=[job.source],
    ) as opened:
        (test,) = run_tests(opened, [job], on_tick=space.check)

    files = _write_files(test, home / "reports")
    _print(test, files, on_stderr=as_json)
    mlflow = _write_to_mlflow(test, home, files)
    if as_json:
        figures = {name: value for name, value in test.to_json().items() if name not in _CURVES}
        print(json.dumps({**figures, "files": files.to_json(), "mlflow": mlflow}), flush=True)
    return 0


def _write_files(test: LRRange, folder: Path) -> _Files:
    """Write figures and numbers under a name that no other test has."""
    from tuning.lr_range.plot import write_html, write_png
    from tuning.storage.durable import write_json

    now = time.strftime("%Y%m%d-%H%M%S")
    path = folder / f"{test.study}-lr-range-{now}-{secrets.token_hex(2)}.json"
    write_json(path, test.to_json())
    title = f"{test.study}: learning-rate range test"
    return _Files(
        html=write_html([test], path.with_suffix(".html"), title),
        png=write_png([test], path.with_suffix(".png")),
        json=path,
    )


def _write_to_mlflow(test: LRRange, home: Path, files: _Files) -> dict[str, str]:
    from tuning.tracking.mlflow_store import QUIET, tracking_uri

    os.environ.update(QUIET)  # before MLflow is imported
    from tuning.tracking.lr_range_runs import record_lr_range

    return record_lr_range(tracking_uri(home), home, test, files.all()).to_json()


def _print(test: LRRange, files: _Files, *, on_stderr: bool) -> None:
    """Print the suggestions, and why one is not what its definition says."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from tuning.lr_range.result import DEFINITIONS
    from tuning.reports.texts import one_line, seconds_text, value_text

    table = Table("suggestion", "rate", "what it is", box=None, pad_edge=False)
    table.columns[1].justify = "right"
    for name, rate in test.suggestions.items():
        text = Text(DEFINITIONS[name])
        reason = test.reasons.get(name)
        if reason:
            text.append(f"\n{one_line(reason)}", style="yellow")
        table.add_row(name, value_text(rate), text)

    console = Console(stderr=on_stderr)
    seeds = "1 seed" if test.seeds == 1 else f"{test.seeds} seeds"
    head = f"{test.study}: {one_line(test.label)}; {seeds}, {seconds_text(test.seconds)}"
    console.print(Text(head, style="bold"))
    console.print(table)

    low, high = test.interval
    console.print(f"worth searching: {value_text(low)} … {value_text(high)}")
    for path in (files.html, files.png):
        console.print(Text(str(path)), soft_wrap=True)
