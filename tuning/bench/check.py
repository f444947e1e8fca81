"""`check_study`: have a worker check a study before anything is trained, and measure its bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tuning.bench.plan import BenchPlan, CheckedStudy, CheckRequest
from tuning.errors import TuningError
from tuning.executors.base import Died, Executor, Finished, Job, Raised
from tuning.executors.executor_spec import open_executor
from tuning.executors.forkserver import ForkServer
from tuning.executors.supervision.parts import ENGINE
from tuning.search.loop import TICK_S
from tuning.search.lr_bounds import LRBounds, measure_lr_bounds
from tuning.search.questions.answers import may_ask_again
from tuning.search.questions.errors import as_error
from tuning.trials.jobs import Overrides, Source

_CHECK = "tuning.bench.worker:check_study"


@dataclass(frozen=True)
class Checked:
    """A study that was checked, and the bounds of its learning rates."""

    study: CheckedStudy
    bounds: LRBounds


def check_study(
    source: Source,
    plan: BenchPlan,
    home: Path,
    *,
    forkserver: ForkServer,
    notice: Callable[[str], None],
) -> Checked:
    """Check a study under every engine of a plan, and do the range tests that it asks for.

    Args:
        source: The study.
        plan: What is compared.
        home: Folder of all benchmarks.
        forkserver: One that runs.
        notice: Told in words what is done.

    Raises:
        StudyError: The study is wrong, or an engine cannot search it.
        MissingError: Data or a package is not there.
        TuningError: A worker died.
    """

    def checked(changes: Overrides) -> CheckedStudy:
        request = CheckRequest(
            source=source,
            changes=changes,
            choices=plan.choices,
            seeds=plan.seeds,
            budget=plan.budget,
            home=home,
        )
        with open_executor(
            plan.executor,
            plan.devices,
            forkserver=forkserver,
            label="bench",
            notice=notice,
            sources=[source],
        ) as executor:
            return _answer_of(executor, request)

    study = checked({})
    bounds = measure_lr_bounds(
        study.info,
        source,
        {},
        study.folder,
        fresh=plan.fresh,
        devices=plan.devices,
        executor=plan.executor,
        memory_per_slot=plan.memory_per_slot,
        forkserver=forkserver,
        notice=notice,
    )
    if bounds.intervals:  # they are part of the definition: the searches are other ones
        study = checked({"intervals": dict(bounds.intervals)})
    return Checked(study, bounds)


def _answer_of(executor: Executor, request: CheckRequest) -> CheckedStudy:
    # It does what an engine's process does before its first ask, and may take as long.
    question = Job("check", _CHECK, (request,), timeout_s=ENGINE.answer_s)
    n_lost = {question.id: 0}
    executor.submit(question)
    while True:
        for event in executor.events(TICK_S):
            if isinstance(event, Finished):
                study: CheckedStudy = event.value
                return study

            if isinstance(event, Raised):
                raise as_error(event) or TuningError(
                    f"the study cannot be checked: {event.error}\n{event.traceback}"
                )

            if isinstance(event, Died) and may_ask_again(event, n_lost):
                executor.submit(question)

            elif isinstance(event, Died):
                raise TuningError(_how_it_died(event))


def _how_it_died(event: Died) -> str:
    if event.cause == "timeout":
        return (
            f"loading and checking the study took more than {ENGINE.answer_s:g} s; is there a "
            "loop without end?"
        )
    return f"the worker that checked the study {event.cause}: {event.detail}"
