"""Faults of the place where artifacts lie that no waiting mends, though runs can be written.

Figures and artifacts are two places: a server names a folder that only it can write to, a bucket
whose library is missing here, or itself behind a proxy that takes no large file. Such a place must
not keep the runs from being written.
"""

from __future__ import annotations

import errno
from typing import Any

from tuning.storage.secrets import without_secrets

PROXIED = "mlflow-artifacts:"
"""How the address of artifacts begins that go through a tracking server."""

_REFUSED = {401, 403, 404, 405, 410, 411, 413, 415}
_CODES = {"ENDPOINT_NOT_FOUND", "PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
# A full disk (ENOSPC) and a lost share (EIO, ESTALE) may pass.
_LASTING = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.ENAMETOOLONG}
_LONGEST = 300


class NeedsServerError(Exception):
    """The artifacts of an experiment go through a server, and a database is written to."""


def lasting_fault(error: Exception, place: str) -> str:
    """Return in words why a file can never be put there; "" where another try may be worth it.

    Args:
        error: What putting it there has raised.
        place: The experiment's address of artifacts.
    """
    shown = without_secrets(place)
    if isinstance(error, NeedsServerError):
        return (
            f"artifacts are left out: they go through a tracking server ({shown}), so "
            "MLFLOW_TRACKING_URI has to be its address, not its database"
        )
    if not _is_lasting(error):
        return ""
    reason = without_secrets(f"{type(error).__name__}: {error}").split("\n")[0][:_LONGEST]
    return f"artifacts are left out: {shown or 'the server'} does not take them ({reason})"


def is_unknown_call(error: Exception) -> bool:
    """Whether a server does not know a call of today's MLflow, being of an earlier release."""
    return getattr(error, "error_code", "") == "ENDPOINT_NOT_FOUND"


def _is_lasting(error: Exception) -> bool:
    if isinstance(error, ImportError):  # boto3, google.cloud, …
        return True
    if isinstance(error, OSError) and error.errno in _LASTING:
        return True
    answer: Any = getattr(error, "response", None)  # of an HTTPError of requests
    if getattr(answer, "status_code", 0) in _REFUSED:
        return True
    return getattr(error, "error_code", "") in _CODES
