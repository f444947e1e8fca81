"""The joblib backend of a scikit-learn engine: it runs nothing, it hands tasks over."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from joblib.parallel import ParallelBackendBase

from tuning.engines.scikit_internals import Call, call_of

_ROOM = 10**6  # more than a round has tasks: joblib then hands them over one by one, not in batches


@dataclass(frozen=True, eq=False)
class Fit:
    """One fit that a search wants done: of one candidate on one fold.

    Attributes:
        call: What scikit-learn would call.
        answer: Resolved with what it returned, in a list as joblib wants it.
    """

    call: Call
    answer: Future[list[Any]] = field(default_factory=Future)


class CapturingBackend(ParallelBackendBase):  # type: ignore[misc]
    """Gives each task to `take`, which resolves its answer whenever it is known."""

    supports_retrieve_callback = True

    def __init__(self, take: Callable[[Fit], None], **settings: Any) -> None:
        super().__init__(**settings)
        self._take = take

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Say there is room for all tasks of a round."""
        return _ROOM

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future[list[Any]]:
        """Hand over one task; `callback` hears of its end."""
        fit = Fit(call_of(func))
        fit.answer.add_done_callback(callback)
        self._take(fit)
        return fit.answer

    def retrieve_result_callback(self, out: Future[list[Any]]) -> list[Any]:
        """Return the results of a task that has ended, or raise what it raised."""
        return out.result()
