"""What the JSON files of one search hold, a frozen record for each.

`to_json` returns plain JSON types with the number of the files' shape; `from_json` reads that, and
the files of release 0.1, which have no number. Keys are those of release 0.1 where there was no
reason to change them.

    search.json                 SearchHeader
    trials/…/died.json          Death; usage.json beside it is in `tuning.ledger.usage`
    status.json                 SearchStatus
    intervals.json              LRIntervals, beside a benchmark's searches

Those of finalists and winner are in `tuning.ledger.winner`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, Self, TypeAlias, TypeVar

from tuning.errors import DamagedFileError
from tuning.ledger.damage import OnDamage, leave_out
from tuning.ledger.spaces import space_of
from tuning.schema import (
    SCHEMA,
    Json,
    JsonObject,
    check_schema,
    check_types,
    number,
)
from tuning.space.space import Space
from tuning.storage.checked import load_checked
from tuning.storage.durable import write_json
from tuning.storage.secrets import cleaned
from tuning.study.info import DatasetFacts
from tuning.study.objective import Objective
from tuning.trial import Status

Definition: TypeAlias = Json
"""`Study.definition()`: compared field by field, and shown."""


class Record(Protocol):
    """What every record of a file can do."""

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""


_NO_DATA = DatasetFacts(name="")
R = TypeVar("R", bound=Record)


def read_record(kind: type[R], path: Path, *, on_damage: OnDamage = leave_out) -> R | None:
    """Return what a file holds; None where there is none or it is damaged.

    Args:
        kind: Of the record.
        path: Of the file.
        on_damage: Told of a file that is damaged.

    Raises:
        NewerFileError: A later release wrote it.
    """
    try:
        return load_record(kind, path)
    except DamagedFileError as error:
        on_damage(error)
        return None


def load_record(kind: type[R], path: Path) -> R | None:
    """Return what a file holds; None where there is none.

    Raises:
        NewerFileError: A later release wrote it.
        DamagedFileError: It is torn, or does not hold what we write.
    """

    def parse(stored: Json) -> R:
        record = kind.from_json(stored)
        check_types(record)
        return record

    return load_checked(path, parse)


def write_record(path: Path, record: Record) -> None:
    """Write a record, durably.

    Raises:
        StorageError: The disk is full, read-only or failing; nothing was changed.
    """
    write_json(path, cleaned(record.to_json()))


@dataclass(frozen=True, kw_only=True)
class SearchHeader:
    """What is searched, since when, under which definitions, on what.

    Attributes:
        id: Unique in the world; "" until the search has begun.
        created_at: Unix seconds.
        versions: Every definition the search has gone on under; the last one holds.
        begins: Of each version the number of its first trial.
        variant: What the command line changed of the study.
        study_hash: Over the definition that holds.
        spaces_json: Of each version its space, as `Space.to_json` has it; empty in release 0.1,
            whose spaces are read from the texts in their definitions.
        data: What the data set is.
        trials: The budget; None: none in trials.
        study_file: "" for a study made in a notebook.
        git_commit: Of the folder the search was begun in; "" outside a repository.
        versions_of: Libraries and their versions.
        intervals: Bounds of learning rates that a range test found, by parameter.
        source: The id of the search that this one began with; "": none.
        recovered: The header was damaged and is written anew; the trials are older than it.
        objectives: Where there are several; `objective` is the first of them.
    """

    study: str
    engine: str
    objective: Objective
    versions: tuple[Definition, ...]
    pruner: str = "none"
    id: str = ""
    created_at: float = 0.0
    begins: tuple[int, ...] = (0,)
    variant: Json = field(default_factory=dict)
    study_hash: str = ""
    spaces_json: tuple[Json, ...] = ()
    data: DatasetFacts = _NO_DATA
    seed: int = 0
    trials: int | None = None
    study_file: str = ""
    git_commit: str = ""
    versions_of: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    source: str = ""
    recovered: bool = False
    objectives: tuple[Objective, ...] = ()

    @property
    def definition(self) -> Definition:
        """The study as it is searched now."""
        return self.versions[-1]

    @property
    def space(self) -> Space:
        """The space as it is searched now.

        Raises:
            StudyError: It cannot be read.
        """
        return self.spaces[-1]

    @property
    def spaces(self) -> tuple[Space, ...]:
        """The space of each version.

        Raises:
            StudyError: One cannot be read.
        """
        if self.spaces_json:
            return tuple(Space.from_json(stored) for stored in self.spaces_json)
        return tuple(space_of(definition) for definition in self.versions)

    @property
    def engine_name(self) -> str:
        """Engine and pruner in a word: `optuna:tpe+asha`."""
        return self.engine if self.pruner == "none" else f"{self.engine}+{self.pruner}"

    def gone_on_as(self, other: SearchHeader, first_trial: int) -> SearchHeader:
        """Return the header of this search under another definition from a trial on."""
        return replace(
            other,
            id=self.id,
            created_at=self.created_at,
            versions=(*self.versions, other.definition),
            spaces_json=tuple(space.to_json() for space in (*self.spaces, other.space)),
            begins=(*self.begins, first_trial),
            recovered=self.recovered,
        )

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "study": self.study,
            "engine": self.engine,
            "pruner": self.pruner,
            "variant": dict(self.variant),
            "definition": dict(self.definition),
            "study_hash": self.study_hash,
            "data": self.data.to_json(),
            "objective": {
                "metric": self.objective.metric,
                "direction": self.objective.direction,
            },
            "seed": self.seed,
            "trials": self.trials,
            "study_file": self.study_file,
            "git_commit": self.git_commit,
            "versions_of": dict(self.versions_of),
            "intervals": dict(self.intervals),
            "id": self.id,
            "created_at": self.created_at,
            "versions": [dict(version) for version in self.versions],
            "begins": list(self.begins),
            "spaces": [dict(space) for space in self.spaces_json],
            "recovered": self.recovered,
            **self._of_several(),
            # Left out where there is none: other files are as they were.
            **({"source": self.source} if self.source else {}),
        }

    def _of_several(self) -> JsonObject:
        """Return what a study of one objective has not."""
        if not self.objectives:
            return {}
        return {"objectives": [_plain(objective) for objective in self.objectives]}

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "search.json")
        versions = tuple(stored["versions"])
        # Release 0.1 wrote no first numbers until there was a second version.
        begins = tuple(stored.get("begins", (0,)))
        if not begins:
            raise ValueError("'begins' is empty")

        return cls(
            study=stored["study"],
            engine=stored["engine"],
            objective=_objective(stored, versions[-1]),
            versions=versions,
            # What only describes a search may be missing, as it might for release 0.1.
            pruner=stored.get("pruner", "none"),
            id=stored["id"],
            created_at=number(stored.get("created_at", 0.0)),
            begins=begins,
            variant=stored.get("variant", {}),
            study_hash=stored.get("study_hash", ""),
            spaces_json=tuple(stored.get("spaces", ())),
            data=DatasetFacts.from_json(stored["data"]) if "data" in stored else _NO_DATA,
            seed=stored.get("seed", 0),
            trials=stored.get("trials"),
            study_file=stored.get("study_file", ""),
            git_commit=stored.get("git_commit", ""),
            versions_of=stored.get("versions_of", {}),
            intervals=stored.get("intervals", {}),
            source=stored.get("source", ""),
            recovered=stored.get("recovered", False),
            objectives=tuple(Objective(**each) for each in stored.get("objectives", ())),
        )


def _plain(objective: Objective) -> dict[str, str]:
    return {"metric": objective.metric, "direction": objective.direction}


def _objective(stored: Json, definition: Definition) -> Objective:
    """Return what is searched for: the definition says it too, as `minimize val_rmse`."""
    if "objective" in stored:
        return Objective(**stored["objective"])
    direction, _, metric = definition["objective"].partition(" ")
    return Objective(**{"metric": metric, "direction": direction})


@dataclass(frozen=True, kw_only=True)
class Death:
    """How an attempt lost its worker.

    Attributes:
        cause: In a word: `crashed`, `killed`, `timeout`, `no_progress`, `lost`,
            `host_oom`.
        detail: In words.
        slot: Where it ran; "" where that is not known.
        attempt: Which it was, from 1; 0: a file of an earlier version.
        proposal_digest: Of the ask that it was an attempt at; "": not known.
        seconds: How long it had its slot; 0: not known.
    """

    cause: str
    detail: str = ""
    slot: str = ""
    attempt: int = 0
    proposal_digest: str = field(default="", repr=False)
    seconds: float = 0.0

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        optional = {
            "attempt": self.attempt,
            "proposal_digest": self.proposal_digest,
            "seconds": self.seconds,
        }
        return {
            "schema": SCHEMA,
            "cause": self.cause,
            "detail": self.detail,
            "slot": self.slot,
            **{name: value for name, value in optional.items() if value},
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "died.json")
        return cls(
            cause=stored["cause"],
            detail=stored.get("detail", ""),
            slot=stored.get("slot", ""),
            attempt=stored.get("attempt", 0),
            proposal_digest=stored.get("proposal_digest", ""),
            seconds=number(stored.get("seconds", 0.0)),
        )


@dataclass(frozen=True, kw_only=True)
class SearchStatus:
    """How the last run of a search ended, or that it runs.

    Attributes:
        status: "running", "completed", "exhausted", "timeout", "budget", "until", "interrupted",
            "terminated" or "failed".
        counts: Trials by outcome.
        error: Why it failed, else "".
        at: When this was so, Unix seconds.
        seconds: Wall time of all runs of the search up to then; 0: not known.
        runs: How many runs there were, this one included; 0: a file of an earlier version.
    """

    status: str
    at: float
    counts: Mapping[str, int] = field(default_factory=dict)
    error: str = ""
    seconds: float = 0.0
    runs: int = 0

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        optional = {"seconds": self.seconds, "runs": self.runs}
        return {
            "schema": SCHEMA,
            "status": self.status,
            "counts": dict(self.counts),
            "error": self.error,
            "at": self.at,
            **{name: value for name, value in optional.items() if value},
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "status.json")
        return cls(
            # Without a word it was not written by the end of a run.
            status=stored.get("status", "interrupted"),
            at=number(stored.get("at", 0.0)),
            counts=stored.get("counts", {}),
            error=stored.get("error", ""),
            seconds=number(stored.get("seconds", 0.0)),
            runs=stored.get("runs", 0),
        )


def counts(statuses: Iterable[Status]) -> dict[str, int]:
    """Count trials as the command line reports them: completed, pruned, failed, infeasible.

    Diverged ones count as failed.
    """
    totals = {"completed": 0, "pruned": 0, "failed": 0, "infeasible": 0}
    for status in statuses:
        counted = Status.FAILED if status is Status.DIVERGED else status
        totals[counted.value] += 1
    return totals


@dataclass(frozen=True, kw_only=True)
class LRIntervals:
    """Bounds of learning rates that a range test found, where no search's header keeps them.

    Attributes:
        intervals: By parameter (low, high), or rows of `tuning.space.positions`.
        definition: What they were measured under; empty: not known, and the intervals hold.
    """

    intervals: Mapping[str, Sequence[Any]]
    definition: Definition

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "intervals": dict(self.intervals),
            "definition": dict(self.definition),
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`, or from a file of release 0.1."""
        check_schema(stored, "intervals.json")
        return cls(intervals=stored["intervals"], definition=stored.get("definition", {}))
