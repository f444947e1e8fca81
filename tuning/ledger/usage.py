"""What a search has used: processor time and time on GPUs; of its trials every attempt.

A worker keeps the figures of a running attempt in its folder (`attempt-1/usage.json`), so that one
which is killed has used what it has used. The result of a trial has the sum over its attempts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, Self

from tuning.ledger.digests import range_tests_digest, stored_digest
from tuning.ledger.records import Death, SearchHeader, read_record, write_record
from tuning.ledger.winner import FinalistOutcome, WinnerRecord
from tuning.schema import SCHEMA, Json, JsonObject, check_schema, number
from tuning.storage.durable import read_json

_FILE = "usage.json"
_ATTEMPT = "attempt-"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What something has used.

    Attributes:
        cpu_s: Processor time of the worker and of what it has waited for, over all cores.
        gpu_s: Wall time on a leased GPU, times the GPUs leased: a MIG instance counts as one, one
            of four slots that share a GPU as a quarter.
    """

    cpu_s: float = 0.0
    gpu_s: float = 0.0

    def plus(self, other: Usage) -> Usage:
        """Return both together."""
        return Usage(cpu_s=self.cpu_s + other.cpu_s, gpu_s=self.gpu_s + other.gpu_s)

    def to_json(self) -> JsonObject:
        """Return what `--json` says below `seconds`; nothing of what was not used."""
        used = {"cpu": self.cpu_s, "gpu": self.gpu_s}
        return {name: seconds for name, seconds in used.items() if seconds}


_NOTHING = Usage()


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


def gpus_of(slot: str) -> float:
    """Return how many GPUs a slot holds, by its name: 0 for a CPU core, here or on a Ray node.

    A slot that is one of several of a GPU, `GPU-x#1/4`, has its share of it.
    """
    if _is_cpu(slot):
        return 0.0
    return sum(_share_of(name) for name in slot.split("+"))


def devices_of(slot: str) -> list[str]:
    """Return the UUIDs of a slot's GPUs, as NVIDIA's driver knows them; none for a CPU core."""
    if _is_cpu(slot):
        return []
    # Several slots of one GPU are told apart by what follows the mark.
    return [name.partition("#")[0] for name in slot.split("+")]


def _is_cpu(slot: str) -> bool:
    return slot.startswith(("cpu", "ray:")) or not slot


def _share_of(name: str) -> float:
    _, _, share = name.partition("#")
    _, _, count = share.partition("/")
    # Earlier versions did not say how many share a GPU.
    return 1 / int(count) if count.isdecimal() and int(count) else 1.0


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


def used_so_far(folder: Path) -> Usage:
    """Return what the attempts at a trial that has not ended have used; its own figures lag 5 s.

    Args:
        folder: Of the trial.
    """
    attempts = [path.name.removeprefix(_ATTEMPT) for path in folder.glob(f"{_ATTEMPT}*")]
    ranks = [int(rank) for rank in attempts if rank.isdecimal()]
    return used_before(folder, max(ranks, default=0) + 1)


def _used_by(folder: Path, attempt: int, digest: str) -> Usage:
    """Return what one attempt has used; nothing where its files are another attempt's."""
    kept = read_record(AttemptUsage, folder / _FILE)
    if kept is not None and not _is_of(kept, attempt, digest):
        kept = None
    usage = Usage() if kept is None else _used(kept)

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
    return of_results(outcome for outcome in outcomes if outcome)


@dataclass(frozen=True, kw_only=True)
class SearchUsage:
    """What a search has used, those of its runs before included, by what for.

    Attributes:
        trials: All that have ended, with their attempts before the last.
        range_tests: Of learning rates, where bounds come from them.
        finals: The best trials' parameters on fresh seeds.
        evaluation: The winner's look at the test part, its file, and the baselines beside it.
    """

    trials: Usage = _NOTHING
    range_tests: Usage = _NOTHING
    finals: Usage = _NOTHING
    evaluation: Usage = _NOTHING

    @property
    def total(self) -> Usage:
        """All of it together."""
        return total_of([self.trials, self.range_tests, self.finals, self.evaluation])


def used_by_search(folder: Path, trials: Usage) -> SearchUsage:
    """Return what a search has used; whoever shows it asks here.

    Args:
        folder: Of the search.
        trials: What those that have ended have used.
    """
    header = read_record(SearchHeader, folder / "search.json")
    return SearchUsage(
        trials=trials,
        range_tests=_used_by_range_tests(folder, header),
        finals=used_by_finalists(folder),
        evaluation=_used_by_evaluation(folder, header),
    )


def _used_by_evaluation(folder: Path, header: SearchHeader | None) -> Usage:
    """Return what the evaluations of a search's winners have used; the last has the sum."""
    winner = read_record(WinnerRecord, folder / "winner.json")
    if winner is None or (header is not None and winner.search not in ("", header.id)):
        return Usage()
    return _used(winner.evaluation)


def _used_by_range_tests(folder: Path, header: SearchHeader | None) -> Usage:
    """Return what the range tests that bound a search's learning rates have used."""
    total = Usage()
    for path in sorted((folder / "artifacts").glob("lr_range_*.json")):
        tests = read_json(path)
        rate = path.stem.removeprefix("lr_range_")
        for test in tests if isinstance(tests, list) else ():
            if isinstance(test, dict) and _is_test_of(test, rate, header):
                total = total.plus(_used_by_test(test))
    return total


def _is_test_of(test: Json, rate: str, header: SearchHeader | None) -> bool:
    """Whether a stored range test is one of this search, as far as is known."""
    digest = test.get("digest")
    if not digest or header is None:
        return True
    return any(
        digest == range_tests_digest(header.study, definition, rate)
        for definition in header.versions
    )


def _used_by_test(test: Json) -> Usage:
    seconds = [test.get(name, 0.0) for name in ("cpu_s", "gpu_s")]
    if not all(isinstance(each, int | float) for each in seconds):  # damaged
        return Usage()
    return Usage(cpu_s=float(seconds[0]), gpu_s=float(seconds[1]))


class Measured(Protocol):
    """What has been used by something: an attempt, a trial, a finalist, an evaluation."""

    @property
    def cpu_s(self) -> float:
        """Processor time."""

    @property
    def gpu_s(self) -> float:
        """Time on GPUs."""


def of_results(records: Iterable[Measured]) -> Usage:
    """Return what trials, or others, have used together."""
    return total_of(map(_used, records))


def _used(record: Measured) -> Usage:
    return Usage(cpu_s=record.cpu_s, gpu_s=record.gpu_s)


def total_of(usages: Iterable[Usage]) -> Usage:
    """Return the sum."""
    total = Usage()
    for usage in usages:
        total = total.plus(usage)
    return total
