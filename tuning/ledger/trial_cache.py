"""`trials.cache`: what a search's trials were when they were last read, without their curves.

Only a cache: each trial is taken from it as long as its files have the stamps that they had then,
and is read from its files otherwise. Without it, or where it is damaged, all are read.

The file: a digest over what follows, in hex, a line's end, then a JSON list with an entry a trial.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, Self, TypeAlias

from tuning.errors import DamagedFileError, StorageError
from tuning.ledger.search import SearchFiles
from tuning.ledger.stamps import Stamp, is_settled, numbered, stamp
from tuning.schema import WRONG_SHAPE, Json
from tuning.space.space import Space
from tuning.storage.durable import open_file, write_bytes
from tuning.trial import Params, Proposal, TrialResult

_NAME = "trials.cache"
_VERSION = 1

Pair: TypeAlias = tuple[Proposal, TrialResult]


@dataclass(frozen=True)
class KeptTrials:
    """The trials of the cache.

    Attributes:
        entries: By number; None where a trial was left out.
    """

    entries: Sequence[Json | None]

    @classmethod
    def load(cls, files: SearchFiles) -> Self:
        """Return what the cache of a search holds; nothing where it is missing or not whole."""
        return cls(_load(files.folder))

    def pair(
        self, number: int, stamps: list[Stamp | None], decode: Callable[[Params], Params]
    ) -> Pair | None:
        """Return a trial as it is kept; None where it is not, or its files have changed.

        Args:
            number: The trial.
            stamps: `stamps_of` it, as its files are now.
            decode: Gives its parameters, which are as JSON has them, their own types.
        """
        entry = self.entries[number] if number < len(self.entries) else None
        if entry is None or entry["stamps"] != stamps:
            return None
        try:
            stored = entry["proposal"]
            proposal = Proposal.from_json(stored, decode(stored["params"]))
            result = TrialResult.from_json(entry["result"])
        except WRONG_SHAPE:  # another space
            return None
        return replace(proposal, digest=entry["digest"]), result


def ended_trials(files: SearchFiles, space: Space) -> list[Pair] | None:
    """Return every trial that was asked for, by number, results without curves.

    None where one of them has not ended, or a file is missing or damaged: whoever runs the search
    sees to that.

    Args:
        files: Of the search; its lock is held.
        space: Of the study.
    """
    names = numbered(files.folder / "trials")
    if not names or [int(name) for name in names] != list(range(len(names))):
        return None

    read_at_ns = time.time_ns()
    kept = KeptTrials.load(files)
    pairs = []
    n_read = 0
    for number in range(len(names)):
        pair = kept.pair(number, stamps_of(files, number), space.decode)
        if pair is None:
            pair = _read_pair(files, number, space)
            n_read += 1
        if pair is None:
            return None
        pairs.append(pair)
    if n_read:
        keep_trials(files, pairs, read_at_ns)
    return pairs


def keep_trials(files: SearchFiles, pairs: Sequence[Pair], read_at_ns: int) -> None:
    """Write the cache; those whose files have changed since `read_at_ns` are left out.

    A disk that is full only leaves the search without it.

    Args:
        files: Of the search.
        pairs: As they were read from its files, by number.
        read_at_ns: When their reading began, Unix nanoseconds.
    """
    entries: list[Json | None] = []
    for proposal, result in pairs:
        stamps = stamps_of(files, proposal.number)
        entries.extend([None] * (proposal.number + 1 - len(entries)))
        if is_settled(stamps, read_at_ns):
            entries[proposal.number] = {
                "stamps": stamps,
                "digest": proposal.digest,
                "proposal": proposal.to_json(),
                "result": result.without_curves().to_json(),
            }
    body = json.dumps({"version": _VERSION, "trials": entries}, default=_plain).encode()
    try:
        write_bytes(files.folder / _NAME, _digest(body) + b"\n" + body)
    except StorageError:
        (files.folder / _NAME).unlink(missing_ok=True)


def _plain(value: Any) -> Any:
    """Return a number of NumPy's as Python's."""
    return value.item()


def _digest(body: bytes) -> bytes:
    return blake2b(body, digest_size=16).hexdigest().encode()


def _load(folder: Path) -> list[Json | None]:
    """Return the entries by number; none where the cache is missing or not whole."""
    try:
        with open_file(folder / _NAME) as file:
            digest, _, body = file.read().partition(b"\n")
    except OSError:
        return []
    if digest != _digest(body):
        return []
    try:
        stored = json.loads(body)
        entries: list[Json | None] = stored["trials"] if stored["version"] == _VERSION else []
    except WRONG_SHAPE:
        return []
    return entries


def _read_pair(files: SearchFiles, number: int, space: Space) -> Pair | None:
    """Return a trial as its files have it; a damaged file is left where it is."""
    quiet = SearchFiles(files.folder)
    try:
        proposal = quiet.proposal(number, space)
    except DamagedFileError:
        return None
    if proposal is None:
        return None
    result = quiet.result(number, proposal.digest)
    return None if result is None else (proposal, result.without_curves())


def stamps_of(files: SearchFiles, number: int) -> list[Stamp | None]:
    """Return the stamps of a trial's ask and of its result."""
    folder = str(files.trial_folder(number))
    return [stamp(f"{folder}/spec.json"), stamp(f"{folder}/result.json")]
