"""Asking an MLflow server again where an answer fails.

A server of which two answers in five are lost or say "500" takes every run: each call that changes
nothing when it is made twice is made again, with growing pauses. `create_run` is no such call, see
`mlflow_runs.create`. Where a server hangs or is down for longer, the writer's feed waits and begins
anew.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TRIES = 7
"""Of one call: with two answers in five lost, one call in 600 fails."""

_FIRST_PAUSE_S = 0.05
_LONGEST_CALL_S = 5.0  # what took longer has hung, and would again
_REPEATABLE = {
    "create_experiment",  # one of the name is found
    "delete_run",
    "delete_tag",
    "finalize_logged_model",
    "get_experiment",
    "get_experiment_by_name",
    "get_metric_history",
    "get_run",
    "log_artifact",
    "log_artifacts",
    "log_batch",
    "log_dict",
    "log_inputs",
    "log_model_artifacts",
    "log_outputs",
    "restore_experiment",
    "search_logged_models",
    "search_runs",
    "set_experiment_tag",
    "set_tag",
    "set_terminated",
    "update_run",
}
_FOR_GOOD = {
    "BAD_REQUEST",
    "ENDPOINT_NOT_FOUND",
    "FEATURE_DISABLED",
    "INVALID_PARAMETER_VALUE",
    "PERMISSION_DENIED",
    "RESOURCE_ALREADY_EXISTS",
    "RESOURCE_DOES_NOT_EXIST",
    "UNAUTHENTICATED",
}


def patient(client: MlflowClient) -> MlflowClient:
    """Return a client whose calls are made again where they fail for a moment."""
    return cast("MlflowClient", _Patient(client))


def is_worth_another_try(error: Exception, tried: int, began: float) -> bool:
    """Whether to ask again after a failure.

    Args:
        error: What the call raised.
        tried: How often it has been made.
        began: When the last of these began, on the monotonic clock.
    """
    if tried == TRIES or time.monotonic() - began > _LONGEST_CALL_S:
        return False
    return getattr(error, "error_code", "") not in _FOR_GOOD


def pause_s(tried: int) -> float:
    """Return how long to wait after so many tries."""
    return float(_FIRST_PAUSE_S * 2 ** (tried - 1))


class _Patient:
    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._client, name)
        if name not in _REPEATABLE:
            return call

        def ask(*args: Any, **kwargs: Any) -> Any:
            for tried in range(1, TRIES + 1):
                began = time.monotonic()
                try:
                    return call(*args, **kwargs)
                except Exception as error:  # whatever the connection raises
                    if not is_worth_another_try(error, tried, began):
                        raise
                time.sleep(pause_s(tried))
            raise AssertionError("the last try returns or raises")

        return ask
