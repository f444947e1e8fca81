"""A benchmark in MLflow: one experiment a study, one run a search, holding its anytime curve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from tuning.errors import StorageError
from tuning.tracking import mlflow_runs
from tuning.tracking.mlflow_metrics import Point
from tuning.tracking.mlflow_store import MLflowPlace, ensure_database, experiment_of
from tuning.tracking.mlflow_tags import NOTE
from tuning.tracking.mlflow_text import milliseconds, texts, without_secrets
from tuning.tracking.mlflow_view import view_of

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

_PARAMS = ("engine", "seed", "budget", "ended")  # the columns that a reader wants


class CurvePoint(NamedTuple):
    """A point of the anytime curve.

    Attributes:
        step: Rising along the curve.
        seconds: Since the search began.
        values: By metric.
    """

    step: int
    seconds: float
    values: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class CurveRun:
    """One search as MLflow shows it.

    Attributes:
        id: Unique in the world: a run of this id is not made again.
        name: Engine and seed.
        params, tags: As text.
        points: The anytime curve.
        finals: Metrics of the whole search.
        ended_at: Seconds since the epoch.
        failed: Whether the engine or the study gave up.
    """

    id: str
    name: str
    params: Mapping[str, object]
    tags: Mapping[str, object]
    points: Sequence[CurvePoint]
    finals: Mapping[str, float] = field(default_factory=dict)
    ended_at: float = 0.0
    failed: bool = False

    @property
    def last(self) -> CurvePoint:
        """The end of the curve."""
        return self.points[-1] if self.points else CurvePoint(0, 0.0, {})


def record_bench(uri: str, home: Path, study: str, runs: Sequence[CurveRun]) -> MLflowPlace:
    """Write the runs that are not there yet; the process must have `mlflow_store.QUIET` set.

    Args:
        uri: The store; SQLite is made where it is missing.
        home: The state folder.
        study: The experiment is called `<study> bench`, so that it does not stand among the study's
            own searches.
        runs: Of all searches that have ended.

    Returns:
        The experiment.

    Raises:
        StorageError: The store cannot be reached or refuses a run.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    ensure_database(uri)
    try:
        client = mlflow_runs.open_client(uri)
        experiment = experiment_of(client, uri, home, f"{study} bench")
        client.set_experiment_tag(experiment, *view_of(_metric_names(runs), _PARAMS))
        for run in runs:
            if not _is_there(client, experiment, run.id):
                _write(client, experiment, run)
    except (MlflowException, SQLAlchemyError) as error:
        reason = without_secrets(str(error)).splitlines()[0][:200]
        raise StorageError(f"MLflow has not taken the benchmark: {reason}") from error
    return MLflowPlace(tracking_uri=without_secrets(uri), experiment_id=experiment)


def _metric_names(runs: Sequence[CurveRun]) -> list[str]:
    """Return the names of all metrics, in the order in which they come."""
    names: dict[str, None] = {}
    for run in runs:
        for point in run.points:
            names |= dict.fromkeys(point.values)
        names |= dict.fromkeys(run.finals)
    return list(names)


def _is_there(client: MlflowClient, experiment: str, search: str) -> bool:
    """Whether a search was written whole; what a kill has left half written is deleted."""
    for run in client.search_runs([experiment], filter_string=f"tags.search = '{search}'"):
        if run.info.status != "RUNNING":
            return True
        client.delete_run(run.info.run_id)
    return False


def _write(client: MlflowClient, experiment: str, run: CurveRun) -> None:
    began_ms = milliseconds(run.ended_at - run.last.seconds)
    tags = texts({**run.tags, "kind": "bench", "search": run.id})
    run_id = mlflow_runs.create(
        client, experiment, start_time=began_ms, run_name=run.name, tags=tags, mark="search"
    )
    points = list(_points(run, began_ms))
    mlflow_runs.log(client, run_id, points, texts(run.params), {NOTE: run.name})
    # Last of all: a run that still says RUNNING was cut short.
    client.set_terminated(
        run_id, "FAILED" if run.failed else "FINISHED", milliseconds(run.ended_at)
    )


def _points(run: CurveRun, began_ms: int) -> Iterator[Point]:
    for point in run.points:
        for name, value in point.values.items():
            yield Point(name, value, point.step, began_ms + milliseconds(point.seconds))
    for name, value in run.finals.items():
        yield Point(name, value, run.last.step, began_ms + milliseconds(run.last.seconds))
