"""`simulate_search`: one search of any engine on a simulated clock; `simulate_all`: very many."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tuning.bench.plan import EngineChoice
from tuning.bench.statistics.records import AnytimeRun
from tuning.engines.base import Engine
from tuning.errors import SearchFailed, StudyError
from tuning.executors.base import Job
from tuning.ledger.records import counts
from tuning.ledger.versions import differences
from tuning.reports.progress import SilentProgress
from tuning.search.loop import SearchLoop
from tuning.simulation.fit_faults import fit_faults
from tuning.simulation.outcomes import FunctionOutcomes, Outcomes, RecordedOutcomes
from tuning.simulation.recording import Recording, find_recording, load_recording
from tuning.simulation.replay import IncumbentCurve, MemoryFiles, TimedEngine
from tuning.simulation.simulator import Faults, SimulatedExecutor
from tuning.simulation.stand_in import study_of
from tuning.study.engine_spec import engine_spec
from tuning.study.info import StudyInfo, dataset_facts, describe
from tuning.study.study import Study, derive_seed, load_study
from tuning.trial import Proposal

DEFAULT_TRIALS = 20
"""Of engines that never end by themselves, where neither the study nor the user gives a number."""


@dataclass(frozen=True, kw_only=True)
class SimulatedRun:
    """One simulated search.

    Attributes:
        curve: The incumbent over epochs and simulated seconds; `tests` are expected values, without
            the luck of one training seed: of the best point that ends well on all of them, which is
            what finals would choose.
        slots: How many there were.
        wall_s: Simulated seconds until the last trial had ended.
        busy_s: Seconds slots have worked, over all of them.
        lost_s: The part of it that crashes and preemptions have thrown away.
        engine_s: Real seconds the engine took for its proposals and for what it was told.
        regret: The expected value at the end against the best there is; None where one of the two
            is not known.
        counts: Trials by outcome, and `copied`, `between` (at points that were not recorded),
            `crashes`, `preemptions`.
        ended: "completed", "exhausted" or "failed".
        took_s: Real seconds of the whole simulation.
    """

    curve: AnytimeRun
    slots: int
    wall_s: float
    busy_s: float
    lost_s: float
    engine_s: float
    regret: float | None
    counts: Mapping[str, int]
    ended: str
    took_s: float

    @property
    def utilisation(self) -> float:
        """Share of the slots' time in which they worked."""
        return self.busy_s / (self.slots * self.wall_s) if self.wall_s else 0.0

    @property
    def slot_hours(self) -> float:
        """What is paid for: all slots until the end."""
        return self.slots * self.wall_s / 3600


@dataclass(frozen=True, kw_only=True)
class Simulation:
    """What is to be simulated.

    Attributes:
        source: A recording (name or path), or a study with `trainer="function"`.
        choices: Engines, perhaps with a pruner.
        slots: Numbers of slots.
        seeds: Searches of each.
        trials: Of each search; None: as the study has it, else 20 where an engine needs a number.
        faults: What goes wrong.
        exact: Refuse points that were not recorded.
        engine_time: Let the clock wait for the engine's own real time; the outcome then hangs on
            this machine.
        home: The state folder, where recordings are looked for.
    """

    source: str
    choices: tuple[EngineChoice, ...]
    slots: tuple[int, ...] = (1, 8, 64)
    seeds: int = 10
    trials: int | None = None
    faults: Faults = field(default_factory=Faults)
    exact: bool = False
    engine_time: bool = False
    home: Path = field(default_factory=Path)


@dataclass(frozen=True, eq=False)
class Replayed:
    """What simulations draw on.

    Attributes:
        study: As engines see it.
        outcomes: What trials give.
        recording: The manifest's path; None for a function.
        facts: Where the recording comes from.
        notices: What the user should know before, such as that the study is another one by now.
    """

    study: Study
    outcomes: Outcomes
    recording: Path | None
    facts: tuple[tuple[str, str], ...] = ()
    notices: tuple[str, ...] = ()


def open_source(source: str, home: Path, *, exact: bool = False) -> Replayed:
    """Return what a name or path names: a recording, or a study with `trainer="function"`.

    Raises:
        StudyError: Neither; says how to make a recording.
    """
    manifest = find_recording(source, home)
    if manifest is not None:
        recording = load_recording(manifest)
        return Replayed(
            study=study_of(recording),
            outcomes=RecordedOutcomes(recording, exact=exact),
            recording=manifest,
            facts=tuple(_facts(recording)),
            notices=tuple(_changes(recording, source)),
        )

    study = load_study(source)
    if study.trainer != "function":
        raise StudyError(
            f"there is no recording of '{study.name}'; make one with: tuning record {source}",
            where="simulate",
        )
    faults = list(fit_faults(study))
    if faults:
        raise StudyError(faults, where=f"simulate '{study.name}'")
    return Replayed(study, FunctionOutcomes(study), None)


def _changes(recording: Recording, source: str) -> Iterator[str]:
    """Say what of a study of this name here is not as it was recorded; there may well be none."""
    try:
        study = load_study(source)
    except StudyError:
        return
    manifest = recording.manifest
    now = study.with_(**manifest.variant).definition()
    before = {name: manifest.definition.get(name) for name in now}

    # Who searched does not matter, and code in other words may be the same.
    loose = ("engine", "pruner", "trials", "builder", "data")
    strict = [name for name in now if name not in loose]
    strict_before = {name: before[name] for name in strict}
    strict_now = {name: now[name] for name in strict}
    for fault in differences(strict_before, strict_now):
        yield f"the study here is not the one recorded: {fault}"
    for name in ("builder", "data"):
        if before[name] != now[name]:
            yield f"the {name} function here has other code than the one recorded"


def _facts(recording: Recording) -> Iterator[tuple[str, str]]:
    manifest = recording.manifest
    seeds = len(manifest.seeds)
    yield "recorded", f"{manifest.design}, {seeds} training seeds, {manifest.folds} fits a trial"
    yield "on", f"{manifest.platform}, {manifest.slots} slots"
    shortest, longest = recording.seconds_range
    yield "seconds a trial", f"{shortest:.3g} … {longest:.3g}"
    yield "data", f"{manifest.data.name}, sha256 {manifest.data.digest[:16]}"
    yield "parquet", f"{manifest.parquet}, sha256 {manifest.sha256[:16]}"
    yield from manifest.versions_of.items()


def simulate_all(
    simulation: Simulation,
    replayed: Replayed,
    on_run: Callable[[SimulatedRun], None] = lambda run: None,
    processes: int = 1,
) -> Iterator[SimulatedRun]:
    """Yield every search: engines, within them slots, within them seeds.

    Args:
        simulation: What is to be simulated.
        replayed: Its source, opened.
        on_run: Called with each search when it has ended.
        processes: How many share the work.

    Raises:
        StudyError: A point was not recorded.
    """
    searches = [
        _Wanted(choice, slots, seed)
        for choice in simulation.choices
        for slots in simulation.slots
        for seed in range(simulation.seeds)
    ]
    for run in _shared(simulation, replayed, searches, processes):
        on_run(run)
        yield run


class _Wanted(NamedTuple):
    """One search of a simulation."""

    choice: EngineChoice
    slots: int
    seed: int


def _shared(
    simulation: Simulation, replayed: Replayed, searches: Sequence[_Wanted], processes: int
) -> Iterator[SimulatedRun]:
    if processes == 1:
        for search in searches:
            run, _ = simulate_search(replayed, simulation, *search)
            yield run
        return

    import joblib

    # Each process opens the recording itself, once. One thread each: more would only wait.
    with joblib.parallel_config("loky", n_jobs=processes, inner_max_num_threads=1):
        parallel = joblib.Parallel(return_as="generator")
        yield from parallel(joblib.delayed(_elsewhere)(simulation, *each) for each in searches)


def _elsewhere(simulation: Simulation, choice: EngineChoice, slots: int, seed: int) -> SimulatedRun:
    replayed = _opened(simulation.source, simulation.home, exact=simulation.exact)
    return simulate_search(replayed, simulation, choice, slots, seed)[0]


@lru_cache(maxsize=1)
def _opened(source: str, home: Path, *, exact: bool) -> Replayed:
    return open_source(source, home, exact=exact)


def simulate_search(
    replayed: Replayed, simulation: Simulation, choice: EngineChoice, slots: int, seed: int
) -> tuple[SimulatedRun, SearchLoop]:
    """Do one search; return how it went and its loop, whose trial_index has the trials.

    The real loop is driven, so a search on one slot with seed 0 makes the trials that the real one
    makes, and seed n those of a real one with `--seed` n higher.
    """
    began = time.perf_counter()
    outcomes = replayed.outcomes
    between_before = outcomes.between
    study = _varied(replayed.study, choice, replayed.study.seed + seed, simulation.trials)
    record = replace(
        _record(replayed),
        engine=study.engine,
        pruner=study.pruner,
        trials=study.trials,
        seed=study.seed,
        timeout=None,
    )

    executor = SimulatedExecutor(
        slots,
        lambda proposal: outcomes.training(proposal.params, seed),
        simulation.faults,
        np.random.default_rng(derive_seed(study.seed, "faults", slots)),
    )
    engine = TimedEngine(_engine(study), executor.work if simulation.engine_time else None)
    files = MemoryFiles()
    curve = IncumbentCurve(executor, outcomes, files, study)
    loop: SearchLoop

    def make_job(proposal: Proposal, attempt: int) -> Job:
        epochs_of_parent = 0
        if proposal.parent is not None and proposal.continued:
            epochs_of_parent = loop.trial_index.proposals[proposal.parent].epochs
        job_id = f"{proposal.number}-{attempt}"
        return Job(job_id, "", (proposal, attempt, epochs_of_parent), record.pruner != "none")

    loop = SearchLoop(
        record,
        engine,
        executor,
        files,
        make_job=make_job,
        progress=SilentProgress(),
        on_result=lambda: curve.add(loop),
    )
    ended = ""
    try:
        with suppress(SearchFailed):
            loop.run()
        ended = loop.ended or "failed"
    finally:
        engine.close()

    run = SimulatedRun(
        curve=curve.run(choice.name, seed, engine.asked_s),
        slots=slots,
        wall_s=max(executor.now, executor.driver_at),
        busy_s=executor.busy_s,
        lost_s=executor.lost_s,
        engine_s=engine.seconds,
        regret=_regret(study, outcomes, curve),
        counts={
            **counts(loop.trial_index.statuses),
            "copied": sum(result.copied_from is not None for _, result in loop.trial_index.trials),
            "between": outcomes.between - between_before,
            "crashes": executor.crashes,
            "preemptions": executor.preemptions,
        },
        ended=ended,
        took_s=time.perf_counter() - began,
    )
    return run, loop


def _regret(study: Study, outcomes: Outcomes, curve: IncumbentCurve) -> float | None:
    """Return the expected value at the end against the best there is, where both are known."""
    worth = curve.tests[-1] if curve.tests else None
    if worth is None or outcomes.best is None:
        return None
    return study.objective.key(worth) - study.objective.key(outcomes.best)


def _varied(study: Study, choice: EngineChoice, seed: int, trials: int | None) -> Study:
    changes = {"engine": choice.engine, "pruner": choice.pruner, "seed": seed, "timeout": None}
    endless = engine_spec(choice.engine).never_ends(finite_space=study.space.finite)
    default = DEFAULT_TRIALS if endless else None
    return study.with_(**changes, trials=trials or study.trials or default)


@lru_cache(maxsize=4)
def _record(replayed: Replayed) -> StudyInfo:
    return describe(replayed.study, dataset_facts(replayed.study.data()))


def _engine(study: Study) -> Engine:
    from tuning.data.parts import split
    from tuning.engines.catalog import make_engine

    return make_engine(study, lambda: split(study.data(), seed=study.seed))
