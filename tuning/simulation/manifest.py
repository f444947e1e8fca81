"""`RecordingManifest`: what was recorded, with what and when; the JSON beside the table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from tuning.errors import StudyError, first_line
from tuning.ledger.spaces import space_of
from tuning.schema import SCHEMA, WRONG_SHAPE, Json, JsonObject, check_schema, check_types
from tuning.space.space import Space
from tuning.study.info import DatasetFacts
from tuning.study.objective import Objective

FORMAT = 1
"""How the table's columns are laid out."""


@dataclass(frozen=True, kw_only=True)
class RecordingManifest:
    """What was recorded, with what and when.

    Attributes:
        study: Its name.
        definition: `Study.definition()` with the data's digest.
        space_json: `Space.to_json()`; empty in recordings of release 0.1, whose space is read from
            the definition.
        objective: What the table's values are.
        data: Facts of the data set.
        seeds: The seed of each training of a point.
        epochs, patience, cv, seed, batch_size, engine, trials, attempts, max_failures: As the study
            had them.
        design: In words, which points were trained.
        variant: What the command line changed of the study.
        study_hash, git_commit, versions_of: Where it comes from: hash of the definition, commit of
            the folder ("" outside a repository), libraries.
        platform: Operating system and processor.
        cores: Of the machine; None: not known.
        slots: How many trials ran at a time.
        created_at: Seconds since 1970.
        points, rows: Of the table; 0 until it is written.
        parquet: Name of the table's file, which lies beside the manifest.
        sha256: Of that file, 64 hex digits.
    """

    study: str
    definition: Json
    space_json: Json = field(default_factory=dict)
    objective: Objective
    data: DatasetFacts
    seeds: tuple[int, ...]
    epochs: int
    patience: int | None
    cv: int | None
    seed: int
    batch_size: int
    engine: str
    trials: int | None
    attempts: int
    max_failures: int
    design: str
    variant: Json = field(default_factory=dict)
    study_hash: str = ""
    git_commit: str = ""
    versions_of: Mapping[str, str] = field(default_factory=dict)
    platform: str = ""
    cores: int | None = None
    slots: int = 1
    created_at: float = 0.0
    points: int = 0
    rows: int = 0
    parquet: str = ""
    sha256: str = ""

    @property
    def folds(self) -> int:
        """Fits of each trial."""
        return self.cv or 1

    @property
    def space(self) -> Space:
        """What the points are of.

        Raises:
            StudyError: It cannot be read.
        """
        if self.space_json:
            return Space.from_json(self.space_json)
        return space_of(self.definition)

    def to_json(self) -> JsonObject:
        """Return plain JSON types."""
        return {
            "schema": SCHEMA,
            "format": FORMAT,
            "study": self.study,
            "definition": dict(self.definition),
            "space": dict(self.space_json),
            "study_hash": self.study_hash,
            "data": self.data.to_json(),
            "objective": {
                "metric": self.objective.metric,
                "direction": self.objective.direction,
            },
            "git_commit": self.git_commit,
            "versions_of": dict(self.versions_of),
            "seed": self.seed,
            "epochs": self.epochs,
            "patience": self.patience,
            "cv": self.cv,
            "engine": self.engine,
            "trials": self.trials,
            "variant": dict(self.variant),
            "attempts": self.attempts,
            "max_failures": self.max_failures,
            "batch_size": self.batch_size,
            "seeds": list(self.seeds),
            "design": self.design,
            "machine": {"platform": self.platform, "cores": self.cores},
            "created_at": self.created_at,
            "slots": self.slots,
            "points": self.points,
            "folds": self.folds,
            "rows": self.rows,
            "parquet": self.parquet,
            "sha256": self.sha256,
        }

    @classmethod
    def from_json(cls, stored: Json, file: str = "a recording's manifest") -> Self:
        """Rebuild from `to_json`, or from a manifest of release 0.1.

        Args:
            stored: What the file holds.
            file: Its path, for errors.

        Raises:
            NewerFileError: A later release wrote it.
            StudyError: It is of another format, or something is missing.
        """
        try:
            check_schema(stored, file)
        except TypeError as error:
            raise StudyError(f"{error}; record it anew", where=file) from error
        if stored.get("format") != FORMAT:
            raise StudyError(
                f"no recording of format {FORMAT}; make one with: tuning record STUDY", where=file
            )
        try:
            manifest = cls._of_format_1(stored)
            check_types(manifest)
        except KeyError as error:
            raise StudyError(f"{error} is missing; record it anew", where=file) from error
        except WRONG_SHAPE as error:
            raise StudyError(f"{first_line(error)}; record it anew", where=file) from error
        return manifest

    @classmethod
    def _of_format_1(cls, stored: Json) -> Self:
        machine = stored["machine"]
        return cls(
            study=stored["study"],
            definition=stored["definition"],
            space_json=stored.get("space", {}),  # release 0.1 has it in the definition alone
            objective=Objective(**stored["objective"]),
            data=DatasetFacts.from_json(stored["data"]),
            seeds=tuple(stored["seeds"]),
            epochs=int(stored["epochs"]),
            patience=stored["patience"],
            cv=stored["cv"],
            seed=stored["seed"],
            batch_size=stored["batch_size"],
            engine=stored["engine"],
            trials=stored["trials"],
            attempts=stored["attempts"],
            max_failures=stored["max_failures"],
            design=stored["design"],
            variant=stored["variant"],
            study_hash=stored["study_hash"],
            git_commit=stored["git_commit"],
            versions_of=stored["versions_of"],
            platform=machine["platform"],
            cores=machine.get("cores"),
            slots=stored["slots"],
            created_at=float(stored["created_at"]),
            points=int(stored["points"]),
            rows=int(stored["rows"]),
            parquet=str(stored["parquet"]),
            sha256=stored["sha256"],
        )
