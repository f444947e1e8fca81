"""`tuning slots`: which slots a running search has; have it work on others."""

from __future__ import annotations

import json
import time
from pathlib import Path

import click

from tuning.errors import BusyError, StudyError
from tuning.ledger.catalog import find, name_of, searches
from tuning.ledger.records import read_record
from tuning.ledger.search import SearchFiles
from tuning.search.slots.requests import ANSWER_FILE, ONLY_LOOK, SlotAnswer, write_request
from tuning.storage.locks import is_search_locked

ANSWER_S = 30.0
"""So long an answer is waited for: a search that runs looks four times a second, one that begins
once TensorFlow is there.
"""
LEFT_S = 40.0
"""So long it may take until a slot is given up: an epoch, or 30 s."""
_TICK_S = 0.1


@click.command("slots")
@click.argument("study")
@click.option(
    "--devices",
    metavar="DEVICES",
    help=("The devices to work on from now on, as `run` takes them; none: to wait without any."),
)
@click.option(
    "--engine",
    metavar="NAME",
    help="The engine of the search that is meant, where several of the study run.",
)
@click.option(
    "--home",
    type=click.Path(path_type=Path),
    envvar="TUNING_HOME",
    default=Path("mlruns"),
    show_default=True,
    help="The state folder.",
)
@click.option("--json", "as_json", is_flag=True, help="The answer as one JSON object.")
def slots(study: str, devices: str | None, engine: str | None, home: Path, as_json: bool) -> None:
    """Show the slots of the search of STUDY that runs, or have it work on others.

    A trial on a slot that goes ends its epoch, keeps a checkpoint and goes on elsewhere.

    \b
    Examples:
      python -m tuning slots housing
      python -m tuning slots housing --devices 0,1
      python -m tuning slots housing --devices none
    """
    if devices is not None and not devices.strip():
        raise StudyError("--devices is empty; say none, auto, cpu, cpu:2, gpu, or GPUs: 0,1")
    files = running_search(home.absolute(), study, engine)
    request = write_request(files.folder, ONLY_LOOK if devices is None else devices.strip())
    answer = _answer_to(request, files)
    if answer.error:
        raise StudyError(f"{name_of(files)} goes on as it was: {answer.error}")
    if devices is not None:
        answer = _when_left(answer, files)
    if as_json:
        click.echo(json.dumps({"search": name_of(files), **answer.to_json()}))
    else:
        _print(answer, name_of(files))


def running_search(home: Path, study: str, engine: str | None) -> SearchFiles:
    """Return the search that a user means, which runs.

    Args:
        home: The state folder.
        study: A study, or a search as `tuning.ledger.catalog.find` names one.
        engine: Of which of the study's searches; None: the one that runs.

    Raises:
        StudyError: There is none, it does not run, or several do; says which.
    """
    of_study = [files for files in searches(home) if files.folder.parent.name == study]
    running = [files for files in of_study if is_search_locked(files.folder)]
    if engine is not None:
        running = [files for files in running if files.require_header().engine == engine]
    if len(running) == 1:
        return running[0]
    if running:
        names = ", ".join(name_of(files) for files in running)
        raise StudyError(
            f"{len(running)} searches of study '{study}' run; say which: {names}, or --engine"
        )
    if of_study:
        of_engine = "" if engine is None else f" with --engine {engine}"
        raise StudyError(
            f"no search of study '{study}' runs{of_engine}; give --devices to `tuning run`"
        )

    files = find(home, study)
    if not is_search_locked(files.folder):
        raise StudyError(f"{name_of(files)} does not run; give --devices to `tuning run`")
    return files


def _answer_to(request: int, files: SearchFiles) -> SlotAnswer:
    """Wait until the search has answered a request."""
    until = time.monotonic() + ANSWER_S
    while time.monotonic() < until:
        answer = read_record(SlotAnswer, files.folder / ANSWER_FILE)
        if answer is not None and answer.request >= request:
            return answer
        if not is_search_locked(files.folder):
            raise StudyError(f"{name_of(files)} has ended meanwhile")
        time.sleep(_TICK_S)
    raise BusyError(
        f"{name_of(files)} has not answered within {ANSWER_S:.0f} s: it waits for a device, asks "
        "its engine, or writes its report. It takes the request up when it is there again"
    )


def _when_left(answer: SlotAnswer, files: SearchFiles) -> SlotAnswer:
    """Wait until what goes is given up; return what there is then."""
    until = time.monotonic() + LEFT_S
    while answer.leaving and time.monotonic() < until:
        time.sleep(_TICK_S)
        latest = read_record(SlotAnswer, files.folder / ANSWER_FILE)
        if latest is None:  # the search has ended, and has given up all
            break
        answer = latest
    return answer


def _print(answer: SlotAnswer, search: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    words = {
        "works": answer.slots,
        "is being given up at the end of an epoch": answer.leaving,
        "is not free yet": answer.missing,
        "is left to others": answer.yielded,
    }
    rows = [(name, state) for state, names in words.items() for name in names]
    if not rows:
        click.echo(f"{search} has no slot; it waits: tuning slots … --devices auto")
        return
    table = Table("slot", search, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    Console().print(table)
