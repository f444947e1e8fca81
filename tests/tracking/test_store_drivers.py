"""URLs of databases, and drivers that are missing."""

from __future__ import annotations

import pytest

from tuning.errors import MissingError
from tuning.tracking import store_drivers
from tuning.tracking.store_drivers import require_drivers, with_driver


@pytest.mark.parametrize(
    ("installed", "driver"), [("psycopg", "psycopg"), ("psycopg2", "psycopg2")]
)
def test_a_plain_postgresql_url_names_the_driver_that_is_installed(monkeypatch, installed, driver):
    monkeypatch.setattr(
        store_drivers, "find_spec", lambda name: object() if name == driver else None
    )
    assert with_driver("postgresql://me:a@b@db/x") == f"postgresql+{driver}://me:a@b@db/x"
    assert with_driver("postgres://db/x") == f"postgresql+{driver}://db/x"


@pytest.mark.parametrize(
    "url", ["", "sqlite:////a/b.db", "https://mlflow", "postgresql+pg8000://db/x", "file:///a"]
)
def test_other_places_stay_as_they_are(url):
    assert with_driver(url) == url


def test_a_missing_driver_ends_with_3_and_says_what_to_install(monkeypatch):
    monkeypatch.setenv("TUNING_STORAGE", "postgresql+pg8000://me:s3cr3t-canary@db/x")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "oracle+nothing://db/x")
    with pytest.raises(MissingError) as caught:
        require_drivers()
    assert MissingError.exit_code == 3
    assert str(caught.value) == (
        "MLFLOW_TRACKING_URI: SQLAlchemy knows no oracle+nothing://; for PostgreSQL write "
        "postgresql://; TUNING_STORAGE: postgresql+pg8000:// needs the package pg8000, which is "
        "not installed: python -m pip install 'tuning[postgres]'"
    )


def test_sqlite_servers_and_folders_need_no_driver(monkeypatch):
    monkeypatch.setenv("TUNING_STORAGE", "sqlite:////a/b.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://mlflow.example.com")
    require_drivers()


@pytest.mark.parametrize(
    ("runs", "trials", "is_one"),
    [
        ("postgresql://a:b@db:5432/x", "postgres://c@db:5432/x", True),
        ("postgresql://db/x", "postgresql://db/y", False),
        ("postgresql://db/x", "postgresql://db:5433/x", False),
        ("postgresql://db/x", "postgresql://db/x?options=-csearch_path%3Dtrials", False),
        ("http://db/x", "postgresql://db/x", False),
    ],
)
def test_one_database_for_both_stores_is_refused(monkeypatch, runs, trials, is_one):
    monkeypatch.setattr(store_drivers, "_fault", lambda url: "")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", runs)
    monkeypatch.setenv("TUNING_STORAGE", trials)
    if not is_one:
        require_drivers()
        return
    with pytest.raises(MissingError) as caught:
        require_drivers()
    assert str(caught.value) == (
        "MLFLOW_TRACKING_URI and TUNING_STORAGE name one database: MLflow and Optuna keep the "
        "revision of their tables in one table `alembic_version`, so give each a database of its "
        "own"
    )
