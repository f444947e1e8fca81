"""One learning-rate range test as a run of its study's experiment."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tuning.errors import StorageError
from tuning.tracking import mlflow_runs
from tuning.tracking.mlflow_metrics import Point
from tuning.tracking.mlflow_store import MLflowPlace, ensure_database, experiment_of
from tuning.tracking.mlflow_tags import ATTEMPT_ID
from tuning.tracking.mlflow_text import milliseconds, texts, without_secrets

if TYPE_CHECKING:
    from tuning.lr_range.result import LRRange

RUN_NAME = "lr range test"
_POINTS = 100  # of the curve, at least; it has up to thousands


def record_lr_range(uri: str, home: Path, test: LRRange, files: Sequence[Path]) -> MLflowPlace:
    """Write a test with its pictures; the process must have `mlflow_store.QUIET` set.

    Args:
        uri: The store; SQLite is made where it is missing.
        home: The state folder.
        test: Of a study, whose name is the experiment's.
        files: Kept as artifacts.

    Returns:
        The run.

    Raises:
        StorageError: The store cannot be reached or refuses the test.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    ensure_database(uri)
    try:
        client = mlflow_runs.open_client(uri)
        experiment = experiment_of(client, uri, home, test.study)
        now_ms = milliseconds(time.time())
        # No other test has this id: a run whose answer was lost is known by it.
        tags = {"kind": "lr_range", ATTEMPT_ID: f"lr_range/{uuid.uuid4().hex}"}
        run_id = mlflow_runs.create(
            client, experiment, start_time=now_ms, tags=tags, run_name=RUN_NAME
        )

        reasons = {f"reason.{name}": reason for name, reason in test.reasons.items()}
        points = list(_points(test, now_ms))
        mlflow_runs.log(client, run_id, points, _params(test), texts(reasons))
        for path in files:
            client.log_artifact(run_id, str(path))
        client.set_terminated(run_id, "FINISHED")
    except (MlflowException, SQLAlchemyError) as error:
        reason = without_secrets(str(error)).splitlines()[0][:200]
        raise StorageError(f"MLflow has not taken the range test: {reason}") from error
    return MLflowPlace(tracking_uri=without_secrets(uri), experiment_id=experiment, run_id=run_id)


def _points(test: LRRange, now_ms: int) -> Iterator[Point]:
    for name, rate in test.suggestions.items():
        yield Point(f"suggested.{name}", rate, 0, now_ms)
    low, high = test.interval
    yield Point("interval.low", low, 0, now_ms)
    yield Point("interval.high", high, 0, now_ms)

    stride = max(1, len(test.lrs) // _POINTS)
    for step in range(0, len(test.lrs), stride):
        yield Point("learning_rate", float(test.lrs[step]), step, now_ms)
        yield Point("smoothed_loss", float(test.losses[step]), step, now_ms)


def _params(test: LRRange) -> dict[str, str]:
    params = {
        "tested": test.label,
        "batch_size": test.batch_size,
        "seeds": test.seeds,
        "steps": test.steps,
        "lr_min": test.lr_min,
        "lr_max": test.lr_max,
    }
    return texts(params)
