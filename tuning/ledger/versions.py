"""The versions of a study under which one search was begun and gone on with.

What differs between two, whether it may, and what of the earlier one must not be taken for the
new one's.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from tuning.errors import ChangedError
from tuning.ledger.records import Definition, SearchHeader
from tuning.schema import Json
from tuning.storage.secrets import shown_definition

# Its weights are read by name, so under another definition they would be taken for the new one's.
_OF_A_WINNER = (
    "finalists",
    "winner.json",
    "winner.keras",
    "winner.weights.h5",
    "winner.preprocessing.json",
    "winner.inputs.json",
    "winner.outputs.json",
    "winner.example.json",
    "winner.threshold.json",
    "evaluation.json",
)
# A fold that was finished under the old definition would stand beside folds of the new one.
_UNFINISHED = ("trials/*/attempt-*/fold-*", "trials/*/halved.json")
# Values under two of these are not of one kind, and a winner among them would be none.
_INCOMPARABLE = (
    "objective",
    "objectives",
    "constraints",
    "data_digest",
    "test_size",
    "validation_size",
    "split",
    "seed",
    "cv",
)


def differences(old: Json, new: Json) -> list[str]:
    """Return one sentence for each field, and each parameter of the space, that differs."""
    # Files of earlier releases hold keys and passwords as they are.
    old = shown_definition(old)
    new = shown_definition(new)

    faults = []
    for name in sorted({*old, *new}):
        before = old.get(name)
        after = new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            faults += [f"{name}.{fault}" for fault in differences(before, after)]
        elif before != after:
            faults.append(f"{name} was {before!r}, is {after!r}")
    return faults


def kind_of_values(definition: Definition) -> Definition:
    """Return what must be equal of two searches whose values are compared."""
    return {name: definition.get(name) for name in _INCOMPARABLE}


def check_definition(known: SearchHeader, new: Definition, *, allow_change: bool) -> None:
    """Refuse to go on with a search under a definition that it was not begun under.

    Args:
        known: The search's header.
        new: What is to be searched now.
        allow_change: Another definition is fine where its values are of the same kind.

    Raises:
        ChangedError: It differs; lists each difference and what would work.
    """
    old = known.definition
    faults = differences(old, new)
    if not faults:
        return

    incomparable = [name for name in _INCOMPARABLE if old.get(name) != new.get(name)]
    if incomparable:
        cure = (
            f"values under another {' and '.join(incomparable)} cannot be compared: use --fresh "
            "(the old search is kept)"
        )
    elif not allow_change:
        cure = (
            "use --fresh to begin anew (the old search is kept) or --allow-change to go on with it"
        )
    else:
        return

    raise ChangedError(
        [*faults[:-1], f"{faults[-1]}; {cure}"],
        where=f"search {known.id} was begun under another definition",
    )


def set_winner_aside(folder: Path, aside: Path) -> None:
    """Move what a search has its winner by into a folder inside it.

    Args:
        folder: Of the search.
        aside: `version-1`; it may be there already, from a move that a kill has cut short.
    """
    aside.mkdir(exist_ok=True, mode=0o700)
    for name in _OF_A_WINNER:
        path = folder / name
        if path.exists():
            path.rename(_free(aside / name))


def drop_unfinished(folder: Path) -> None:
    """Delete what an attempt at a trial would take over from the one before it.

    Args:
        folder: Of the search.
    """
    for pattern in _UNFINISHED:
        for path in folder.glob(pattern):
            path.unlink()


def _free(path: Path) -> Path:
    """Return a path beside which there is none.

    A move that a kill cut short has left something there.
    """
    others = (path.with_name(f"{path.name}~{i}") for i in itertools.count(2))
    return next(other for other in itertools.chain([path], others) if not other.exists())
