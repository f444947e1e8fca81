"""The drivers of databases that MLflow and Optuna's storage may lie in, beside SQLite.

SQLAlchemy 2.1 takes psycopg for `postgresql://`, 2.0 took psycopg2: the one that is installed is
named in the URL.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

from tuning.errors import MissingError

VARIABLES = ("MLFLOW_TRACKING_URI", "TUNING_STORAGE")
_POSTGRES = ("postgresql://", "postgres://")
_POSTGRES_DRIVERS = ("psycopg", "psycopg2")
_DATABASES = ("postgresql", "mysql", "mariadb", "mssql", "oracle")


def with_driver(url: str) -> str:
    """Return a URL that names the PostgreSQL driver that is installed; any other as it is."""
    for prefix in _POSTGRES:
        if url.startswith(prefix):
            driver = _installed(_POSTGRES_DRIVERS) or _POSTGRES_DRIVERS[0]
            return f"postgresql+{driver}://{url.removeprefix(prefix)}"
    return url


def require_drivers() -> None:
    """Refuse a database whose driver is missing, or that both would use, before training.

    Raises:
        MissingError: Names the variable, the driver and how to get it.
    """
    faults = []
    for variable in VARIABLES:
        fault = _fault(with_driver(os.environ.get(variable, "")))
        if fault:
            faults.append(f"{variable}: {fault}")
    if not faults and _is_one_database():
        faults.append(
            f"{' and '.join(VARIABLES)} name one database: MLflow and Optuna keep the revision of "
            "their tables in one table `alembic_version`, so give each a database of its own"
        )
    if faults:
        raise MissingError("; ".join(faults))


def _fault(url: str) -> str:
    scheme, separator, _ = url.partition("://")
    if not separator or scheme.split("+")[0] not in _DATABASES:
        return ""  # SQLite, a server, a folder

    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        make_url(url).get_dialect().import_dbapi()
    except ImportError as error:
        extra = "python -m pip install 'tuning[postgres]'"
        cure = extra if scheme.startswith("postgresql") else "install it beside this package"
        return f"{scheme}:// needs the package {error.name}, which is not installed: {cure}"
    except (ArgumentError, NoSuchModuleError):
        return f"SQLAlchemy knows no {scheme}://; for PostgreSQL write postgresql://"
    return ""


def _is_one_database() -> bool:
    urls = [with_driver(os.environ.get(variable, "")) for variable in VARIABLES]
    if not all(url.split("+")[0].split(":")[0] in _DATABASES for url in urls):
        return False

    from sqlalchemy.engine import make_url

    first, second = map(make_url, urls)
    # Schemas of one database are two places: `?options=-csearch_path%3Druns`.
    if first.query.get("options") != second.query.get("options"):
        return False
    return (first.host, first.port, first.database) == (second.host, second.port, second.database)


def _installed(modules: tuple[str, ...]) -> str | None:
    return next((name for name in modules if find_spec(name) is not None), None)
