"""Whole runs into MLflow's database, hundreds in one transaction; MLflow promises none of it.

MLflow's own calls write a run in some five transactions, 20 ms each on SQLite. Here the rows that
those calls would leave are inserted at once. `tests/tracking/test_mlflow_sql_internals.py` compares
them row by row. A store behind HTTP is written by MLflow's public calls alone.

Checked with MLflow 3.17.2. Relied on:

    MlflowClient._tracking_client.store      the store behind a client
    SqlAlchemyStore.ManagedSessionMaker      a transaction, with SQLite's pragmas set
    dbmodels.models                          the tables; `runs` and `tags` by name, too
    mlflow.utils.validation                  what MLflow refuses, in its words
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from tuning.storage import sqlite_file
from tuning.tracking.mlflow_metrics import Point

if TYPE_CHECKING:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.tracking import MlflowClient

_ROWS = 10_000  # of one statement: as many parameters a row are held in memory
_RUN_NAME = "mlflow.runName"


@dataclass(frozen=True, kw_only=True)
class WholeRun:
    """A run that has ended, as it is stored.

    Attributes:
        id: Of 32 hexadecimal digits, see `new_run_id`.
        experiment_id: A number, as text.
        status: MLflow's word for how it ended.
        started_ms, ended_ms: Milliseconds since the epoch; 0: now.
        artifact_uri: Where its files lie.
        tags, params: By name, as MLflow accepts them.
        points: Its metrics.
    """

    id: str
    experiment_id: str
    name: str
    status: str
    started_ms: int
    ended_ms: int
    artifact_uri: str
    tags: Mapping[str, str]
    params: Mapping[str, str]
    points: Sequence[Point]


class StoredRun(NamedTuple):
    """A run that a search has in the store; `attempt` is the value of a tag, "" without it."""

    id: str
    status: str
    attempt: str


def sql_store(client: MlflowClient) -> SqlAlchemyStore | None:
    """Return the store behind a client where it is a database; None: a server, or another kind."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    tracking: Any = client._tracking_client
    # That of workspaces, a subclass, has rules of its own.
    return tracking.store if type(tracking.store) is SqlAlchemyStore else None


def new_run_id() -> str:
    """Return an id as MLflow makes them."""
    return uuid.uuid4().hex


def artifact_uri_of(root: str, run_id: str) -> str:
    """Return where a run's files lie, `root` being its experiment's place."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
    from mlflow.utils import uri as uris

    append: Any = uris.append_to_uri_path
    uri: str = append(root, run_id, SqlAlchemyStore.ARTIFACTS_FOLDER_NAME)
    return uri


def check_run(run: WholeRun) -> None:
    """Refuse what MLflow's own calls would refuse of a run.

    Raises:
        MlflowException: With MLflow's words.
    """
    from mlflow.entities import Metric, Param, RunTag
    from mlflow.utils import validation

    check: Any = validation._validate_batch_log_data
    check(
        [Metric(point.key, point.value, point.at_ms, point.step) for point in run.points],
        [Param(name, value) for name, value in run.params.items()],
        [RunTag(name, value) for name, value in run.tags.items()],
    )


def write_runs(store: SqlAlchemyStore, runs: Sequence[WholeRun]) -> None:
    """Insert runs that are not there, in one transaction; they have been checked."""
    from mlflow.store.tracking.dbmodels import models

    now_ms = round(time.time() * 1000)
    with _transaction(store) as session:
        _insert(session, models.SqlRun, [_run_row(run, now_ms) for run in runs])
        _insert(session, models.SqlTag, _texts(runs, lambda run: {**run.tags, _RUN_NAME: run.name}))
        _insert(session, models.SqlParam, _texts(runs, lambda run: run.params))
        _insert(session, models.SqlMetric, _metric_rows(runs))
        _insert(session, models.SqlLatestMetric, _latest_rows(runs))


def drop_params(store: SqlAlchemyStore, run_id: str, names: Sequence[str]) -> None:
    """Remove parameters of a run, so that they can be written anew."""
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import delete

    table = models.SqlParam
    with _transaction(store) as session:
        session.execute(delete(table).where(table.run_uuid == run_id, table.key.in_(names)))


def append_points(store: SqlAlchemyStore, run_id: str, points: Sequence[Point]) -> None:
    """Add points to a run's metrics; none of them may be there, and each key's are its latest."""
    from mlflow.store.tracking.dbmodels import models
    from sqlalchemy import delete

    latest = _latest(run_id, points)
    with _transaction(store) as session:
        _insert(session, models.SqlMetric, _points_of(run_id, points))
        table = models.SqlLatestMetric
        keys = [row["key"] for row in latest]
        session.execute(delete(table).where(table.run_uuid == run_id, table.key.in_(keys)))
        _insert(session, table, latest)


def recorded_runs(
    store: SqlAlchemyStore, experiment_id: str, search: str, attempt_tag: str
) -> list[StoredRun]:
    """Return the runs of a search that are not deleted, the oldest first.

    Args:
        search: The value of their tag `search`.
        attempt_tag: Name of the tag that says which attempt a run is.
    """
    from mlflow.store.tracking.dbmodels.models import SqlRun, SqlTag
    from sqlalchemy import and_, select
    from sqlalchemy.orm import aliased

    attempt = aliased(SqlTag)
    named = and_(attempt.run_uuid == SqlRun.run_uuid, attempt.key == attempt_tag)
    of_search = and_(
        SqlTag.run_uuid == SqlRun.run_uuid, SqlTag.key == "search", SqlTag.value == search
    )
    query: Any = (
        select(SqlRun.run_uuid, SqlRun.status, attempt.value)
        .join(SqlTag, of_search)
        .outerjoin(attempt, named)
        .where(SqlRun.experiment_id == int(experiment_id), SqlRun.lifecycle_stage == "active")
        .order_by(SqlRun.start_time, SqlRun.run_uuid)
    )
    session_maker: Any = store.ManagedSessionMaker
    with session_maker() as session:
        return [
            StoredRun(run, status, value or "") for run, status, value in session.execute(query)
        ]


def close_connections(client: MlflowClient) -> None:
    """Close what is open of a database, so that a file put in its place is seen."""
    store = sql_store(client)
    if store is not None:
        store.engine.dispose()


def _transaction(store: SqlAlchemyStore) -> Any:
    session_maker: Any = store.ManagedSessionMaker
    return session_maker(read_only=False)


def _insert(session: Any, table: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    from sqlalchemy import insert

    for start in range(0, len(rows), _ROWS):
        session.execute(insert(table), rows[start : start + _ROWS])


def _run_row(run: WholeRun, now_ms: int) -> dict[str, Any]:
    return {
        "run_uuid": run.id,
        "name": run.name,
        "source_type": "UNKNOWN",
        "source_name": "",
        "entry_point_name": "",
        "user_id": "unknown",
        "status": run.status,
        "start_time": run.started_ms or now_ms,
        "end_time": run.ended_ms or now_ms,
        "deleted_time": None,
        "source_version": "",
        "lifecycle_stage": "active",
        "artifact_uri": run.artifact_uri,
        "experiment_id": int(run.experiment_id),
    }


def _texts(runs: Iterable[WholeRun], texts_of: Any) -> list[dict[str, str]]:
    return [
        {"run_uuid": run.id, "key": key, "value": value}
        for run in runs
        for key, value in texts_of(run).items()
    ]


def _metric_rows(runs: Iterable[WholeRun]) -> list[dict[str, Any]]:
    return [row for run in runs for row in _points_of(run.id, run.points)]


def _latest_rows(runs: Iterable[WholeRun]) -> list[dict[str, Any]]:
    return [row for run in runs for row in _latest(run.id, run.points)]


def _points_of(run_id: str, points: Sequence[Point]) -> list[dict[str, Any]]:
    # Twice the same point is one row of MLflow's.
    return [_row(run_id, point) for point in dict.fromkeys(points)]


def _latest(run_id: str, points: Sequence[Point]) -> list[dict[str, Any]]:
    """Return for each key the point that MLflow shows: of the last step, time, largest value."""
    latest: dict[str, Point] = {}
    for point in points:
        known = latest.get(point.key)
        if known is None or _age(point) > _age(known):
            latest[point.key] = point
    return [_row(run_id, point) for point in latest.values()]


def _age(point: Point) -> tuple[int, int, float]:
    return point.step, point.at_ms, point.value


def _row(run_id: str, point: Point) -> dict[str, Any]:
    return {
        "run_uuid": run_id,
        "key": point.key,
        "value": point.value,
        "timestamp": point.at_ms,
        "step": point.step,
        "is_nan": False,
    }


def ended_runs(path: Path, search: str) -> int:
    """Return how many runs of a search have ended in a SQLite database; MLflow is not imported.

    Args:
        path: Of the database; nothing is written, or made.
        search: The value of their tag `search`.

    Raises:
        sqlite3.Error: It is damaged, or somebody is writing.
    """
    query = (
        "SELECT count(*) FROM tags JOIN runs USING (run_uuid) WHERE tags.key = 'search' "
        "AND tags.value = ? AND runs.lifecycle_stage = 'active' AND runs.status != 'RUNNING'"
    )
    return sqlite_file.count(path, query, search)
