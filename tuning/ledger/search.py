"""The files of one search, the only truth about its trials.

    <home>/ledger/<study>/<key>/
        search.json                 what was searched, since when, under which definition(s)
        trials/00007/spec.json      the ask: parameters, and which results the engine had been told
            before it
        trials/00007/result.json    how it ended; written once, by the worker that trained it
        trials/00007/attempt-1/     folds that are finished, checkpoints; died.json where the worker
        was lost
        finalists/00007/0.json      the same parameters on a fresh seed; with --cv each fold in
        0/fold-1.json before;
                                    0/all-rows.npz: trained as the winner is, where it was the only
                                        one
        winner.json  winner.keras   the honest winner
        status.json                 how the last run ended

The key is the engine and what the command line changed of the study (`optuna-tpe+epochs=5`), so
that the same command finds its search again and another command never mixes with it.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import secrets
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning.errors import ChangedError, StorageError
from tuning.ledger.results import keep_result, read_result
from tuning.storage.durable import read_json, write_json
from tuning.study.space import Space
from tuning.trial import Proposal, Status, TrialResult

_OF_A_WINNER = (
    "finalists",
    "winner.json",
    "winner.keras",
    "winner.preprocessing.json",
    "evaluation.json",
)
_INCOMPARABLE = ("objective", "data_digest", "test_size", "validation_size", "seed", "cv")


@dataclass(frozen=True)
class Entry:
    """One trial as the files have it; `result` is None while it is open."""

    proposal: Proposal
    tells: tuple[int, ...]
    result: TrialResult | None


class SearchFiles:
    """Read and write the files of one search. Holds no state, so a second process may read while
    the first writes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def header(self) -> dict[str, Any]:
        """`search.json`, empty where the search has not begun."""
        return read_json(self.folder / "search.json") or {}

    def add_version(self, header: Mapping[str, Any]) -> None:
        """Enter the definition the search goes on under, where it is another one, and its budget.

        What the earlier definition gave a winner by is set aside: its weights must not be taken for
            the new one's.
        """
        found = self.header
        if header["definition"] != found["versions"][-1]:
            aside = self.folder / f"version-{len(found['versions'])}"
            aside.mkdir(exist_ok=True, mode=0o700)
            for path in [self.folder / name for name in _OF_A_WINNER]:
                if path.exists():
                    path.rename(_free(aside / path.name))
            for pattern in ("trials/*/attempt-*/fold-*", "trials/*/halved.json"):
                for unfinished in self.folder.glob(pattern):
                    unfinished.unlink()
            versions = [*found["versions"], header["definition"]]
            begins = [
                *found.get("begins", [0]),
                sum(1 for _ in self.folder.glob("trials/*/spec.json")),
            ]
            write_json(
                self.folder / "search.json",
                {**found, **header, "versions": versions, "begins": begins},
            )
        elif header.get("trials") != found.get("trials"):
            write_json(self.folder / "search.json", {**found, "trials": header.get("trials")})

    def trial_folder(self, number: int) -> Path:
        """Where everything about one trial lies."""
        return self.folder / "trials" / f"{number:05d}"

    def write_spec(self, proposal: Proposal, tells: Sequence[int]) -> None:
        """Keep an ask, and the results told since the ask before, durably and before anything is
        trained.
        """
        stored = {**proposal.to_json(), "tells": list(tells), "asked_at": time.time()}
        write_json(self.trial_folder(proposal.number) / "spec.json", stored)

    def proposal(self, number: int, space: Space) -> Proposal | None:
        """Return what was asked for under this number, or None where nothing was or the file is
        torn.

        Raises:
            ChangedError: Its parameters are not of this space.
        """
        stored = read_json(self.trial_folder(number) / "spec.json")
        return None if stored is None else self._proposal(stored, space)

    def write_result(self, result: TrialResult) -> TrialResult:
        """Keep how a trial ended, unless that is known already; return what is kept."""
        return keep_result(self.trial_folder(result.number), result)

    def result(self, number: int) -> TrialResult | None:
        """Return how a trial ended, or None where it has not or the file is torn."""
        return read_result(self.trial_folder(number))

    def entries(self, space: Space, start: int = 0) -> Iterator[Entry]:
        """Yield the trials from number `start` on, by number, up to the first that was never asked.

        Raises:
            StorageError: A spec is damaged: what was asked after it would be asked, and written,
                anew.
            ChangedError: A trial's parameters are not of this space.
        """
        number = start
        while (stored := read_json(self.trial_folder(number) / "spec.json")) is not None:
            yield Entry(self._proposal(stored, space), tuple(stored["tells"]), self.result(number))
            number += 1
        if (self.trial_folder(number + 1) / "spec.json").exists():
            path = self.trial_folder(number) / "spec.json"
            raise StorageError(
                f"{path} is damaged. Put it back from a copy, or begin anew with --fresh."
            )

    def _proposal(self, stored: Mapping[str, Any], space: Space) -> Proposal:
        try:
            return Proposal.from_json(stored, space.decode(stored["params"]))
        except (
            KeyError,
            ValueError,
            StopIteration,
        ) as error:  # the last: a Choice without the value
            raise ChangedError(
                f"trial {stored['number']} was {stored['params']}, which is no point of the space any more; --fresh "
                "begins anew",
                where=f"search {self.header.get('id')}",
            ) from error

    def begin_attempt(self, number: int) -> tuple[int, Path]:
        """Return the rank (from 1) and the folder of the next go at a trial."""
        folder = self.trial_folder(number)
        attempt = 1 + max(
            (int(path.name.removeprefix("attempt-")) for path in folder.glob("attempt-*")),
            default=0,
        )
        path = folder / f"attempt-{attempt}"
        path.mkdir(parents=True, mode=0o700)
        return attempt, path

    def write_death(self, number: int, attempt: int, how: Mapping[str, Any]) -> None:
        """Keep that an attempt took its worker with it; only these count against a trial, not a
        driver's end.
        """
        write_json(self.trial_folder(number) / f"attempt-{attempt}" / "died.json", how)

    def deaths(self, number: int) -> int:
        """How many attempts at a trial took their worker with them."""
        return sum(1 for _ in self.trial_folder(number).glob("attempt-*/died.json"))

    def finalist(self, number: int, index: int) -> dict[str, Any] | None:
        """Return what came of a trial's parameters on the fresh seed number `index`."""
        return read_json(self.finalist_file(number, index))

    def finalist_file(self, number: int, index: int, part: int | str | None = None) -> Path:
        """Where that is kept, or one part of it: a fold by its number, another by its name."""
        name = f"fold-{part}" if isinstance(part, int) else part
        folder = self.folder / "finalists" / f"{number:05d}"
        return folder / (f"{index}.json" if name is None else f"{index}/{name}.json")


def _free(path: Path) -> Path:
    """Return a path beside which there is none: a move that a kill cut short has left some of it
    there.
    """
    others = (path.with_name(f"{path.name}~{i}") for i in itertools.count(2))
    return next(other for other in itertools.chain([path], others) if not other.exists())


def search_key(engine: str, pruner: str, variant: Mapping[str, Any]) -> str:
    """Return the folder name of a search: `optuna-tpe-asha+cv=3+epochs=5`; long ones end in a hash."""
    name = engine.replace(":", "-") + (f"-{pruner}" if pruner != "none" else "")
    parts = [
        f"{key}={_word(value)}"
        for key, value in sorted(variant.items())
        if key not in ("engine", "pruner")
    ]
    key = "+".join([name, *parts])
    return (
        key if len(key) <= 120 else f"{key[:100]}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    )


def begin(
    folder: Path, header: Mapping[str, Any], *, fresh: bool, allow_change: bool
) -> SearchFiles:
    """Open the search in `folder`, or begin it; call only while its lock is held.

    Args:
        folder: `<home>/ledger/<study>/<key>`.
        header: What `search.json` shall say; its `definition` is compared with the one the search
            was begun under.
        fresh: Set an existing search aside (nothing is deleted) and begin anew.
        allow_change: Go on although the definition differs; `add_version` once the engine has gone
            along with it.

    Raises:
        ChangedError: The definition differs; lists each difference and what would work.
    """
    files = SearchFiles(folder)
    found = files.header
    if found and fresh:
        folder.rename(folder.with_name(f"{folder.name}~{found['id'].rsplit('-', 1)[-1]}"))
        found = {}
    if not found:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        recovered = _set_aside(folder / "search.json")
        name = f"{header['study']}-{header['engine'].replace(':', '-')}-{secrets.token_hex(4)}"
        found = {
            **header,
            "id": name,
            "created_at": time.time(),
            "versions": [header["definition"]],
            **recovered,
        }
        write_json(folder / "search.json", found)
    elif faults := differences(found["versions"][-1], header["definition"]):
        where = f"search {found['id']} was begun under another definition"
        old, new = found["versions"][-1], header["definition"]
        if other := [name for name in _INCOMPARABLE if old.get(name) != new.get(name)]:
            cure = f"values under another {' and '.join(other)} cannot be compared: use --fresh (the old search is kept)"
            raise ChangedError([*faults[:-1], f"{faults[-1]}; {cure}"], where=where)
        if not allow_change:
            cure = "use --fresh to begin anew (the old search is kept) or --allow-change to go on with it"
            raise ChangedError([*faults[:-1], f"{faults[-1]}; {cure}"], where=where)
    return files


def _set_aside(torn: Path) -> dict[str, bool]:
    """Keep a damaged header; the trials beside it are gone on with, for replaying them shows
    whether they fit.
    """
    if not torn.exists():
        return {}
    torn.rename(torn.with_name(f"{torn.name}.corrupt"))
    return {"recovered": True}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return one sentence for each field, and each parameter of the space, that differs."""
    faults = []
    for name in sorted({*old, *new}):
        before, after = old.get(name), new.get(name)
        if isinstance(before, dict) and isinstance(after, dict):
            faults += [f"{name}.{fault}" for fault in differences(before, after)]
        elif before != after:
            faults.append(f"{name} was {before!r}, is {after!r}")
    return faults


def counts(statuses: Iterable[Status]) -> dict[str, int]:
    """Count trials as the command line reports them: completed, pruned, failed (diverged included),
    infeasible.
    """
    names = {Status.DIVERGED: "failed"}
    totals = {"completed": 0, "pruned": 0, "failed": 0, "infeasible": 0}
    for status in statuses:
        totals[names.get(status, status.value)] += 1
    return totals


def _word(value: Any) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", str(value))
