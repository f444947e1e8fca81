"""The ledger as Optuna's relational storage: its plots and dashboard show every engine's trials.

A projection only: nothing is ever read back from it for a search. One study for each search, named
by its id; a trial has the number of its ask, whichever ends first. Choices are stored by their
labels.

SQLite stays in its default journal mode: a kill at any moment leaves the file sound, and no `-wal`
file has to be kept with it.
"""

from __future__ import annotations

import datetime
import json
import math
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning.errors import TrialError
from tuning.ledger.records import SearchHeader
from tuning.space.domains import Choice, Domain, Float, Int
from tuning.storage import sqlite_file
from tuning.storage.secrets import without_secrets
from tuning.tracking.optuna_internals import (
    CONSTRAINTS,
    OPTUNA_SCHEMA,
    TrialToWrite,
    create_tables,
    renumber,
    stored_attributes,
    write_trials,
)
from tuning.tracking.servers.tables import open_in_turn, require_free
from tuning.tracking.store_drivers import with_driver
from tuning.trial import Params, Proposal, Status, TrialResult

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

# Of a curve. Optuna stores each on its own, 2 ms of CPU; MLflow has more, `result.json` all.
_POINTS = 10
_BATCH = 250  # trials of one transaction
_IS_MLFLOWS = (
    "TUNING_STORAGE names a database that MLflow's tables are in; both keep their revision in one "
    "table `alembic_version`, so give Optuna's storage a database of its own"
)
_STATES = {
    Status.COMPLETED: "COMPLETE",
    Status.PRUNED: "PRUNED",
    Status.FAILED: "FAIL",
    Status.DIVERGED: "FAIL",
    Status.INFEASIBLE: "PRUNED",
}


def storage_url(home: Path) -> str:
    """Return where Optuna's storage is: `TUNING_STORAGE`, else SQLite inside `home`."""
    given = with_driver(os.environ.get("TUNING_STORAGE", ""))
    return given or f"sqlite:///{home.resolve() / 'optuna.db'}"


def import_optuna() -> None:
    """Import what a process that writes needs of Optuna, while nobody waits for it."""
    import optuna.storages  # noqa: F401


def ensure_storage(url: str) -> Path | None:
    """Create a SQLite storage where there is none or it is damaged; bring an old one up to date.

    Returns:
        Where a damaged one was put, else None.
    """
    if not url.startswith("sqlite:///"):
        return None
    return sqlite_file.ensure(Path(url.removeprefix("sqlite:///")), create_tables, OPTUNA_SCHEMA)


@dataclass(frozen=True)
class StoredTrial:
    """A trial that the storage has: its id there, and which attempt at it."""

    id: int
    attempt: int


class OptunaProjection:
    """Writes the trials of one search at a time into a storage that exists.

    See `ensure_storage`.
    """

    def __init__(self, url: str) -> None:
        from optuna.storages import RDBStorage

        require_free(url, "experiments", _IS_MLFLOWS)
        # Its revision is the last thing that is made.
        self._storage = open_in_turn(url, "alembic_version", lambda: RDBStorage(url))
        self._stored: dict[int, StoredTrial] = {}  # by our number

    @property
    def batch_size(self) -> int:
        """Trials that are best given to `record_trials` at once."""
        return _BATCH

    def has(self, number: int, attempt: int) -> bool:
        """Whether this attempt at a trial is there."""
        stored = self._stored.get(number)
        return stored is not None and stored.attempt == attempt

    def close(self) -> None:
        """Close the database's connections; another file may come to lie at its place."""
        self._storage.remove_session()
        self._storage.engine.dispose()

    def begin(self, header: SearchHeader) -> None:
        """Create or find the study of a search and look up what is there.

        A space that was changed under a search (`--allow-change`) makes the study anew: Optuna
        takes one set of choices a parameter.
        """
        self._space = merged([dict(space.domains) for space in header.spaces])
        self._distributions = {name: _distribution(domain) for name, domain in self._space.items()}
        self._metric = header.objective.metric
        self._objectives = header.objectives or (header.objective,)
        self._study = self._open_study(header)
        self._stored = {}
        attributes = stored_attributes(self._storage, self._study, ("number", "attempt"))
        for trial_id, values in attributes.items():
            stored = StoredTrial(trial_id, values.get("attempt", 1))
            self._stored[values.get("number", -1)] = stored
        ours = {each.id: number for number, each in self._stored.items() if number >= 0}
        renumber(self._storage, ours)

    def record_trial(self, proposal: Proposal, result: TrialResult) -> None:
        """Add one finished trial, unless it is there; one transaction.

        Raises:
            TrialError: Optuna takes no such trial.
        """
        refused = self.record_trials([(proposal, result)])
        if refused:
            raise refused[0]

    def record_trials(self, trials: Sequence[tuple[Proposal, TrialResult]]) -> list[TrialError]:
        """Add the finished trials that are not there, in one transaction.

        A trial that was trained again, its result being damaged, takes the place of what was
        stored of it.

        Returns:
            Why some will never be taken.
        """
        refused = []
        results: list[TrialResult] = []
        to_write: list[TrialToWrite] = []
        for proposal, result in trials:
            if self.has(result.number, result.attempt):
                continue
            stored = self._stored.get(result.number)
            try:
                trial = self._frozen(proposal, result)
            except ValueError as error:
                refusal = TrialError(f"trial {result.number}: {error}")
                refusal.__cause__ = error
                refused.append(refusal)
                continue
            results.append(result)
            replaces = None if stored is None else stored.id
            to_write.append(TrialToWrite(trial, result.number, replaces))

        if to_write:
            ids = write_trials(self._storage, self._study, to_write)
            for result, trial_id in zip(results, ids, strict=True):
                self._stored[result.number] = StoredTrial(trial_id, result.attempt)
        return refused

    def _open_study(self, header: SearchHeader) -> Study:
        import optuna

        name = header.id
        directions = [objective.direction for objective in self._objectives]
        space = {parameter: repr(d) for parameter, d in sorted(self._distributions.items())}
        with _quiet():
            study = optuna.create_study(
                storage=self._storage, study_name=name, directions=directions, load_if_exists=True
            )
            if study.user_attrs.get("space", space) != space:
                optuna.delete_study(study_name=name, storage=self._storage)
                study = optuna.create_study(
                    storage=self._storage, study_name=name, directions=directions
                )
            if not study.metric_names:  # else plots and dashboard call it "Objective 0"
                study.set_metric_names([objective.metric for objective in self._objectives])

        attributes = {
            "space": space,
            "engine": header.engine,
            "study": header.study,
            "metric": self._metric,
        }
        for attribute, value in attributes.items():
            if attribute not in study.user_attrs:
                study.set_user_attr(attribute, value)
        return study

    def _frozen(self, proposal: Proposal, result: TrialResult) -> FrozenTrial:
        """Return a trial as Optuna has it; what does not fit its space goes into its attributes."""
        import optuna
        from optuna.trial import TrialState

        params: dict[str, Any] = {}
        for name, value in proposal.params.items():
            domain = self._space.get(name)
            if domain is not None and domain.contains(value):
                params[name] = value

        # Of several objectives a pruned trial has none that Optuna would take.
        values = None
        has_all = len(self._objectives) == 1 or result.values is not None
        if result.value is not None and has_all and _STATES[result.status] != "FAIL":
            values = result.values or (result.value,)
        # As Optuna's engine tells it: out of memory is a violated constraint.
        out_of_memory = result.status is Status.INFEASIBLE and not result.breaks_constraint
        # What was trained and then broke a constraint has values, as a complete trial has.
        broke_later = result.breaks_constraint and result.value is not None
        state = "COMPLETE" if broke_later else _STATES[result.status]

        trial = optuna.trial.create_trial(
            state=TrialState[state],
            values=values,
            params={name: _stored_value(self._space[name], v) for name, v in params.items()},
            distributions={name: self._distributions[name] for name in params},
            user_attrs=_attributes(proposal, result, params),
            system_attrs={CONSTRAINTS: [1.0]} if out_of_memory else {},
            constraints=dict(result.violations) or None,
            intermediate_values=self._curve(result),
        )
        if result.ended_at > 0:
            trial.datetime_start = datetime.datetime.fromtimestamp(result.started_at)
            trial.datetime_complete = datetime.datetime.fromtimestamp(result.ended_at)
        return trial

    def _curve(self, result: TrialResult) -> dict[int, float]:
        """Return the objective by epoch, thinned, where it is finite."""
        curve = []
        for row in result.curve:
            value = row.get(self._metric, math.nan)
            if math.isfinite(value):
                curve.append((int(row["epoch"]), value))

        if len(curve) > _POINTS:
            last = len(curve) - 1
            positions = [round(i * last / (_POINTS - 1)) for i in range(_POINTS)]
            curve = [curve[position] for position in positions]
        return dict(curve)


def merged(versions: list[dict[str, Domain]]) -> dict[str, Domain]:
    """Return one domain a parameter, wide enough for every version of a search's space.

    Where the kind of a parameter changed the last version counts; values outside it are left out of
    the storage.
    """
    space: dict[str, Domain] = {}
    for version in versions:
        for name, domain in version.items():
            earlier = space.get(name)
            space[name] = domain if earlier is None else _merged(earlier, domain)
    return space


def _merged(old: Domain, new: Domain) -> Domain:
    """Return a domain that holds both; the new one where they are of different kinds."""
    if old == new:
        return old
    if isinstance(old, Choice) and isinstance(new, Choice):
        return Choice(*dict.fromkeys((*old.values, *new.values)))
    if isinstance(old, Choice) or isinstance(new, Choice) or not _alike(old, new):
        return new

    low = min(old.low, new.low)
    high = max(old.high, new.high)
    if isinstance(new, Int):
        return Int(int(low), int(high), log=new.log)
    return Float(low, high, log=new.log)


def _alike(old: Domain, new: Domain) -> bool:
    # A measured learning rate is a `Float`, too; release 0.1 wrote it as one.
    same_kind = isinstance(old, Float) == isinstance(new, Float)
    return same_kind and getattr(old, "log", None) == getattr(new, "log", None)


def _distribution(domain: Domain) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(domain, Choice):
        return CategoricalDistribution(domain.labels)
    if isinstance(domain, Float):
        high = domain.on_step(domain.high)
        return FloatDistribution(domain.low, high, log=domain.log, step=domain.step)
    # Optuna would cut it to the last step itself, with a warning.
    high = domain.high - (domain.high - domain.low) % domain.step
    return IntDistribution(domain.low, high, log=domain.log, step=domain.step)


def _stored_value(domain: Domain, value: Any) -> Any:
    return domain.label_of(value) if isinstance(domain, Choice) else value


def _attributes(proposal: Proposal, result: TrialResult, params: Params) -> dict[str, Any]:
    """Return what Optuna has no place for; `params`: those that it has a place for."""
    others = {
        name: value for name, value in proposal.params.items() if params.get(name) is not value
    }

    values = {
        "number": result.number,
        "attempt": None if result.attempt == 1 else result.attempt,
        "status": result.status.value,
        "epochs": result.epochs,
        "seconds": round(result.seconds, 3),
        "seed": result.seed,
        "parent": proposal.parent,
        "copied_from": result.copied_from,
        "from_search": result.from_search,
        "error": without_secrets(result.error)[:500],
        "params": json.dumps(others, default=str)[:1500] if others else None,
    }

    return {name: value for name, value in values.items() if value not in (None, "")}


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna from logging each study and warning of its experiments, for a while."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
