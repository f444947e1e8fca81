"""Optuna's storage with its trials by number, for the dashboard.

Trials are stored as they end. The dashboard draws the best value so far in the order of the list,
and asks again for those from the first unfinished one on: a trial that ends later than one of a
higher number would send its line backwards, or be missed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence
from typing import Any

from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState


class OrderedStorage(RDBStorage):
    """A storage whose trials come by number; those that have not ended yet are waiting."""

    def get_all_trials(
        self,
        study_id: int,
        deepcopy: bool = True,
        states: Container[TrialState] | None = None,
    ) -> list[FrozenTrial]:
        """Return the trials by number."""
        trials = super().get_all_trials(study_id, deepcopy, states)
        in_order = sorted(trials, key=lambda trial: trial.number)
        # Who asks for some states wants no others.
        return in_order if states is not None else list(with_open(in_order))


def with_open(trials: Sequence[FrozenTrial]) -> Iterator[FrozenTrial]:
    """Yield trials, and a waiting one for each number that is left out between them.

    Args:
        trials: By number.
    """
    number = 0
    for trial in trials:
        while number < trial.number:
            yield _waiting(number)
            number += 1
        yield trial
        number = trial.number + 1


def _waiting(number: int) -> FrozenTrial:
    nothing: dict[str, Any] = {}
    return FrozenTrial(
        number=number,
        state=TrialState.WAITING,
        value=None,
        datetime_start=None,
        datetime_complete=None,
        params=nothing,
        distributions=nothing,
        user_attrs=nothing,
        system_attrs=nothing,
        intermediate_values={},
        trial_id=-1 - number,  # of no stored one
    )
