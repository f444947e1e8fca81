"""Which searches there are under a state folder, and how a user names one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tuning.errors import NewerFileError, StorageError, StudyError, did_you_mean
from tuning.ledger.search import SearchFiles
from tuning.space.space import Space
from tuning.trial import Proposal, TrialResult

_MOST_NAMED = 10


def searches(home: Path) -> Iterator[SearchFiles]:
    """Yield every search of the ledger, those set aside by `--fresh` included, by study and key."""
    for header in sorted((home / "ledger").glob("*/*/search.json")):
        yield SearchFiles(header.parent)


def name_of(files: SearchFiles) -> str:
    """Return the short name of a search: `study/key`."""
    return f"{files.folder.parent.name}/{files.folder.name}"


def find(home: Path, name: str) -> SearchFiles:
    """Return the search that a user means.

    Args:
        home: The state folder.
        name: `study/key`, a search's id, its folder, or a study that has one search only.

    Raises:
        StudyError: There is no such search, or the study has several; names those near it.
    """
    by_key = {name_of(files): files for files in searches(home)}
    key = name.rstrip("/")
    if key in by_key:
        return by_key[key]

    if (Path(name) / "search.json").is_file():
        return SearchFiles(Path(name).absolute())

    # Headers are read only here: most users give the key.
    by_id = {_id_of(files): files for files in by_key.values()}
    by_id.pop("", None)
    if name in by_id:
        return by_id[name]

    keys = [key for key in by_key if _study_of(key) == name]
    if len(keys) == 1:
        return by_key[keys[0]]
    if keys:
        raise StudyError(f"study '{name}' has {len(keys)} searches; say which: {_listed(keys)}")

    if not by_key:
        raise StudyError(
            f"no search '{name}': there are none in {home / 'ledger'}. Run one: tuning run STUDY"
        )
    studies = [_study_of(key) for key in by_key]
    near = did_you_mean(name, [*by_key, *by_id, *studies])
    raise StudyError(f"no search '{name}'.{near} There are: {_listed(list(by_key))}")


def finished(files: SearchFiles) -> tuple[Space, list[tuple[Proposal, TrialResult]]]:
    """Return a search's space and its finished trials by number, without folds and curves.

    Raises:
        StudyError: The header is missing or torn, or its space cannot be read.
        StorageError: A spec is damaged.
    """
    space = files.require_header().space
    trials = []
    for proposal in files.proposals(space):
        result = files.result(proposal.number, proposal.digest)
        if result is not None:
            trials.append((proposal, replace(result, folds=())))
    return space, trials


def _id_of(files: SearchFiles) -> str:
    """Return a search's id; "" where its header is damaged or of a later release."""
    try:
        header = files.header
    except (NewerFileError, StorageError):
        return ""
    return "" if header is None else header.id


def _study_of(key: str) -> str:
    study, _, _ = key.partition("/")
    return study


def _listed(names: list[str]) -> str:
    listed = ", ".join(names[:_MOST_NAMED])
    rest = len(names) - _MOST_NAMED
    return f"{listed} and {rest} more" if rest > 0 else listed
