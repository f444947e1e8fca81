"""Who is compared, on what: the searches of a benchmark by name, before any of them has begun."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning.bench.budget import Budget
from tuning.errors import StudyError, did_you_mean
from tuning.ledger.search import search_key
from tuning.study.engine_spec import engine_spec, engine_specs, unknown_engine
from tuning.study.info import StudyInfo
from tuning.study.study import PRUNERS, Study, derive_seed
from tuning.trials.jobs import Source

DEFAULT_ENGINES = (
    "gridsearchcv",
    "randomizedsearchcv",
    "optuna:tpe",
    "optuna:tpe+asha",
    "keras-tuner:bayesian",
    "keras-tuner:hyperband",
)
"""What people use of each library, and one that stops bad trials early; random search is what all
must beat.
"""

INITIAL, OF_TRIALS = 3, 5
"""Points that the searches of one seed have in common, where the engine can take them; at most one
trial in five.
"""


@dataclass(frozen=True)
class EngineChoice:
    """An engine that takes part, perhaps with a pruner: `optuna:tpe+asha`."""

    engine: str
    pruner: str = "none"

    @property
    def name(self) -> str:
        """As it is given and shown."""
        return self.engine if self.pruner == "none" else f"{self.engine}+{self.pruner}"


@dataclass(frozen=True)
class BenchPlan:
    """All that a benchmark is told.

    Attributes:
        sources: The studies.
        choices: The engines.
        seeds: Searches of each engine on each study.
        budget: What each search may use.
        devices: As for `--devices`.
        fresh: Set earlier searches of this benchmark aside.
        home: State folder; None: TUNING_HOME or ./mlruns.
    """

    sources: tuple[Source, ...]
    choices: tuple[EngineChoice, ...]
    seeds: int
    budget: Budget
    devices: str = "auto"
    fresh: bool = False
    home: str | None = None


@dataclass(frozen=True)
class Search:
    """One search of a benchmark.

    Attributes:
        study: Name of the study.
        source, overrides: The study, under this engine and seed.
        choice: Who proposes.
        seed: Index of the seed; searches of equal index have the same splits and training seeds.
        folder: Where its ledger and `run.json` are.
        pinned: `StudyInfo.pinned`.
    """

    study: str
    source: Source
    overrides: Mapping[str, Any]
    choice: EngineChoice
    seed: int
    folder: Path
    pinned: str

    @property
    def id(self) -> str:
        """Unique within a benchmark."""
        return f"{self.study}/{self.folder.name}"

    @property
    def title(self) -> str:
        """As it is told to the user."""
        return f"{self.study} · {self.choice.name} · seed {self.seed}"


@dataclass(frozen=True)
class CheckRequest:
    """What is asked of a worker about a study.

    Attributes:
        source: The study.
        changes: Of its fields, for every search: bounds that a range test found.
        home: Gets a folder for each search: `<home>/<study>/<budget>/<engine>-seed-<index>`.
    """

    source: Source
    changes: Mapping[str, Any]
    choices: tuple[EngineChoice, ...]
    seeds: int
    budget: Budget
    home: Path


@dataclass(frozen=True)
class CheckedStudy:
    """What the driver may know of a study.

    Attributes:
        record: Under the first choice.
        searches: All of them, those of one seed together, so that a bench cut short has whole
            pairs.
        notices: What the engines say, by choice.
    """

    record: StudyInfo
    searches: tuple[Search, ...]
    notices: Mapping[str, tuple[str, ...]]


def parse_choices(text: str) -> tuple[EngineChoice, ...]:
    """Read `optuna:tpe,optuna:tpe+asha,gridsearchcv`.

    Raises:
        StudyError: All faults at once: unknown engines and pruners, a pruner on another library's
            engine, repetitions.
    """
    faults: list[str] = []
    found: list[EngineChoice] = []
    for name in filter(None, (part.strip() for part in text.split(","))):
        engine, _, pruner = name.partition("+")
        choice = EngineChoice(engine, pruner or "none")
        spec = engine_specs().get(engine)
        if spec is None:
            faults.append(unknown_engine(engine))
        elif choice.pruner not in PRUNERS:
            near = did_you_mean(pruner, PRUNERS)
            faults.append(
                f"'{name}': pruner '{pruner}' is unknown.{near} There are: {', '.join(PRUNERS)}"
            )
        elif choice.pruner != "none" and not spec.prunes:
            faults.append(f"'{name}': pruners work with Optuna's engines only")
        elif choice in found:
            faults.append(f"'{name}' is given twice")
        found.append(choice)
    if not found:
        faults.append(f"no engine is named; e.g. --engines {','.join(DEFAULT_ENGINES[:3])}")
    if faults:
        raise StudyError(faults, where="--engines")
    return tuple(found)


def overrides_of(study: Study, choice: EngineChoice, index: int, budget: Budget) -> dict[str, Any]:
    """Return what makes a study that of one search: engine, seed and trials, and no timeout.

    The seed feeds splits, first points, engine and training, and hangs on the index alone: what
    differs between two searches of one index is the engine.
    """
    initial = study.initial or min(INITIAL, budget.whole_trials(study) // OF_TRIALS)
    changes = {
        "engine": choice.engine,
        "pruner": choice.pruner,
        "seed": derive_seed(study.seed, "bench", index),
        "initial": initial if engine_spec(choice.engine).takes_initial else 0,
    }
    return {
        **changes,
        "trials": budget.trials_for(study.with_(**changes, trials=study.trials or 20)),
        "timeout": None,
    }


def folder_of(root: Path, choice: EngineChoice, index: int) -> Path:
    """Return the folder of a search within that of its study and budget."""
    return root / f"{search_key(choice.engine, choice.pruner, {})}-seed-{index:03d}"
