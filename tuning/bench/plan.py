"""Who is compared, on what: the searches of a benchmark by name, before any of them has begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning.bench.budget import DEFAULT_TRIALS, Budget
from tuning.errors import StudyError, did_you_mean
from tuning.executors.executor_spec import LOCAL, ExecutorChoice
from tuning.ledger.begin import search_key
from tuning.study.engine_spec import (
    engine_spec,
    engine_specs,
    require_installed,
    unknown_engine,
)
from tuning.study.info import StudyInfo
from tuning.study.study import Study, derive_seed
from tuning.study.study_fields import PRUNERS
from tuning.trials.jobs import Overrides, Source

DEFAULT_ENGINES = (
    "gridsearchcv",
    "randomizedsearchcv",
    "optuna:tpe",
    "optuna:tpe+asha",
    "keras-tuner:bayesian",
    "keras-tuner:hyperband",
)
"""What people use of each library, one that stops bad trials early, and what all must beat: random.
"""

MOST_INITIAL = 3
"""Points that the searches of one seed have in common, where the engine can take them…"""
TRIALS_FOR_ONE_INITIAL = 5
"""… but at most one trial in five is such a point."""


@dataclass(frozen=True)
class EngineChoice:
    """An engine that takes part, perhaps with a pruner: `optuna:tpe+asha`."""

    engine: str
    pruner: str = "none"

    @property
    def name(self) -> str:
        """As it is written by users and shown to them."""
        return self.engine if self.pruner == "none" else f"{self.engine}+{self.pruner}"


@dataclass(frozen=True, kw_only=True)
class BenchPlan:
    """What a user asks of a benchmark.

    Attributes:
        sources: The studies.
        choices: The engines.
        seeds: Searches of each engine on each study.
        budget: What each search may use.
        devices: As for `--devices`.
        executor: Who does the searches.
        fresh: Set earlier searches of this benchmark aside.
        memory_per_slot: Bytes that a search of it may use, engine and trial; None: what there is.
        quota: Most bytes of the state folder; None: what the disk holds.
        gpu_hours, cpu_hours: Most that the trials of all searches may use together; None: what they
            take.
        home: State folder; None: TUNING_HOME or ./mlruns.
    """

    sources: tuple[Source, ...]
    choices: tuple[EngineChoice, ...]
    seeds: int
    budget: Budget
    devices: str = "auto"
    executor: ExecutorChoice = LOCAL
    fresh: bool = False
    memory_per_slot: int | None = None
    quota: int | None = None
    gpu_hours: float | None = None
    cpu_hours: float | None = None
    home: str | None = None


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search of a benchmark.

    Attributes:
        study: Name of the study.
        source: The study itself.
        overrides: What makes it this search's: engine, seed and trials.
        choice: Who proposes.
        seed: Index of the seed; searches of equal index have the same splits and training seeds.
        folder: Where its ledger and `run.json` are.
        pinned: `StudyInfo.pinned`.
    """

    study: str
    source: Source
    overrides: Overrides
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
        """As users see it."""
        return f"{self.study} · {self.choice.name} · seed {self.seed}"


@dataclass(frozen=True, kw_only=True)
class CheckRequest:
    """What a worker shall check of a study.

    Attributes:
        source: The study.
        changes: Of its fields, for every search: bounds that a range test found.
        choices: The engines.
        seeds: Searches of each engine.
        budget: What each search may use.
        home: Gets a folder for each search: `<home>/<study>/<budget>/<engine>-seed-<index>`.
    """

    source: Source
    changes: Overrides
    choices: tuple[EngineChoice, ...]
    seeds: int
    budget: Budget
    home: Path


@dataclass(frozen=True, kw_only=True)
class CheckedStudy:
    """What the driver may know of a study.

    Attributes:
        info: Under the first engine.
        searches: All of them, those of one seed together, so that a benchmark cut short has whole
            pairs.
        notices: What the engines say, by the engine's name.
        folder: Holds the folders of the searches.
    """

    info: StudyInfo
    searches: tuple[Search, ...]
    notices: Mapping[str, tuple[str, ...]]
    folder: Path

    @property
    def compared_by(self) -> str:
        """What engines are compared by where the study has several objectives; else ""."""
        others = [each.metric for each in self.info.objectives[1:]]
        if not others:
            return ""
        return (
            f"{self.info.objective.metric} alone, the first of {1 + len(others)} objectives: "
            f"engines seek {', '.join(others)} too, and no front is compared"
        )


def parse_choices(text: str) -> tuple[EngineChoice, ...]:
    """Read `optuna:tpe,optuna:tpe+asha,gridsearchcv`.

    Raises:
        StudyError: All faults at once: unknown engines and pruners, a pruner on another library's
            engine, repetitions.
        MissingError: An engine needs what is not installed.
    """
    faults: list[str] = []
    choices: list[EngineChoice] = []
    names = [part.strip() for part in text.split(",")]

    for name in names:
        if not name:
            continue
        engine, _, pruner = name.partition("+")
        choice = EngineChoice(engine, pruner or "none")
        fault = _fault_of(choice)
        if fault:
            faults.append(fault)
        elif choice in choices:
            faults.append(f"'{name}' is given twice")
        choices.append(choice)

    if not choices:
        faults.append(f"no engine is named; e.g. --engines {','.join(DEFAULT_ENGINES[:3])}")
    if faults:
        raise StudyError(faults, where="--engines")
    for choice in choices:
        require_installed(engine_spec(choice.engine))
    return tuple(choices)


def _fault_of(choice: EngineChoice) -> str:
    """Return what is wrong with a choice, "" where nothing is."""
    spec = engine_specs().get(choice.engine)
    if spec is None:
        return unknown_engine(choice.engine)
    if choice.pruner not in PRUNERS:
        near = did_you_mean(choice.pruner, PRUNERS)
        known = ", ".join(PRUNERS)
        return f"'{choice.name}': pruner '{choice.pruner}' is unknown.{near} There are: {known}"
    if choice.pruner != "none" and not spec.prunes:
        return f"'{choice.name}': pruners work with Optuna's engines only"
    return ""


def overrides_of(study: Study, choice: EngineChoice, index: int, budget: Budget) -> Overrides:
    """Return what makes a study that of one search: engine, seed and trials, and no timeout.

    The seed feeds splits, first points, engine and training, and depends on the index alone: what
    differs between two searches of one index is the engine.

    Raises:
        StudyError: The budget does not pay for one trial.
    """
    initial: int | Sequence[Mapping[str, Any]] = 0
    if engine_spec(choice.engine).takes_initial:
        affordable = budget.whole_trials(study) // TRIALS_FOR_ONE_INITIAL
        initial = study.initial or min(MOST_INITIAL, affordable)

    changes: dict[str, Any] = {
        "engine": choice.engine,
        "pruner": choice.pruner,
        "seed": derive_seed(study.seed, "bench", index),
        "initial": initial,
    }
    # An engine that never ends by itself needs a number; the budget's replaces it below.
    under_this_engine = study.with_(**changes, trials=study.trials or DEFAULT_TRIALS)
    budget.require_a_trial(under_this_engine)
    return {**changes, "trials": budget.trials_for(under_this_engine), "timeout": None}


def folder_of(root: Path, choice: EngineChoice, index: int) -> Path:
    """Return the folder of a search within that of its study and budget."""
    return root / f"{search_key(choice.engine, choice.pruner, {})}-seed-{index:03d}"
