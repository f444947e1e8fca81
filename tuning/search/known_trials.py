"""`KnownTrials`: what a search takes over of another one, by `run --from`.

The best points of the other search are tried first. Where a trial would be trained there as it is
here, its result is told to the engine instead.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from tuning.errors import StudyError
from tuning.ledger.catalog import finished, name_of
from tuning.ledger.known import (
    KnownRecord,
    KnownTrial,
    keep_known_result,
    known_result,
    read_known,
    write_known,
)
from tuning.ledger.search import SearchFiles
from tuning.ledger.versions import differences
from tuning.search.trial_index import continues, digest_of
from tuning.space.domains import Float, Int
from tuning.space.space import Space
from tuning.study.engine_spec import engine_specs
from tuning.study.info import StudyInfo
from tuning.study.study import derive_seed
from tuning.trial import Params, Proposal, Status, TrialResult

USUAL_STARTS = 10
"""Points an engine begins with before it learns, where its own options do not say."""

_START_OPTIONS = ("n_startup_trials", "num_initial_points", "population_size")
# What decides which points are tried, not what comes of one.
_ABOUT_POINTS = (
    "name",
    "engine",
    "engine_options",
    "pruner",
    "trials",
    "initial",
    "space",
    "from_range_test",
)
_MOST_NAMED = 3


@dataclass(frozen=True, kw_only=True)
class KnownTrials:
    """What is known before a search begins; by default nothing.

    Attributes:
        points: The search begins with these, the other one's best and then the study's own.
        notices: What of the other search is taken over, and what is not, with the reason.
        record: What is kept; None: there is no other search.
        folder: Of this search.
        origin: The other search, where it was looked at now.
        numbers: The other search's trials that may be told, by `digest_of` a proposal here.
    """

    points: Sequence[Params] = ()
    notices: tuple[str, ...] = ()
    record: KnownRecord | None = None
    folder: Path = Path()
    origin: SearchFiles | None = None
    numbers: Mapping[bytes, int] = field(default_factory=dict)

    @property
    def search(self) -> str:
        """The id of the other search; "" where there is none."""
        return "" if self.record is None else self.record.search

    @cached_property
    def _digests(self) -> Mapping[int, str]:
        """`KnownTrial.digest` by number: asked for with each proposal."""
        trials = () if self.record is None else self.record.trials
        return {trial.number: trial.digest for trial in trials}

    def keep(self) -> None:
        """Write it into the search's folder, where it is not there yet."""
        if self.record is None or self.origin is None:
            return
        for number in self.numbers.values():
            result = self.origin.result(number)
            if result is not None:
                keep_known_result(self.folder, result)
        # Last: after a kill before it all is gathered again.
        write_known(self.folder, self.record)

    def result_of(self, proposal: Proposal) -> TrialResult | None:
        """Return the result of a proposal as one of this search; None where it is not known."""
        if continues(proposal):
            return None
        number = self.numbers.get(digest_of(proposal))
        if number is None:
            return None
        result = known_result(self.folder, number, self._digests[number])
        return None if result is None else _told(result, proposal.number, self.search)


def known_trials(
    study: StudyInfo,
    space: Space,
    origin: SearchFiles | None,
    folder: Path,
    *,
    fresh: bool = False,
) -> KnownTrials:
    """Return what a search takes over; of one that has begun what it was given then.

    Args:
        study: What is searched.
        space: Its space, with the bounds of a range test.
        origin: The other search; None: there is none.
        folder: Of this search; its lock is held.
        fresh: Do not look at what is kept there.

    Raises:
        StudyError: The engine takes no points, or there is none for it.
    """
    if origin is None:
        return KnownTrials()
    _check_engine(study, space)
    kept = None if fresh else read_known(folder)
    record = kept or _gathered(origin, study)

    unequal = _differences(study, record)
    points: list[Params] = []
    outside: list[str] = []
    numbers = {}
    for trial in record.trials:
        try:
            point = _point_of(space, trial)
        except StudyError as error:
            outside.append(f"trial {trial.number}: {error.faults[0]}")
            continue
        points.append(point)
        epochs = study.epochs_of(point)
        if trial.whole and trial.epochs == epochs and not unequal:
            numbers[digest_of(Proposal(trial.number, point, epochs))] = trial.number

    if not points:
        raise StudyError(
            f"--from {record.name}: none of its {len(record.trials)} points is of this space "
            f"({_listed(outside)})",
            where=f"study '{study.name}'",
        )
    starts = points[: record.n_starts]
    return KnownTrials(
        points=[*starts, *_own_points(study, space)],
        notices=tuple(_notices(record, len(starts), len(numbers), unequal, outside)),
        record=record,
        folder=folder,
        origin=None if kept is not None else origin,
        numbers=numbers,
    )


def _check_engine(study: StudyInfo, space: Space) -> None:
    where = f"study '{study.name}'"
    spec = study.engine_spec
    if not (spec.takes_initial or spec.takes_points):
        others = [
            each.name for each in engine_specs().values() if each.takes_initial or each.takes_points
        ]
        raise StudyError(
            f"--from: {study.engine} chooses its own first points; leave it out, or use "
            f"{', '.join(others)}",
            where=where,
        )
    if space.positioned:
        raise StudyError(
            "--from: points cannot be given where a rate has an interval for each structure",
            where=where,
        )


def _gathered(origin: SearchFiles, study: StudyInfo) -> KnownRecord:
    """Return what another search knows now.

    Raises:
        StudyError: It has completed no trial.
    """
    header = origin.require_header()
    name = name_of(origin)
    _, trials = finished(origin)
    completed = [
        (proposal, result)
        for proposal, result in trials
        if result.status is Status.COMPLETED and result.value is not None
    ]
    if not completed:
        raise StudyError(f"--from {name}: it has no completed trial to begin with")

    key = header.objective.key
    completed.sort(key=lambda pair: (key(pair[1].value or 0.0), pair[0].number))
    different: dict[bytes, KnownTrial] = {}
    for proposal, _ in completed:
        trial = KnownTrial(
            number=proposal.number,
            params=dict(proposal.params),
            epochs=proposal.epochs,
            whole=not continues(proposal) and proposal.number >= header.begins[-1],
            digest=proposal.digest,
        )
        # Of one point at several epochs the best value counts.
        different.setdefault(digest_of(replace(proposal, epochs=0)), trial)
    return KnownRecord(
        search=header.id,
        name=name,
        engine=header.engine,
        definition=header.definition,
        trials=tuple(different.values()),
        n_starts=_n_starts(study),
    )


def _n_starts(study: StudyInfo) -> int:
    """Return how many points the engine begins with, at most half of the budget."""
    options = study.definition.get("engine_options", {})
    usual: int = next((options[name] for name in _START_OPTIONS if name in options), USUAL_STARTS)
    most = usual if study.trials is None else min(usual, study.trials // 2)
    return max(1, most)


def _point_of(space: Space, trial: KnownTrial) -> dict[str, Any]:
    """Return a trial's point as one of this space.

    Raises:
        StudyError: It is none.
    """
    try:
        point = space.decode_known(trial.params)
        for name, value in trial.params.items():
            # 2.5 is not to become the whole number 2, nor a word a number.
            if isinstance(space.domains.get(name), Int | Float) and point[name] != value:
                raise StudyError(f"'{name}' is {value!r}, outside {space[name]}")
        space.check(point)
    except (TypeError, ValueError) as error:
        raise StudyError(f"{dict(trial.params)} has another kind of value") from error
    return space.active(point)  # in the space's order, whichever the file has


def _own_points(study: StudyInfo, space: Space) -> Sequence[Params]:
    """Return the first points that the study itself gives."""
    if not isinstance(study.initial, int):
        return study.initial
    if not study.initial:
        return ()
    # SciPy's sequences take a moment to import.
    from tuning.study.unit_cube import sobol_points

    return sobol_points(space, study.initial, derive_seed(study.seed, "initial"))


def _differences(study: StudyInfo, record: KnownRecord) -> list[str]:
    """Return why a point would be trained here otherwise than in the other search."""
    here, there = (
        {name: value for name, value in definition.items() if name not in _ABOUT_POINTS}
        for definition in (study.definition, record.definition)
    )
    faults = differences(there, here)

    spec = engine_specs().get(record.engine)
    if spec is None or spec.trial_function != study.engine_spec.trial_function:
        faults.append(f"trials of {record.engine} are trained in another way")
    # With a pruner the fits of a trial go on in lock-step.
    has_several_fits = study.cv is not None or study.repeats > 1
    pruner = record.definition.get("pruner", "none")
    if has_several_fits and (pruner == "none") != (study.pruner == "none"):
        faults.append(f"pruner was {pruner!r}, is {study.pruner!r}")
    return faults


def _notices(
    record: KnownRecord,
    n_starts: int,
    n_told: int,
    unequal: Sequence[str],
    outside: Sequence[str],
) -> Iterator[str]:
    yield f"begins with the {n_starts} best points of {record.name}"
    if unequal:
        yield f"they are trained here, its results are not told: {_listed(unequal)}"
    elif n_told:
        yield f"{n_told} results of {record.name} are told where their points come, not trained"
    else:
        yield "they are trained here: its trials had other epochs, or went on from others"
    if outside:
        yield (
            f"{len(outside)} of its {len(record.trials)} points are not of this space: "
            f"{_listed(outside)}"
        )


def _listed(texts: Sequence[str]) -> str:
    listed = "; ".join(texts[:_MOST_NAMED])
    rest = len(texts) - _MOST_NAMED
    return f"{listed}; and {rest} more" if rest > 0 else listed


def _told(result: TrialResult, number: int, search: str) -> TrialResult:
    """Return a result of another search as one of this: nothing was trained for it."""
    now = time.time()
    return replace(
        result,
        number=number,
        from_search=result.from_search or f"{search}#{result.number}",
        copied_from=None,
        epochs=0,
        seconds=0.0,
        training_s=0.0,
        cpu_s=0.0,
        gpu_s=0.0,
        samples=(),
        attempt=1,
        slot="",
        started_at=now,
        ended_at=now,
    )
