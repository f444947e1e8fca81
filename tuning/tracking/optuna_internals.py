"""What we use of Optuna's storage that it does not promise to keep.

Optuna writes a trial in one transaction of some 30 statements. `write_trials` leaves the same rows
for hundreds at once. Checked with Optuna 5.0.0; `tests/tracking/test_optuna_internals.py` compares
the rows, and fails where Optuna drops what is used.

    Study._study_id, RDBStorage.scoped_session, _create_scoped_session
    optuna.storages._rdb.models               the tables; `trials` and `studies` by name, too
    the folder `alembic` beside it            their revisions
    CONSTRAINTS                               the attribute in which constraints are stored
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tuning.storage import sqlite_file
from tuning.storage.sqlite_schema import Schema

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import RDBStorage
    from optuna.trial import FrozenTrial

CHECKED_WITH = "5.0.0"

CONSTRAINTS = "constraints"
"""The system attribute in which a trial's constraints are stored (above 0: violated).

Those of a study are given to `create_trial` by name; this one is kept as earlier searches have it.
"""


class TrialToWrite(NamedTuple):
    """A finished trial, and which one it is.

    Attributes:
        number: Ours, by the ask; Optuna would number them by insertion.
        replaces: The id of the stored trial whose place it takes, or None.
    """

    trial: FrozenTrial
    number: int
    replaces: int | None


def stored_attributes(
    storage: RDBStorage, study: Study, names: Sequence[str]
) -> dict[int, dict[str, Any]]:
    """Return by trial id the user attributes of these names; `study.trials` reads ten times more.

    Trials without any of them are there, with none.
    """
    from optuna.storages._rdb import models
    from sqlalchemy import and_, select

    attribute = models.TrialUserAttributeModel
    named = and_(attribute.trial_id == models.TrialModel.trial_id, attribute.key.in_(names))
    query = (
        select(models.TrialModel.trial_id, attribute.key, attribute.value_json)
        .outerjoin(attribute, named)
        .where(models.TrialModel.study_id == study._study_id)
        .order_by(models.TrialModel.trial_id)
    )

    found: dict[int, dict[str, Any]] = {}
    with _session(storage) as session:
        for trial_id, key, value in session.execute(query):
            attributes = found.setdefault(trial_id, {})
            if key is not None:
                attributes[key] = json.loads(value)
    return found


def renumber(storage: RDBStorage, numbers: Mapping[int, int]) -> None:
    """Give stored trials these numbers, by trial id; earlier releases had left them to Optuna."""
    from optuna.storages._rdb import models
    from sqlalchemy import select

    if not numbers:
        return
    table = models.TrialModel
    with _session(storage) as session:
        query = select(table).where(table.trial_id.in_(list(numbers)))
        for row in session.scalars(query):
            if row.number != numbers[row.trial_id]:
                row.number = numbers[row.trial_id]


def write_trials(storage: RDBStorage, study: Study, trials: Sequence[TrialToWrite]) -> list[int]:
    """Store finished trials in one transaction; return their ids, in the same order.

    Raises:
        ValueError: One is no trial that Optuna would take; none is stored.
    """
    from sqlalchemy import insert

    for each in trials:
        each.trial._validate()
    with _session(storage) as session:
        ids = _trial_ids(session, study._study_id, trials)
        for model, rows in _rows_of(trials, ids).items():
            if rows:
                session.execute(insert(model), rows)
    return ids


def _trial_ids(session: Any, study_id: int, trials: Sequence[TrialToWrite]) -> list[int]:
    """Make or empty the trials' own rows; return their ids."""
    from optuna.storages._rdb import models

    rows: list[Any] = []
    for trial, number, replaces in trials:
        if replaces is None:
            row = models.TrialModel(study_id=study_id)
        else:
            row = session.get(models.TrialModel, replaces)
            _empty(session, replaces)
        row.number = number
        row.state = trial.state
        row.datetime_start = trial.datetime_start
        row.datetime_complete = trial.datetime_complete
        rows.append(row)

    session.add_all(rows)
    session.flush()
    return [row.trial_id for row in rows]


def _empty(session: Any, trial_id: int) -> None:
    """Delete all that a trial has but its own row."""
    from optuna.storages._rdb import models
    from sqlalchemy import delete

    parts = (
        models.TrialValueModel,
        models.TrialParamModel,
        models.TrialUserAttributeModel,
        models.TrialSystemAttributeModel,
        models.TrialIntermediateValueModel,
    )
    for model in parts:
        session.execute(delete(model).where(model.trial_id == trial_id))


def _rows_of(
    trials: Sequence[TrialToWrite], ids: Sequence[int]
) -> Mapping[Any, list[dict[str, Any]]]:
    """Return the rows of each table that is no trial's own."""
    from optuna.storages._rdb import models

    parts: Mapping[Any, Callable[[FrozenTrial], Iterator[dict[str, Any]]]] = {
        models.TrialValueModel: _value_rows,
        models.TrialParamModel: _ParamRows(),
        models.TrialUserAttributeModel: lambda trial: _attribute_rows(trial.user_attrs),
        models.TrialSystemAttributeModel: lambda trial: _attribute_rows(trial.system_attrs),
        models.TrialIntermediateValueModel: _curve_rows,
    }
    return {
        model: [
            {"trial_id": trial_id, **row}
            for each, trial_id in zip(trials, ids, strict=True)
            for row in rows_of(each.trial)
        ]
        for model, rows_of in parts.items()
    }


def _value_rows(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    from optuna.storages._rdb.models import TrialValueModel

    for i, value in enumerate(trial.values or ()):
        stored, kind = TrialValueModel.value_to_stored_repr(value)
        yield {"objective": i, "value": stored, "value_type": kind}


def _curve_rows(trial: FrozenTrial) -> Iterator[dict[str, Any]]:
    from optuna.storages._rdb.models import TrialIntermediateValueModel

    to_stored = TrialIntermediateValueModel.intermediate_value_to_stored_repr
    for step, value in trial.intermediate_values.items():
        stored, kind = to_stored(value)
        yield {"step": step, "intermediate_value": stored, "intermediate_value_type": kind}


def _attribute_rows(attributes: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, value in attributes.items():
        yield {"key": name, "value_json": json.dumps(value)}


class _ParamRows:
    """The parameters of trials; distributions, the same for all, are put into words once."""

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}  # by the id of a distribution, which the trials hold

    def __call__(self, trial: FrozenTrial) -> Iterator[dict[str, Any]]:
        from optuna.distributions import distribution_to_json

        for name, value in trial.params.items():
            distribution = trial.distributions[name]
            if id(distribution) not in self._texts:
                self._texts[id(distribution)] = distribution_to_json(distribution)
            yield {
                "param_name": name,
                "param_value": distribution.to_internal_repr(value),
                "distribution_json": self._texts[id(distribution)],
            }


def _session(storage: RDBStorage) -> Any:
    from optuna.storages._rdb.storage import _create_scoped_session

    return _create_scoped_session(storage.scoped_session)


def create_tables(path: Path) -> None:
    """Make Optuna's tables in a SQLite file."""
    from optuna.storages import RDBStorage

    storage = RDBStorage(f"sqlite:///{path}")
    # The file is about to be renamed, so nothing may hold it open.
    storage.remove_session()
    storage.engine.dispose()


def _columns() -> Mapping[str, Sequence[str]]:
    from optuna.storages._rdb import models

    tables = models.BaseModel.metadata.tables
    return {name: [column.name for column in table.columns] for name, table in tables.items()}


@cache
def _revisions() -> Sequence[str]:
    from alembic.script import ScriptDirectory
    from optuna.storages import _rdb

    (folder,) = _rdb.__path__
    scripts = ScriptDirectory(str(Path(folder) / "alembic"))
    return [script.revision for script in scripts.walk_revisions()]


def _upgrade(path: Path) -> None:
    from optuna.storages import RDBStorage

    storage = RDBStorage(
        f"sqlite:///{path}", skip_compatibility_check=True, skip_table_creation=True
    )
    storage.upgrade()
    storage.remove_session()
    storage.engine.dispose()


OPTUNA_SCHEMA = Schema(columns=_columns, revisions=_revisions, upgrade=_upgrade)


def ended_trials(path: Path, study: str) -> int:
    """Return how many trials of a study have ended in a SQLite storage; Optuna is not imported.

    Args:
        path: Of the database; nothing is written, or made.
        study: Its name.

    Raises:
        sqlite3.Error: It is damaged, or somebody is writing.
    """
    query = (
        "SELECT count(*) FROM trials JOIN studies USING (study_id) WHERE studies.study_name = ? "
        "AND trials.state NOT IN ('RUNNING', 'WAITING')"
    )
    return sqlite_file.count(path, query, study)
