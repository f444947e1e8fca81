"""How long a connection to PostgreSQL may wait for a machine that is gone.

Without limits of its own a connection whose other end has vanished, with its machine or its
network, waits for ever: TCP has nothing to say when nothing comes. The writer's thread of that
store would never notice that the server is back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LIMITS: Mapping[str, int] = {
    "connect_timeout": 10,
    "keepalives_idle": 20,
    "keepalives_interval": 5,
    "keepalives_count": 4,
    "tcp_user_timeout": 40_000,  # milliseconds; of what was sent and nobody has received
}
"""libpq's words, in seconds unless said otherwise: a dead connection is known within 40 s."""

_DRIVERS = ("psycopg", "psycopg2")  # they hand them on to libpq


def limit_waits() -> None:
    """Have this process' connections to PostgreSQL end in time; a URL's own limits count more.

    MLflow makes its connections itself and lets nobody have a say; all are made by SQLAlchemy.
    """
    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    if not event.contains(Engine, "do_connect", _with_limits):
        event.listen(Engine, "do_connect", _with_limits)


def _with_limits(dialect: Any, record: Any, words: list[Any], named: dict[str, Any]) -> None:
    if dialect.name == "postgresql" and dialect.driver in _DRIVERS:
        for limit, value in LIMITS.items():
            named.setdefault(limit, value)
