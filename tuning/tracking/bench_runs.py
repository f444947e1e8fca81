"""A benchmark in MLflow: one experiment a study, one run a search, holding its anytime curve."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tuning.errors import StorageError
from tuning.tracking.mlflow_records import milliseconds, texts, view_of, without_secrets
from tuning.tracking.mlflow_store import ensure_database, experiment_of

_BATCH = 1000  # metrics MLflow takes in one call


@dataclass(frozen=True)
class CurveRun:
    """One search as MLflow shows it.

    Attributes:
        id: Unique in the world: a run of this id is not made again.
        name: Engine and seed.
        params, tags: As text.
        points: (step, seconds since the beginning, {metric: value}), steps rising.
        finals: Metrics of the whole search.
        ended_at: Seconds since the epoch.
        failed: Whether the engine or the study gave up.
    """

    id: str
    name: str
    params: Mapping[str, Any]
    tags: Mapping[str, Any]
    points: Sequence[tuple[int, float, Mapping[str, float]]]
    finals: Mapping[str, float] = field(default_factory=dict)
    ended_at: float = 0.0
    failed: bool = False


def record_bench(uri: str, home: Path, study: str, runs: Sequence[CurveRun]) -> dict[str, str]:
    """Write the runs that are not there yet; the process must have `mlflow_store.QUIET` set.

    Args:
        uri: The store; SQLite is made where it is missing.
        home: The state folder.
        study: The experiment is called `<study> bench`, so that it does not stand among the study's
            own searches.
        runs: Of all searches that have ended.

    Returns:
        `tracking_uri` (without a password) and `experiment_id`.

    Raises:
        StorageError: The store cannot be reached or refuses a run.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    ensure_database(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        experiment = experiment_of(client, uri, home, f"{study} bench")
        client.set_experiment_tag(
            experiment, *view_of(list(_names(runs)), ["engine", "seed", "budget", "ended"])
        )
        for run in runs:
            if not _is_there(client, experiment, run.id):
                _write(client, experiment, run)
    except MlflowException as error:
        said = without_secrets(str(error)).splitlines()[0][:200]
        raise StorageError(f"MLflow has not taken the benchmark: {said}") from error
    return {"tracking_uri": without_secrets(uri), "experiment_id": experiment}


def _names(runs: Sequence[CurveRun]) -> dict[str, None]:
    """Return the names of all metrics, in order."""
    groups = [
        values for run in runs for values in (*(values for _, _, values in run.points), run.finals)
    ]
    return dict.fromkeys(name for values in groups for name in values)


def _is_there(client: Any, experiment: str, search: str) -> bool:
    """Whether a search was written whole; what a kill has left half written is deleted."""
    found = client.search_runs([experiment], filter_string=f"tags.search = '{search}'")
    for run in found:
        if run.info.status != "RUNNING":
            return True
        client.delete_run(run.info.run_id)
    return False


def _write(client: Any, experiment: str, run: CurveRun) -> None:
    from mlflow.entities import Metric, Param, RunTag

    seconds = run.points[-1][1] if run.points else 0.0
    began = milliseconds(run.ended_at - seconds)
    tags = texts({**run.tags, "kind": "bench", "search": run.id})
    made = client.create_run(experiment, start_time=began, run_name=run.name, tags=tags).info.run_id
    metrics = [
        Metric(name, value, began + milliseconds(at), step)
        for name, value, at, step in _metrics(run)
    ]
    params = [Param(name, value) for name, value in texts(run.params).items()]
    client.log_batch(made, [], params, [RunTag("mlflow.note.content", run.name)], synchronous=True)
    for start in range(0, len(metrics), _BATCH):
        client.log_batch(made, metrics[start : start + _BATCH], [], [], synchronous=True)
    client.set_terminated(made, "FAILED" if run.failed else "FINISHED", milliseconds(run.ended_at))


def _metrics(run: CurveRun) -> Iterator[tuple[str, float, float, int]]:
    for step, at, values in run.points:
        yield from ((name, value, at, step) for name, value in values.items())
    step, at = (run.points[-1][0], run.points[-1][1]) if run.points else (0, 0.0)
    yield from ((name, value, at, step) for name, value in run.finals.items())
