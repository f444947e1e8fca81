"""`reproduce`: train a trial or a winner again, beside the search, and compare."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tuning.errors import StudyError
from tuning.executors.base import Executor, Job
from tuning.executors.executor_spec import open_executor
from tuning.executors.supervision.parts import QUESTION
from tuning.ledger.view.search_view import SearchView
from tuning.ledger.winner import FinalistOutcome, Standing
from tuning.reproduction.comparison import Comparison, Figure, figures_of
from tuning.reproduction.origin import (
    changes,
    definition_of,
    device_changes,
    has_same_rows,
    kind_of,
)
from tuning.search.processes import source_of
from tuning.search.questions.answers import answers
from tuning.search.trial_jobs import parent_folder
from tuning.storage.scratch import scratch_folder
from tuning.trial import Proposal, Status, TrialResult
from tuning.trials.jobs import FinalistJob, Overrides, Source, TrialJob

_DEFINITION = "definition"
_TRIAL = "trial"


@dataclass(frozen=True)
class _Study:
    """The study as workers load it: its file of today, with what the search changed of it.

    Attributes:
        source: Its file.
        overrides: The search's, with the seed that the trial had.
        definition: The one that the trial was asked under.
    """

    source: Source
    overrides: Overrides
    definition: Mapping[str, Any]

    @classmethod
    def of(cls, view: SearchView, number: int) -> _Study:
        header = view.header
        definition = definition_of(header, number)
        overrides = {**header.variant, "seed": definition.get("seed", header.seed)}
        if header.intervals:
            overrides["intervals"] = dict(header.intervals)
        return cls(_source(view), overrides, definition)


def _source(view: SearchView) -> Source:
    """Return where the study is.

    Raises:
        StudyError: It was made in a notebook, or its file is gone.
    """
    file = view.header.study_file
    if not file:
        raise StudyError(
            f"{view.name} was searched from Python, and no file has its study: write the study "
            "into a file, and search that"
        )
    if not Path(file).exists():
        raise StudyError(f"the study file of {view.name} is gone: put {file} back")
    return source_of(file)


def reproduce_trial(
    view: SearchView, number: int, *, devices: str = "", notice: Callable[[str], None] = print
) -> Comparison:
    """Train a trial again: the same parameters, seed, data, epochs and kind of slot.

    A pruned one is ended at the same epoch. One whose result is an earlier trial's is that one.

    Args:
        view: The search.
        number: Of the trial.
        devices: As for `--devices`; "": one slot of the kind that it ran on.
        notice: Called with what is waited for.

    Raises:
        StudyError: It has not ended, was never trained, or its study cannot be found.
        TuningError: It cannot be trained, with its exit code.
    """
    trial = view.trial(number)
    recorded = trial.result
    if recorded is None:
        raise StudyError(f"trial {number} of {view.name} has not ended yet")
    if recorded.copied_from is not None:
        notice(f"trial {number} has the result of trial {recorded.copied_from}, its equal")
        return reproduce_trial(view, recorded.copied_from, devices=devices, notice=notice)
    if recorded.from_search:
        raise StudyError(
            f"trial {number} has its result of another search: reproduce {recorded.from_search}"
        )

    study = _Study.of(view, number)
    proposal = _as_trained(trial.proposal, recorded)
    with (
        scratch_folder("tuning-again-") as folder,
        _opened(view, study, devices or f"{kind_of(recorded.slot)}:1", notice) as executor,
    ):
        job = TrialJob(
            source=study.source,
            overrides=study.overrides,
            proposal=proposal,
            folder=Path(folder) / "trial",
            parent=parent_folder(view.files, proposal),
        )
        asked = (job, _pruned_at(recorded))
        found = _asked(executor, study, {_TRIAL: ("tuning.trials.again:trial_again", asked)})

    again: TrialResult = found[_TRIAL]
    spread, n_seeds = _spread_of(view, number)
    return Comparison(
        called=f"trial {number} of {view.name}",
        objective=Figure(view.objective.metric, recorded.value, again.value),
        others=list(figures_of(recorded, again, view.objective.metric)),
        spread=spread if n_seeds > 1 else None,
        same_rows=has_same_rows(study.definition, found[_DEFINITION]),
        differences=[
            *changes(view.header, study.definition, found[_DEFINITION]),
            *device_changes(recorded.slot, again.slot),
            *_seed_changes(recorded.seed, again.seed),
            *_outcome_changes(recorded, again),
        ],
    )


def reproduce_winner(
    view: SearchView, *, devices: str = "", notice: Callable[[str], None] = print
) -> Comparison:
    """Train the winner again on each of its fresh seeds; see `reproduce_trial`."""
    winner = view.winner
    if winner is None:
        raise StudyError(f"{view.name} has no winner: it is {view.status}; name one of its trials")
    standing = winner.standing
    study = _Study.of(view, winner.number)
    before = _outcomes(view, standing)
    slot = next((outcome.slot for outcome in before.values() if outcome.slot), "cpu:0")
    with (
        scratch_folder("tuning-again-") as folder,
        _opened(view, study, devices or f"{kind_of(slot)}:1", notice) as executor,
    ):
        jobs = {
            str(index): ("tuning.trials.again:finalist_again", (job,))
            for index, job in enumerate(_finalist_jobs(view, study, Path(folder)))
        }
        found = _asked(executor, study, jobs)

    again: list[FinalistOutcome] = [found[name] for name in jobs]
    metric = view.objective.metric
    seeds = [
        Figure(f"{metric} on seed {seed}", value, outcome.value)
        for seed, value, outcome in zip(standing.seeds, standing.values, again, strict=True)
    ]
    values = [outcome.value for outcome in again if outcome.value is not None]
    mean = statistics.fmean(values) if len(values) == len(again) else None
    is_known = len(standing.seeds) > 1
    return Comparison(
        called=f"the winner of {view.name}, trial {winner.number}",
        objective=Figure(metric, standing.mean, mean),
        others=seeds,
        spread=standing.std if is_known else None,
        n_seeds=len(standing.seeds),
        same_rows=has_same_rows(study.definition, found[_DEFINITION]),
        differences=[
            *changes(view.header, study.definition, found[_DEFINITION]),
            *device_changes(slot, again[0].slot),
            *(
                sentence
                for seed, outcome in zip(standing.seeds, again, strict=True)
                for sentence in _seed_changes(seed or 0, outcome.seed)
            ),
        ],
    )


def _opened(view: SearchView, study: _Study, devices: str, notice: Callable[[str], None]) -> Any:
    return open_executor(
        devices=devices,
        gpus_per_trial=int(study.definition.get("gpus_per_trial", 1)),
        label=f"reproduce {view.name}",
        notice=notice,
        sources=[study.source],
    )


def _asked(
    executor: Executor, study: _Study, jobs: Mapping[str, tuple[str, tuple[Any, ...]]]
) -> dict[str, Any]:
    """Have workers do the jobs, and tell the study's definition as it is today."""
    of_study = (study.source, study.overrides)
    everything = {_DEFINITION: ("tuning.trials.again:definition_now", of_study), **jobs}
    questions = [
        Job(name, function, arguments, timeout_s=QUESTION.answer_s)
        for name, (function, arguments) in everything.items()
    ]
    return answers(executor, questions, "the training")


def _as_trained(proposal: Proposal, result: TrialResult) -> Proposal:
    """Return an ask with the rows a step that memory had left."""
    if result.batch_size is None:
        return proposal
    params = {**proposal.params, "batch_size": result.batch_size}
    return Proposal(
        proposal.number,
        params,
        proposal.epochs,
        proposal.parent,
        continued=proposal.continued,
    )


def _pruned_at(result: TrialResult) -> int | None:
    if result.status is not Status.PRUNED or not result.reported:
        return None
    return result.reported[-1][0]


def _finalist_jobs(view: SearchView, study: _Study, folder: Path) -> Iterable[FinalistJob]:
    assert view.winner is not None  # noqa: S101 - who calls has looked
    standing = view.winner.standing
    for index in range(len(standing.seeds)):
        yield FinalistJob(
            source=study.source,
            overrides=study.overrides,
            number=standing.number,
            params=view.winner_params,
            epochs=standing.epochs,
            index=index,
            file=folder / f"{index}.json",
        )


def _outcomes(view: SearchView, standing: Standing) -> dict[int, FinalistOutcome]:
    found = {
        index: view.files.finalist(standing.number, index) for index in range(len(standing.seeds))
    }
    return {index: outcome for index, outcome in found.items() if outcome is not None}


def _spread_of(view: SearchView, number: int) -> tuple[float | None, int]:
    """Return how much fresh seeds alone move such a value, and over how many seeds that is known.

    Of the trial itself where it was a finalist, else of the winner.
    """
    if view.winner is None:
        return None, 0
    standings = {standing.number: standing for standing in view.winner.finalists}
    standing = standings.get(number, view.winner.standing)
    return standing.std, len(standing.seeds)


def _seed_changes(before: int, now: int) -> Iterable[str]:
    if before != now:
        yield f"seed: {before}, now {now}"


def _outcome_changes(recorded: TrialResult, again: TrialResult) -> Iterable[str]:
    if recorded.status is not again.status:
        why = f" ({again.error})" if again.error else ""
        yield f"outcome: {recorded.status.value}, now {again.status.value}{why}"
    for notice in again.notices:
        if notice not in recorded.notices:
            yield f"notice: {notice}"
