"""What a search was given of another one (`run --from`), kept in its own folder.

The other search may go on meanwhile: one that is resumed begins as it did.

    known.json            KnownRecord
    known/00007.json      the result of the other search's trial 7, where it may be told
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tuning.errors import DamagedFileError
from tuning.ledger.damage import OnDamage, leave_out
from tuning.ledger.records import Definition, read_record, write_record
from tuning.schema import SCHEMA, Json, JsonObject, check_schema
from tuning.storage.durable import write_json
from tuning.trial import TrialResult

_FILE = "known.json"


@dataclass(frozen=True, kw_only=True)
class KnownTrial:
    """A completed trial of the other search.

    Attributes:
        number: There.
        params: As its `spec.json` has them.
        epochs: It was trained for.
        whole: It was trained from its beginning under the definition in the record; only then is
            its result that of its parameters.
        digest: `Proposal.digest` there; "": a file of an earlier version.
    """

    number: int
    params: Json
    epochs: int
    whole: bool
    digest: str = field(default="", repr=False)

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "number": self.number,
            "params": dict(self.params),
            "epochs": self.epochs,
            "whole": self.whole,
            **({"digest": self.digest} if self.digest else {}),
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        return cls(
            number=stored["number"],
            params=stored["params"],
            epochs=stored["epochs"],
            whole=stored["whole"],
            digest=stored.get("digest", ""),
        )


@dataclass(frozen=True, kw_only=True)
class KnownRecord:
    """What was known of another search when this one began.

    Attributes:
        search: Its id.
        name: As users call it: `study/key`.
        engine: Of that search.
        definition: It held there.
        trials: Completed ones of different parameters, the best first.
        n_starts: With how many of them this search begins.
    """

    search: str
    name: str
    engine: str
    definition: Definition
    trials: tuple[KnownTrial, ...]
    n_starts: int

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "search": self.search,
            "name": self.name,
            "engine": self.engine,
            "definition": dict(self.definition),
            "trials": [trial.to_json() for trial in self.trials],
            "n_starts": self.n_starts,
        }

    @classmethod
    def from_json(cls, stored: Json) -> Self:
        """Rebuild from `to_json`."""
        check_schema(stored, _FILE)
        return cls(
            search=stored["search"],
            name=stored["name"],
            engine=stored["engine"],
            definition=stored["definition"],
            trials=tuple(KnownTrial.from_json(trial) for trial in stored["trials"]),
            n_starts=stored["n_starts"],
        )


def read_known(folder: Path, *, on_damage: OnDamage = leave_out) -> KnownRecord | None:
    """Return what the search in `folder` was given; None where nothing is kept, or it is damaged.

    Args:
        folder: Of the search.
        on_damage: Told of a damaged file.
    """
    return read_record(KnownRecord, folder / _FILE, on_damage=on_damage)


def write_known(folder: Path, record: KnownRecord) -> None:
    """Keep what a search is given; its results are to lie there already."""
    write_record(folder / _FILE, record)


def known_result(
    folder: Path, number: int, digest: str = "", *, on_damage: OnDamage = leave_out
) -> TrialResult | None:
    """Return the result of the other search's trial; None where it is not kept, or another's.

    Args:
        folder: Of this search.
        number: Of the trial there.
        digest: `KnownTrial.digest`; "": not known.
        on_damage: Told of a file that is not used.
    """
    path = _result_file(folder, number)
    result = read_record(TrialResult, path, on_damage=on_damage)
    if result is None:
        return None
    is_others = bool(digest and result.proposal_digest) and digest != result.proposal_digest
    if is_others or result.number != number:
        on_damage(DamagedFileError(path, "it is of another trial or search", foreign=True))
        return None
    return result


def keep_known_result(folder: Path, result: TrialResult) -> None:
    """Keep a result of the other search."""
    path = _result_file(folder, result.number)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_json(path, result.to_json())


def _result_file(folder: Path, number: int) -> Path:
    return folder / "known" / f"{number:05d}.json"
