"""The joblib backend inside a scikit-learn engine: it runs nothing, it hands tasks over and waits
for their results.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from joblib.parallel import ParallelBackendBase

_ROOM = 10**6  # more than a round has tasks: joblib then hands them over one by one, not in batches


@dataclass(frozen=True, eq=False)
class Fit:
    """One `_fit_and_score` that a search wants done.

    Attributes:
        args, kwargs: Its arguments, without scikit-learn's callbacks: their contexts hold the whole
            search.
        answer: Resolved with what it returned, in a list as joblib wants it.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    answer: Future[list[Any]] = field(default_factory=Future)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The candidate's parameters, with the resource of a halving search among them."""
        found: Mapping[str, Any] = self.kwargs["parameters"]
        return found

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Candidate, candidates in this round, fold, folds."""
        candidate, candidates = self.kwargs["candidate_progress"]
        fold, folds = self.kwargs["split_progress"]
        return candidate, candidates, fold, folds


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
        ((_, args, kwargs),) = func.items
        fit = Fit(args, {k: v for k, v in kwargs.items() if k not in ("caller", "callback_ctx")})
        fit.answer.add_done_callback(callback)
        self._take(fit)
        return fit.answer

    def retrieve_result_callback(self, out: Future[list[Any]]) -> list[Any]:
        """Return the results of a task that has ended, or raise what it raised."""
        return out.result()
