"""The view of an experiment's table that opens with the columns that matter."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from tuning.tracking.base import SearchRecord
from tuning.tracking.mlflow_internals import VIEW_STATE

VIEW = "tuning"
"""Name of the view; without it MLflow hides all columns of metrics and parameters."""
VIEW_TAG = f"{VIEW_STATE}.{VIEW}"
TRIALS_VIEW = "trials"
"""Name of a second one, of the trials of all engines alone."""


class ExperimentTag(NamedTuple):
    """A tag of an experiment."""

    key: str
    value: str


def search_views(search: SearchRecord) -> list[ExperimentTag]:
    """Return the tags of a study's experiment that show its metrics and parameters, best first."""
    name = search.metric.removeprefix("val_")
    metrics = [search.metric, *search.other_metrics]
    metrics += [f"test_{name}", "epochs", "time/seconds"]
    params = [key.removeprefix("space.") for key in search.params if key.startswith("space.")]
    best_first = Order(f"metrics.`{search.metric}`", ascending=search.direction == "minimize")
    return [
        view_of(metrics, params, ("engine", "status"), order=best_first),
        view_of(
            metrics,
            params,
            ("engine", "status", "search"),
            order=best_first,
            only="tags.kind = 'trial'",
            name=TRIALS_VIEW,
        ),
    ]


class Order(NamedTuple):
    """How the rows of a view are sorted."""

    key: str
    ascending: bool


LATEST_FIRST = Order("attributes.start_time", ascending=False)


def view_of(
    metrics: Sequence[str],
    params: Sequence[str],
    tags: Sequence[str] = (),
    *,
    order: Order = LATEST_FIRST,
    only: str = "",
    name: str = VIEW,
) -> ExperimentTag:
    """Return an experiment's tag that shows these columns.

    The format is that of the page's own "share" button (MLflow 3.17, plain JSON is accepted).
    """
    columns = [f"metrics.`{name}`" for name in metrics]
    columns += [f"params.`{name}`" for name in params]
    columns += [f"tags.`{name}`" for name in tags]

    state = {
        "searchFilter": only,
        "orderByKey": order.key,
        "orderByAsc": order.ascending,
        "startTime": "ALL",
        "lifecycleFilter": "Active",
        "datasetsFilter": [],
        "modelVersionFilter": "All Runs",
        "selectedColumns": columns,
    }

    return ExperimentTag(f"{VIEW_STATE}.{name}", json.dumps(state))
