"""Which faults of the place where artifacts lie are worth another try."""

from __future__ import annotations

import errno

import pytest
import requests

from tuning.tracking.servers.artifacts import NeedsServerError, lasting_fault


@pytest.mark.parametrize(
    ("error", "is_lasting"),
    [
        (OSError(errno.EACCES, "no"), True),
        (OSError(errno.EROFS, "no"), True),
        (OSError(errno.ENOSPC, "full"), False),
        (OSError(errno.ESTALE, "the share is away"), False),
        (ModuleNotFoundError("No module named 'boto3'"), True),
        (ConnectionError("refused"), False),
    ],
)
def test_what_may_pass_is_tried_again(error, is_lasting):
    assert bool(lasting_fault(error, "file:///x")) is is_lasting


@pytest.mark.parametrize(
    ("status", "is_lasting"), [(403, True), (413, True), (429, False), (500, False), (503, False)]
)
def test_an_answer_that_no_other_try_changes_is_lasting(status, is_lasting):
    answer = requests.Response()
    answer.status_code = status
    error = requests.HTTPError("no", response=answer)
    assert bool(lasting_fault(error, "mlflow-artifacts:/1")) is is_lasting


def test_a_fault_names_no_password():
    error = OSError(errno.EACCES, "ftp://me:s3cr3t-canary@host/runs")
    assert "canary" not in lasting_fault(error, "ftp://me:s3cr3t-canary@host/runs")


def test_artifacts_that_go_through_a_server_ask_for_its_address():
    assert lasting_fault(NeedsServerError(), "mlflow-artifacts:/7") == (
        "artifacts are left out: they go through a tracking server (mlflow-artifacts:/7), so "
        "MLFLOW_TRACKING_URI has to be its address, not its database"
    )
