"""What a worker is told. Plain records: the driver makes them without TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from tuning.space.constraints import broken, constraints_of, violations
from tuning.study.study import Study, derive_seed
from tuning.trial import Metrics, Params, Proposal, Status, TrialResult

Source: TypeAlias = str | bytes
"""The path of a study file, or a Study made in a notebook, pickled by its own driver."""

Overrides: TypeAlias = Mapping[str, Any]
"""Changes of a study's fields, by name."""

ALL_ROWS = "all-rows"
"""In the place of a fold's number: the rows that the winner is trained on."""


class Stopped(Exception):
    """The driver wants the slot back; the trial stays open."""


@dataclass(frozen=True, kw_only=True)
class TrialJob:
    """What a worker is told of a trial.

    Attributes:
        source, overrides: The study.
        proposal: What to train.
        folder: The trial's folder in the ledger; `result.json` is written there before the driver
            is told.
        attempt: From 1; finished folds of earlier attempts are taken over.
        parent: The folder of the trial that is continued.
        keep_end: Keep the state at the end, for a trial that may continue this one.
        lockstep: Advance the folds together, an epoch at a time, so that a pruner sees their mean.
        pinned: The definition and data the search was begun with (`StudyInfo.pinned`); "": any.
        score_test: Score the weights kept on the test part too, into a file that no engine is
            shown: to compare engines, never to choose a winner.
    """

    source: Source
    overrides: Overrides
    proposal: Proposal
    folder: Path
    attempt: int = 1
    parent: Path | None = None
    keep_end: bool = False
    lockstep: bool = False
    pinned: str = ""
    score_test: bool = False


@dataclass(frozen=True, kw_only=True)
class RecordJob(TrialJob):
    """A point of a recording.

    Attributes:
        index: Which of the recording's training seeds.
    """

    index: int = 0


def training_seed(seed: int, index: int) -> int:
    """Return a recording's training seed; number 0 is that of every trial of a search."""
    if index == 0:
        return derive_seed(seed, "training")
    return derive_seed(seed, "recording", index)


@dataclass(frozen=True, kw_only=True)
class FinalistJob:
    """Parameters of one of the best trials, to be trained on one fresh seed.

    Attributes:
        number: The trial they come from.
        index: Which of the study's fresh seeds.
        file: Where the outcome is kept; the weights, where no fold is left out of the training, lie
            beside it.
        pinned: As for a trial.
        fold: The only one to be trained, with `--cv`: the folds of a finalist share the slots.
            `ALL_ROWS`: as the winner, which a finalist without rivals is going to be. None: without
            `--cv`, or one fold after another.
        data_digest: Of the trial's data, where their arguments are searched; "": any.
        digest: `finalist_digest` of all this; the outcome carries it.
    """

    source: Source
    overrides: Overrides
    number: int
    params: Params
    epochs: int
    index: int
    file: Path
    pinned: str = ""
    fold: int | str | None = None
    data_digest: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class EvaluationJob:
    """The winner, to be looked at once with the test part.

    Attributes:
        number: The trial its parameters come from, which a builder may ask for.
        params, epochs, seed: What it is built from: the winning parameters and the median of the
            fresh seeds.
        weights: Of that seed, trained on all rows that the winner is; None: it is trained now.
        saved: Where the winner is saved, taking raw features.
        file: Where the outcome is kept.
        pinned: As for a trial.
        data_digest: As for a finalist.
        weights_of: `weights_owner` of these weights; "": not known.
        digest: `evaluation_digest` of all this; the outcome carries it.
    """

    source: Source
    overrides: Overrides
    params: Params
    epochs: int
    seed: int
    weights: Path | None
    saved: Path
    file: Path
    pinned: str = ""
    data_digest: str = ""
    number: int = 0
    weights_of: str = ""
    digest: str = ""


def weights_owner(finalist: str, index: int) -> str:
    """Return what a file of a finalist's weights says it is of; "" where that is not known.

    Args:
        finalist: `finalist_digest` of what was trained.
        index: Which of the study's fresh seeds.
    """
    return f"{finalist} seed {index}" if finalist else ""


def refused(study: Study, number: int, figures: Metrics) -> TrialResult:
    """Return the result of a trial whose model breaks a constraint: nothing is trained."""
    constraints = [each for each in constraints_of(study.constraints) if each.of_model]
    return TrialResult(
        number,
        Status.INFEASIBLE,
        metrics=dict(figures),
        error=broken(constraints, figures),
        violations=violations(constraints, figures),
    )
