"""Make runs, write their metrics, parameters and tags, as many in a call as MLflow takes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from tuning.tracking.mlflow_metrics import Point
from tuning.tracking.mlflow_patience import TRIES, is_worth_another_try, patient, pause_s
from tuning.tracking.mlflow_sql_internals import sql_store
from tuning.tracking.mlflow_tags import ATTEMPT_ID
from tuning.tracking.servers.tables import open_in_turn

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# MLflow takes 1,000 entities in a call, at most 100 of them parameters and 100 of them tags.
_METRICS = 800
_TEXTS = 100
_PAGE = 500


def open_client(uri: str) -> MlflowClient:
    """Open a store; in a database that has none MLflow makes its tables, one process at a time."""
    from mlflow.tracking import MlflowClient

    # MLflow's first experiment is the last thing that is made.
    client = open_in_turn(
        uri, "experiments", lambda: MlflowClient(tracking_uri=uri, registry_uri=uri)
    )
    # A database waits by itself while another process writes.
    return client if sql_store(client) is not None else patient(client)


def log(
    client: MlflowClient,
    run_id: str,
    points: Sequence[Point] = (),
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Log everything in as few calls as MLflow allows; names and values are as it accepts them."""
    from mlflow.entities import Metric, Param, RunTag

    metrics = [Metric(point.key, point.value, point.at_ms, point.step) for point in points]
    pairs = [Param(name, value) for name, value in (params or {}).items()]
    marks = [RunTag(name, value) for name, value in (tags or {}).items()]

    while metrics or pairs or marks:
        client.log_batch(
            run_id,
            metrics=metrics[:_METRICS],
            params=pairs[:_TEXTS],
            tags=marks[:_TEXTS],
            synchronous=True,
        )
        del metrics[:_METRICS], pairs[:_TEXTS], marks[:_TEXTS]


def create(
    client: MlflowClient,
    experiment_id: str,
    *,
    start_time: int,
    tags: Mapping[str, str],
    run_name: str,
    mark: str = ATTEMPT_ID,
) -> str:
    """Make a run; return its id.

    Where the answer is lost, the run may be there all the same: it is looked for before another is
    made.

    Args:
        start_time: Milliseconds since the epoch.
        mark: The tag that no other run of the experiment has with this value.
    """
    for tried in range(1, TRIES + 1):
        began = time.monotonic()
        try:
            run = client.create_run(
                experiment_id, start_time=start_time, tags=dict(tags), run_name=run_name
            )
        except Exception as error:
            if not is_worth_another_try(error, tried, began):
                raise
        else:
            return str(run.info.run_id)

        time.sleep(pause_s(tried))
        there = client.search_runs([experiment_id], f"tags.{mark} = '{tags[mark]}'")
        if there:
            return str(there[0].info.run_id)
    raise AssertionError("the last try returns or raises")


def put_file(artifact_uri: str, name: str, text: str) -> None:
    """Put a file where a run's artifacts lie, or will."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    with TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_text(text)
        repository: Any = get_artifact_repository(artifact_uri)
        repository.log_artifact(str(path))


def runs_of_search(client: MlflowClient, experiment_id: str, search: str) -> Iterator[Run]:
    """Yield a search's runs, the oldest first."""
    token: str | None = None
    while token != "":
        page = client.search_runs(
            [experiment_id],
            f"tags.search = '{search}'",
            max_results=_PAGE,
            order_by=["start_time ASC", "run_id ASC"],
            page_token=token,
        )
        yield from page
        token = page.token or ""
