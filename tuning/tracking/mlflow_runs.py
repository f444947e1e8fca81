"""Write metrics, parameters and tags of a run, as many in a call as MLflow takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tuning.tracking.mlflow_metrics import Point

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# MLflow takes 1,000 entities in a call, at most 100 of them parameters and 100 of them tags.
_METRICS = 800
_TEXTS = 100
_PAGE = 500


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
