"""The ledger as Optuna's relational storage, so that Optuna's plots and dashboard show the trials
of every engine.

A projection only: nothing is ever read back from it for a search. One study for each search, named
by its id; Optuna numbers trials by insertion, ours are in the attribute `number`. Choices are
stored by their labels.

SQLite stays in its default journal mode: a kill at any moment leaves the file sound, and no `-wal`
file has to be kept with it.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning.errors import TrialError
from tuning.ledger.records import SearchHeader
from tuning.storage import sqlite_file as sqlitefile
from tuning.study.domains import Choice, Domain, Float, Int
from tuning.trial import Proposal, Status, TrialResult

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

_POINTS = (
    10  # of a curve; Optuna stores each on its own, 2 ms of CPU; MLflow has more, `result.json` all
)
_STATES = {
    Status.COMPLETED: "COMPLETE",
    Status.PRUNED: "PRUNED",
    Status.FAILED: "FAIL",
    Status.DIVERGED: "FAIL",
    Status.INFEASIBLE: "PRUNED",
}


def storage_url(home: Path, given: str | None = None) -> str:
    """Return where Optuna's storage is: `given`, else `TUNING_STORAGE`, else SQLite inside `home`."""
    return given or os.environ.get("TUNING_STORAGE") or f"sqlite:///{home.resolve() / 'optuna.db'}"


def ensure_storage(url: str) -> Path | None:
    """Create a SQLite storage where there is none or it is damaged; return where a damaged one was
    put.
    """
    name = url.removeprefix("sqlite:///")
    return sqlitefile.ensure(Path(name), _create_tables) if name != url else None


class OptunaProjection:
    """Writes the trials of one search at a time into a storage that exists (see `ensure_storage`)."""

    def __init__(self, url: str) -> None:
        from optuna.storages import RDBStorage

        self._storage = RDBStorage(url)
        self._there: set[tuple[int, int]] = set()

    def begin(self, header: SearchHeader) -> None:
        """Create or find the study of a search and look up what is there.

        A space that was changed under a search (`--allow-change`) makes the study anew: Optuna
        takes one set of choices a parameter.
        """
        self._space = merged([dict(space.domains) for space in header.spaces])
        self._distributions = {name: _distribution(domain) for name, domain in self._space.items()}
        self._metric = header.objective.metric
        self._study = self._opened(header)
        self._there = {
            (trial.user_attrs.get("number", -1), trial.user_attrs.get("attempt", 1))
            for trial in self._study.get_trials(deepcopy=False)
        }

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Add one finished trial, unless it is there; one transaction.

        Raises:
            TrialError: Optuna takes no such trial.
        """
        if (result.number, result.attempt) not in self._there:
            try:
                trial = self._frozen(proposal, result)
            except ValueError as error:
                raise TrialError(f"trial {result.number}: {error}") from error
            with _quiet():
                self._study.add_trial(trial)
            self._there.add((result.number, result.attempt))

    def _opened(self, header: SearchHeader) -> Study:
        import optuna

        direction = header.objective.direction
        shape = {
            name: repr(distribution) for name, distribution in sorted(self._distributions.items())
        }
        with _quiet():
            study = optuna.create_study(
                storage=self._storage,
                study_name=header.id,
                direction=direction,
                load_if_exists=True,
            )
            if study.user_attrs.get("space", shape) != shape:
                optuna.delete_study(study_name=header.id, storage=self._storage)
                study = optuna.create_study(
                    storage=self._storage, study_name=header.id, direction=direction
                )
        about = {
            "space": shape,
            "engine": header.engine,
            "study": header.study,
            "metric": self._metric,
        }
        for name, value in about.items():
            if name not in study.user_attrs:
                study.set_user_attr(name, value)
        return study

    def _frozen(self, proposal: Proposal, result: TrialResult) -> FrozenTrial:
        import optuna
        from optuna.trial import TrialState

        fits = {
            n: v
            for n, v in proposal.params.items()
            if n in self._space and self._space[n].contains(v)
        }
        trial = optuna.trial.create_trial(
            state=TrialState[_STATES[result.status]],
            value=result.value if result.status in (Status.COMPLETED, Status.PRUNED) else None,
            params={name: _stored(self._space[name], value) for name, value in fits.items()},
            distributions={name: self._distributions[name] for name in fits},
            user_attrs=_attributes(proposal, result, plain=fits),
            system_attrs={"constraints": [1.0]} if result.status is Status.INFEASIBLE else {},
            intermediate_values=self._curve(result),
        )
        if result.ended_at > 0:
            trial.datetime_start = datetime.datetime.fromtimestamp(result.started_at)
            trial.datetime_complete = datetime.datetime.fromtimestamp(result.ended_at)
        return trial

    def _curve(self, result: TrialResult) -> dict[int, float]:
        values = [(int(row["epoch"]), row.get(self._metric, math.nan)) for row in result.curve]
        rows = [(epoch, value) for epoch, value in values if math.isfinite(value)]
        if len(rows) > _POINTS:
            rows = [rows[round(i * (len(rows) - 1) / (_POINTS - 1))] for i in range(_POINTS)]
        return dict(rows)


def merged(versions: list[dict[str, Domain]]) -> dict[str, Domain]:
    """Return one domain a parameter, wide enough for every version of a search's space.

    Where the kind of a parameter changed the last version counts; values outside it are left out of
    the storage.
    """
    space: dict[str, Domain] = {}
    for version in versions:
        for name, new in version.items():
            old = space.get(name)
            if old == new:
                continue
            if isinstance(old, Choice) and isinstance(new, Choice):
                space[name] = Choice(*dict.fromkeys((*old.values, *new.values)))
            elif (
                old is None
                or isinstance(old, Choice)
                or isinstance(new, Choice)
                or not _alike(old, new)
            ):
                space[name] = new
            elif isinstance(new, Int):
                space[name] = Int(
                    int(min(old.low, new.low)), int(max(old.high, new.high)), log=new.log
                )
            else:
                space[name] = Float(min(old.low, new.low), max(old.high, new.high), log=new.log)
    return space


def _alike(old: Domain, new: Domain) -> bool:
    return type(old) is type(new) and getattr(old, "log", None) == getattr(new, "log", None)


def _distribution(domain: Domain) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.labels)
    if isinstance(domain, Float):
        return FloatDistribution(domain.low, domain.high, log=domain.log)
    high = domain.high - (domain.high - domain.low) % domain.step  # else Optuna cuts it and warns
    return IntDistribution(domain.low, high, log=domain.log, step=domain.step)


def _stored(domain: Domain, value: Any) -> Any:
    return domain.label_of(value) if isinstance(domain, Choice) else value


def _attributes(
    proposal: Proposal, result: TrialResult, plain: Mapping[str, Any]
) -> dict[str, Any]:
    """Return what Optuna has no place for; `plain`: the parameters that it has."""
    other = {name: value for name, value in proposal.params.items() if plain.get(name) is not value}
    values = {
        "number": result.number,
        "attempt": None if result.attempt == 1 else result.attempt,
        "status": result.status.value,
        "epochs": result.epochs,
        "seconds": round(result.seconds, 3),
        "seed": result.seed,
        "parent": proposal.parent,
        "copied_from": result.copied_from,
        "error": result.error[:500],
        "params": json.dumps(other, default=str)[:1500] if other else None,
    }
    return {name: value for name, value in values.items() if value not in (None, "")}


@contextmanager
def _quiet() -> Iterator[None]:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


def _create_tables(path: Path) -> None:
    from optuna.storages import RDBStorage

    storage = RDBStorage(f"sqlite:///{path}")
    storage.remove_session()
    storage.engine.dispose()
