"""Whether the servers that the variables name answer, for `tuning doctor`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tuning.storage.secrets import without_secrets

_WAIT_S = 5
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a server has said.

    Attributes:
        variable: That names it.
        server: Its address, without a password, and what it is.
        fault: Why nothing can be written there now; "": it answers.
    """

    variable: str
    server: str
    fault: str = ""


def answers(places: Mapping[str, str]) -> Iterator[Answer]:
    """Yield one for each place that is a server; files are none.

    Args:
        places: URLs of stores, by the variable that names each.
    """
    for variable, url in places.items():
        if url.startswith(("http://", "https://")):
            yield _ask_mlflow(variable, url)
        elif url.startswith("postgresql"):
            yield _ask_postgresql(variable, url)


def _ask_mlflow(variable: str, url: str) -> Answer:
    import requests

    shown = without_secrets(url)
    login = None
    if os.environ.get("MLFLOW_TRACKING_USERNAME"):
        login = (
            os.environ["MLFLOW_TRACKING_USERNAME"],
            os.environ.get("MLFLOW_TRACKING_PASSWORD", ""),
        )
    # A search, not `/health`: that is answered without a login, and by other servers.
    address = f"{url.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        answer = requests.get(address, timeout=_WAIT_S, auth=login)
        answer.raise_for_status()
        answer.json()
        version = requests.get(f"{url.rstrip('/')}/version", timeout=_WAIT_S, auth=login)
    except (requests.RequestException, ValueError) as error:
        return Answer(variable=variable, server=shown, fault=_words(error))
    known = version.text if version.ok and len(version.text) < len("2025.10.10.dev0") else ""
    return Answer(variable=variable, server=f"{shown}, MLflow {known}".removesuffix(" "))


def _ask_postgresql(variable: str, url: str) -> Answer:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    shown = without_secrets(url)
    limits = {"connect_timeout": _WAIT_S}
    try:
        engine = create_engine(url, poolclass=NullPool, connect_args=limits)
        with engine.connect() as connection:
            version = connection.execute(text("SHOW server_version")).scalar_one()
    except (SQLAlchemyError, ImportError) as error:
        return Answer(variable=variable, server=shown, fault=_words(error))
    return Answer(variable=variable, server=f"{shown}, PostgreSQL {version}")


def _words(error: Exception) -> str:
    words = without_secrets(f"{type(error).__name__}: {error}").split("\n")[0]
    return words[:_LONGEST]
