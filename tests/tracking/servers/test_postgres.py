"""Both stores in PostgreSQL: the plain URL, a server that is killed in mid-write, many at once."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from tests.patience import SOON_S
from tests.tracking.servers.postgres import Postgres
from tests.tracking.writer import searches
from tuning.errors import StorageError
from tuning.tracking.mlflow_store import tracking_uri
from tuning.tracking.optuna_storage import OptunaProjection, storage_url
from tuning.tracking.store_drivers import with_driver
from tuning.tracking.writer import Writer
from tuning.tracking.writer.feed import Feed
from tuning.tracking.writer.note import unwritten
from tuning.tracking.writer.project import Projection

TRIALS = 60
LONGEST_S = 60.0


def databases(cluster: Postgres, monkeypatch, name: str) -> None:
    """Have both stores in databases of this name."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", cluster.database(f"{name}_runs"))
    monkeypatch.setenv("TUNING_STORAGE", cluster.database(f"{name}_trials"))


def projection_of(files, home) -> Projection:
    return Projection(files.folder, home, tracking_uri(home), storage_url(home))


def numbers_in(cluster: Postgres, name: str) -> dict[str, list[int]]:
    """Return the trials' numbers that each store has, as often as it has them."""
    queries = {
        f"{name}_runs": "SELECT value FROM tags WHERE key = 'trial'",
        f"{name}_trials": "SELECT value_json FROM trial_user_attributes WHERE key = 'number'",
    }
    numbers = []
    for database, query in queries.items():
        try:
            numbers.append(sorted(int(text) for (text,) in cluster.execute(database, query)))
        except psycopg.errors.UndefinedTable:  # nobody has written to this one
            numbers.append([])
    return dict(zip(("MLflow", "Optuna's storage"), numbers, strict=True))


def write(projection: Projection, feed: Feed) -> None:
    """Write into one store until it has all."""
    until = time.monotonic() + LONGEST_S
    projection.view.poll()
    while not feed.ended and time.monotonic() < until:
        feed.step(ending=True)
        time.sleep(min(feed.pause_s, 0.05))


@pytest.mark.parametrize(
    "store", [pytest.param("MLflow", marks=pytest.mark.slow), "Optuna's storage"]
)
def test_a_server_that_is_killed_in_mid_write_and_comes_back_has_every_trial_once(
    cluster, home, monkeypatch, store
):
    name = "killed" + store[0].lower()
    databases(cluster, monkeypatch, name)
    monkeypatch.setattr("tuning.tracking.mlflow_tracker._BATCH", 5)
    monkeypatch.setattr("tuning.tracking.optuna_storage._BATCH", 5)
    files = searches.search(home)
    searches.add_trials(files, range(TRIALS))
    searches.end(files)
    projection = projection_of(files, home)
    (feed,) = (feed for feed in projection.feeds if feed.name == store)
    writing = threading.Thread(target=write, args=(projection, feed))
    writing.start()
    while feed.cursor < TRIALS // 4:
        time.sleep(0.001)
    assert feed.behind
    cluster.kill()
    while not feed.fault:
        time.sleep(0.01)
    cluster.start()
    writing.join(LONGEST_S)

    assert feed.ended
    assert numbers_in(cluster, name)[store] == list(range(TRIALS))


def test_a_server_that_is_down_at_the_beginning_is_told_at_once_and_asked_again(
    cluster, home, monkeypatch
):
    databases(cluster, monkeypatch, "down")
    files = searches.search(home)
    projection = projection_of(files, home)
    projection.view.poll()
    cluster.kill()
    try:
        began = time.monotonic()
        for feed in projection.feeds:
            feed.step(ending=False)
        took_s = time.monotonic() - began
    finally:
        cluster.start()
    # MLflow would ask ten times itself, for 100 s in which nobody knows why.
    assert took_s < SOON_S
    assert all("OperationalError" in feed.fault for feed in projection.feeds)
    assert all(feed.pause_s < 1.0 for feed in projection.feeds)


def test_a_database_that_is_mlflows_is_no_storage_and_stays_as_it_is(cluster):
    url = cluster.database("mlflows")
    cluster.execute("mlflows", "CREATE TABLE experiments AS SELECT 0 AS experiment_id")
    with pytest.raises(StorageError, match="give Optuna's storage a database of its own"):
        OptunaProjection(with_driver(url))
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    assert cluster.execute("mlflows", tables) == [("experiments",)]


@pytest.mark.slow
@pytest.mark.parametrize("store", ["MLflow", "Optuna's storage"])
def test_tables_of_another_release_are_told_and_written_to_once_they_are_brought_up_to_date(
    cluster, home, monkeypatch, store
):
    name = "old" + store[0].lower()
    databases(cluster, monkeypatch, name)
    files = searches.search(home)
    searches.add_trials(files, range(3))
    searches.end(files)
    first = projection_of(files, home)
    first.drain(60)
    assert first.report(final=True).warnings == ()
    database = f"{name}_{'runs' if store == 'MLflow' else 'trials'}"
    ((revision,),) = cluster.execute(database, "SELECT version_num FROM alembic_version")
    cluster.execute(database, "UPDATE alembic_version SET version_num = '181f10493468'")

    searches.add_trials(files, range(3, 6))
    with Writer.start(home).begin(files.folder) as writer:
        (warning,) = writer.finish(5.0)
    assert warning.startswith(f"{store}: 6 of 6 trials and the end of the search are not written")
    assert "upgrade" in warning or "updating" in warning

    # As `mlflow db upgrade` does, where nothing had to be changed.
    cluster.execute(database, f"UPDATE alembic_version SET version_num = '{revision}'")
    until = time.monotonic() + LONGEST_S
    while unwritten(home) and time.monotonic() < until:
        time.sleep(0.1)
    assert unwritten(home) == []
    assert numbers_in(cluster, name)[store] == list(range(6))


@pytest.mark.slow
def test_a_search_that_is_written_twice_is_there_once(cluster, home, monkeypatch):
    databases(cluster, monkeypatch, "twice")
    files = searches.search(home)
    searches.add_trials(files, range(20))
    searches.end(files)
    for _ in range(2):
        projection = projection_of(files, home)
        projection.drain(120)
        assert projection.report(final=True).warnings == ()

    assert cluster.execute("twice_runs", "SELECT count(*) FROM runs") == [(21,)]
    assert cluster.execute("twice_trials", "SELECT number FROM trials ORDER BY number") == [
        (number,) for number in range(20)
    ]
