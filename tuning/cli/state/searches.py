"""What is wrong with the files of searches that nobody runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tuning.cli.state.fault import FIX, Fault, Mend
from tuning.errors import BusyError, DamagedFileError, NewerFileError, StorageError, StudyError
from tuning.ledger.catalog import name_of, searches
from tuning.ledger.damage import SetAside
from tuning.ledger.results import read_test_score
from tuning.ledger.search import SearchFiles
from tuning.storage.locks import is_search_locked, search_locked


def faults_of_searches(home: Path, sync: Mend) -> Iterator[Fault]:
    """Yield the faults of every search that is not running.

    Args:
        home: The state folder.
        sync: Writes MLflow and Optuna's storage from the ledger.
    """
    unwritten = []
    for found in searches(home):
        if is_search_locked(found.folder):
            continue
        name = name_of(found)
        try:
            found.require_header()
        except DamagedFileError as error:
            yield Fault(
                name=name,
                found=f"{error.path} is damaged ({error.fault})",
                advice="put it back from a copy; or run the study again: it is written anew, and "
                "trials that are this study's are kept",
            )
            continue
        except (NewerFileError, StudyError, StorageError) as error:
            yield Fault(name=name, found=str(error), advice="update tuning, or ask who wrote it")
            continue

        yield from _faults_of_files(name, found.folder)
        yield from _faults_of_status(name, found)
        if not (found.folder / "mlflow.json").exists() and _has_results(found):
            unwritten.append(name)

    if unwritten:
        yield Fault(
            name="projections",
            found=f"{len(unwritten)} searches are not in MLflow: {', '.join(unwritten[:5])}",
            advice=f"{FIX} writes them, as `tuning sync` does",
            mend=sync,
        )


def _faults_of_files(name: str, folder: Path) -> Iterator[Fault]:
    """Yield what is damaged of a search beside its header."""
    damaged: list[DamagedFileError] = []
    try:
        _read_all(SearchFiles(folder, damaged.append))
    except DamagedFileError as error:
        yield Fault(
            name=name,
            found=f"{error.path} is damaged ({error.fault})",
            advice="put it back from a copy: it tells what was asked for, and trials behind it "
            "build on it; or begin anew with --fresh (the old search is kept)",
        )
        return
    except (StudyError, StorageError) as error:
        yield Fault(name=name, found=str(error), advice="see there")
        return

    if damaged:
        yield Fault(
            name=name,
            found=f"{len(damaged)} damaged files: {damaged[0].path} ({damaged[0].fault})",
            advice=f"{FIX} sets them aside; the next run does that too, and makes them anew",
            mend=lambda: _set_aside(folder, damaged),
        )


def _read_all(files: SearchFiles) -> None:
    """Read what a run reads, so that each damaged file is told."""
    space = files.require_header().space
    for proposal in files.proposals(space):
        files.result(proposal.number, proposal.digest)
        files.deaths(proposal.number)
        read_test_score(files.trial_folder(proposal.number), on_damage=files.on_damage)
    for path in files.folder.glob("finalists/*/*.json"):
        if path.parent.name.isdecimal() and path.stem.isdecimal():
            files.finalist(int(path.parent.name), int(path.stem))
    for _ in (files.status, files.winner, files.evaluation):
        pass


def _set_aside(folder: Path, damaged: list[DamagedFileError]) -> str:
    done: list[str] = []
    try:
        with search_locked(folder, "tuning doctor"):
            set_aside = SetAside(done.append)
            for error in damaged:
                set_aside(error)
    except BusyError as error:
        done.append(str(error))
    return "\n".join(done)


def _faults_of_status(name: str, files: SearchFiles) -> Iterator[Fault]:
    status = files.status
    if status is None or status.status != "running":
        return

    def mend() -> str:
        try:
            with search_locked(files.folder, "tuning doctor"):
                files.write_status(replace(status, status="interrupted", at=time.time()))
        except BusyError as error:
            return str(error)
        return f"{name} is marked as interrupted"

    yield Fault(
        name=name,
        found="it says that it is running, but its process is gone",
        advice=f"run it again, it goes on; {FIX} marks it as interrupted",
        mend=mend,
    )


def _has_results(files: SearchFiles) -> bool:
    return any(files.folder.glob("trials/*/result.json"))
