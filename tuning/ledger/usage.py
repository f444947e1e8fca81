"""What trials have used: processor time and time on GPUs, of every attempt at them.

A worker keeps the figures of a running attempt in its folder (`attempt-1/usage.json`), so that one
which is killed has used what it has used. The result of a trial has the sum over its attempts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tuning.ledger.digests import stored_digest
from tuning.ledger.records import Death, read_record, write_record
from tuning.ledger.winner import FinalistOutcome
from tuning.schema import SCHEMA, Json, JsonObject, check_schema, number

_FILE = "usage.json"
_ATTEMPT = "attempt-"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What something has used.

    Attributes:
        cpu_s: Processor time of the worker and of what it has waited for, over all cores.
        gpu_s: Wall time on a leased GPU, times the GPUs leased; a MIG instance counts as one.
    """

    cpu_s: float = 0.0
    gpu_s: float = 0.0

    def plus(self, other: Usage) -> Usage:
        """Return both together."""
        return Usage(cpu_s=self.cpu_s + other.cpu_s, gpu_s=self.gpu_s + other.gpu_s)


@dataclass(frozen=True, kw_only=True)
class AttemptUsage:
    """What an attempt at a trial had used when it was last looked at.

    Attributes:
        attempt: Its rank, from 1.
        seconds: Wall time since it began.
        cpu_s, gpu_s: As in `Usage`.
        proposal_digest: Of the ask that it was an attempt at; "": not known.
    """

    attempt: int
    seconds: float
    cpu_s: float
    gpu_s: float
    proposal_digest: str = field(default="", repr=False)

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "attempt": self.attempt,
            "seconds": self.seconds,
            "cpu_s": self.cpu_s,
            "gpu_s": self.gpu_s,
            "proposal_digest": self.proposal_digest,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        check_schema(stored, _FILE)
        return cls(
            attempt=stored["attempt"],
            seconds=number(stored["seconds"]),
            cpu_s=number(stored["cpu_s"]),
            gpu_s=number(stored["gpu_s"]),
            proposal_digest=stored["proposal_digest"],
        )


def gpus_of(slot: str) -> int:
    """Return how many GPUs a slot holds, by its name: 0 for a CPU core, here or on a Ray node."""
    if slot.startswith(("cpu", "ray:")) or not slot:
        return 0
    return len(devices_of(slot))


def devices_of(slot: str) -> list[str]:
    """Return the UUIDs of a slot's GPUs, as NVIDIA's driver knows them; none for a CPU core."""
    if slot.startswith(("cpu", "ray:")) or not slot:
        return []
    # Several slots of one GPU are told apart by what follows the mark.
    return [name.partition("#")[0] for name in slot.split("+")]


def keep_usage(folder: Path, usage: AttemptUsage) -> None:
    """Keep what an attempt has used so far.

    Args:
        folder: Of the trial.
        usage: Takes the place of what was kept before.

    Raises:
        StorageError: The disk is full or read-only.
    """
    write_record(usage_file(folder, usage.attempt), usage)


def usage_file(folder: Path, attempt: int) -> Path:
    """Return where that is kept of an attempt at a trial, whose folder it is."""
    return folder / f"{_ATTEMPT}{attempt}" / _FILE


def used_before(folder: Path, attempt: int) -> Usage:
    """Return what the attempts at a trial before one have used, as far as the files tell.

    Args:
        folder: Of the trial.
        attempt: The one that is left out, with those after it.
    """
    digest = stored_digest(folder)
    total = Usage()
    for rank in range(1, attempt):
        total = total.plus(_used_by(folder / f"{_ATTEMPT}{rank}", rank, digest))
    return total


def _used_by(folder: Path, attempt: int, digest: str) -> Usage:
    """Return what one attempt has used; nothing where its files are another attempt's."""
    kept = read_record(AttemptUsage, folder / _FILE)
    if kept is not None and not _is_of(kept, attempt, digest):
        kept = None
    usage = Usage() if kept is None else Usage(cpu_s=kept.cpu_s, gpu_s=kept.gpu_s)

    death = read_record(Death, folder / "died.json")
    if death is None or not _is_of(death, attempt, digest):
        return usage
    # The driver has seen the end of it, the worker's own figures are a few seconds older.
    gpu_s = max(usage.gpu_s, death.seconds * gpus_of(death.slot))
    return Usage(cpu_s=usage.cpu_s, gpu_s=gpu_s)


def _is_of(record: AttemptUsage | Death, attempt: int, digest: str) -> bool:
    same_ask = not (digest and record.proposal_digest) or record.proposal_digest == digest
    return same_ask and record.attempt in (0, attempt)


def used_by_finalists(folder: Path) -> Usage:
    """Return what the finalists of a search have used.

    Args:
        folder: Of the search.
    """
    # With `--cv` the folds lie a folder deeper, beside the file of their mean; that has their sum.
    paths = list(folder.glob("finalists/*/*.json"))
    paths += [
        path
        for path in folder.glob("finalists/*/*/*.json")
        if not path.parent.with_suffix(".json").exists() or not path.stem.startswith("fold-")
    ]
    outcomes = (read_record(FinalistOutcome, path) for path in paths)
    return total_of(Usage(cpu_s=each.cpu_s, gpu_s=each.gpu_s) for each in outcomes if each)


def total_of(usages: Iterable[Usage]) -> Usage:
    """Return the sum."""
    total = Usage()
    for usage in usages:
        total = total.plus(usage)
    return total
