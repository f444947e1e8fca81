"""Questions to workers: jobs that are no trials, and are asked once more where a worker is lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from tuning.errors import TuningError
from tuning.executors.base import Died, Executor, Finished, Job, Raised
from tuning.executors.supervision.parts import QUESTION
from tuning.search.questions.errors import as_error

_TICK_S = 0.25


def answers(
    executor: Executor,
    questions: Sequence[Job],
    what: str,
    *,
    on_tick: Callable[[], None] = lambda: None,
) -> dict[str, Any]:
    """Have workers answer questions, as many at a time as there are slots.

    Args:
        executor: Where they run.
        questions: The jobs.
        what: How one is called where it fails: "the range test".
        on_tick: Called several times a second; what it raises ends them.

    Returns:
        What each job's function returned, by its id.

    Raises:
        TuningError: Whatever a worker raised, with its exit code, or that it died.
    """
    by_id = {question.id: question for question in questions}
    for question in questions:
        executor.submit(question)

    values: dict[str, Any] = {}
    n_lost = dict.fromkeys(by_id, 0)
    while len(values) < len(by_id):
        on_tick()
        for event in _endings(executor):
            if event.job not in by_id:
                continue
            if isinstance(event, Died) and may_ask_again(event, n_lost):
                # For lack of memory it is asked once more with nothing beside it.
                alone = event.cause == "host_oom"
                executor.submit(replace(by_id[event.job], alone=alone))
            else:
                values[event.job] = _value_of(event, what)
    return values


def may_ask_again(event: Died, n_lost: dict[str, int]) -> bool:
    """Whether a question whose worker was lost is asked once more.

    Args:
        event: How the worker ended.
        n_lost: By job, how often that was so before; counted here.
    """
    if event.cause in ("timeout", "cancelled"):
        return False
    n_lost[event.job] += 1
    return n_lost[event.job] <= QUESTION.restarts


def _endings(executor: Executor) -> Iterator[Finished | Raised | Died]:
    for event in executor.events(_TICK_S):
        if isinstance(event, Finished | Raised | Died):
            yield event


def _value_of(event: Finished | Raised | Died, what: str) -> Any:
    if isinstance(event, Finished):
        return event.value
    if isinstance(event, Raised):
        fault = f"{what} failed: {event.error}\n{event.traceback}".rstrip()
        raise as_error(event) or TuningError(fault)
    raise TuningError(f"{what}'s worker {event.cause}: {event.detail}")
