"""The tables of a library in a database server: made by one process at a time.

Each library makes its tables where it finds none. Of several writers that begin on an empty
database at once, all find none: their statements meet, and one of them fails over a table, an index
or a revision that another has just made. PostgreSQL's advisory locks have them take turns, on
however many machines they are.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from tuning.errors import StorageError
from tuning.storage.sqlite_schema import MIGRATING
from tuning.tracking.servers.waits import limit_waits

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

_Store = TypeVar("_Store")

_TURN = 0x74756E696E67  # "tuning": the same number in every release, for all of them take turns
_LONGEST_TURN = "60s"


def open_in_turn(url: str, last: str, open_store: Callable[[], _Store]) -> _Store:
    """Call `open_store`, which makes the tables where they are missing, while no other does.

    Where they are there nobody waits. Stores in other places than PostgreSQL are opened at once.

    Args:
        url: Of the database.
        last: The table that gets its first row when all else has been made.
        open_store: Opens the library's store.

    Raises:
        OperationalError: Another process makes tables, or is stopped while it does, for a minute.
    """
    if not url.startswith("postgresql"):
        return open_store()

    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    limit_waits()
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        if _has_rows(connection, last):
            return open_store()
        with _turn(connection), MIGRATING:
            return open_store()


def require_free(url: str, foreign: str, words: str) -> None:
    """Refuse a PostgreSQL database that another library keeps its tables in.

    Both would keep the revision of their tables in `alembic_version`.

    Args:
        url: Of the database; other places are not looked at.
        foreign: A table of the other library's, which has rows.
        words: What is wrong, and what would work.

    Raises:
        StorageError: With these words.
    """
    if not url.startswith("postgresql"):
        return

    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    limit_waits()
    with create_engine(url, poolclass=NullPool).connect() as connection:
        if _has_rows(connection, foreign):
            raise StorageError(words)


def _has_rows(connection: Connection, table: str) -> bool:
    from sqlalchemy import text
    from sqlalchemy.exc import ProgrammingError

    with contextlib.suppress(ProgrammingError), connection.begin():  # there is no such table
        return connection.execute(text(f"SELECT 1 FROM {table} LIMIT 1")).first() is not None
    return False


@contextmanager
def _turn(connection: Connection) -> Iterator[None]:
    """Hold the lock of this database; the server gives it back when the connection is gone."""
    from sqlalchemy import text

    # Of a transaction, not of a session: poolers (PgBouncer) hand sessions from one to another.
    with connection.begin():
        connection.execute(text(f"SET LOCAL lock_timeout = '{_LONGEST_TURN}'"))
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_TURN})"))
        yield
