"""One learning-rate range test as a run of its study's experiment."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tuning.errors import StorageError
from tuning.tracking.mlflow_records import texts, without_secrets
from tuning.tracking.mlflow_store import ensure_database, experiment_of

if TYPE_CHECKING:
    from tuning.lr_range.result import LRRange

RUN_NAME = "lr range test"
_POINTS = 100


def record_lr_range(uri: str, home: Path, test: LRRange, files: Sequence[Path]) -> dict[str, str]:
    """Write a test with its pictures; the process must have `mlflow_store.QUIET` set.

    Args:
        uri: The store; SQLite is made where it is missing.
        home: The state folder.
        test: Of a study, whose name is the experiment's.
        files: Kept as artifacts.

    Returns:
        `tracking_uri` (without a password), `experiment_id` and `run_id`.

    Raises:
        StorageError: The store cannot be reached or refuses the test.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.tracking import MlflowClient

    ensure_database(uri)
    client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    try:
        experiment = experiment_of(client, uri, home, test.study)
        run = client.create_run(
            experiment, run_name=RUN_NAME, tags={"kind": "lr_range"}
        ).info.run_id
        _log(client, run, test)
        for path in files:
            client.log_artifact(run, str(path))
        client.set_terminated(run, "FINISHED")
    except MlflowException as error:
        said = without_secrets(str(error)).splitlines()[0][:200]
        raise StorageError(f"MLflow has not taken the range test: {said}") from error
    return {"tracking_uri": without_secrets(uri), "experiment_id": experiment, "run_id": run}


def _log(client: Any, run: str, test: LRRange) -> None:
    from mlflow.entities import Metric, Param, RunTag

    now = int(time.time() * 1000)
    metrics = [Metric(name, value, now, step) for name, value, step in _metrics(test)]
    params = [Param(name, value) for name, value in texts(_params(test)).items()]
    tags = [RunTag(f"reason.{name}", reason) for name, reason in texts(test.reasons).items()]
    client.log_batch(run, metrics, params, tags, synchronous=True)


def _metrics(test: LRRange) -> Iterator[tuple[str, float, int]]:
    yield from ((f"suggested.{name}", rate, 0) for name, rate in test.suggestions.items())
    yield from (("interval.low", test.interval[0], 0), ("interval.high", test.interval[1], 0))
    every = max(1, len(test.lrs) // _POINTS)
    for step in range(0, len(test.lrs), every):
        yield "learning_rate", float(test.lrs[step]), step
        yield "smoothed_loss", float(test.losses[step]), step


def _params(test: LRRange) -> Mapping[str, Any]:
    return {
        "tested": test.label,
        "batch_size": test.batch_size,
        "seeds": test.seeds,
        "steps": test.steps,
        "lr_min": test.lr_min,
        "lr_max": test.lr_max,
    }
