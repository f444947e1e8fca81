"""A real MLflow server over PostgreSQL that is killed, hangs, refuses or loses answers (F5, F6)."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.tracking.servers.mlflow_server import MLflowServer
from tests.tracking.servers.proxy import LOST, Failure, proxy
from tests.tracking.writer import searches
from tuning.tracking.optuna_storage import storage_url
from tuning.tracking.store_drivers import with_driver
from tuning.tracking.writer import Writer
from tuning.tracking.writer.handle import wait_until_written
from tuning.tracking.writer.project import Projection

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

OUTAGE_S = 30.0
NAMES = itertools.count()


@pytest.fixture(scope="module")
def server(cluster, tmp_path_factory):
    """A server that runs; whoever ends it begins it again."""
    folder = tmp_path_factory.mktemp("server")
    running = MLflowServer(with_driver(cluster.database("server")), folder)
    try:
        running.start()
        yield running
    finally:
        running.close()


@pytest.fixture
def study():
    """A name that no other test has: its experiment is its own."""
    return f"outage{next(NAMES)}"


def attempts(cluster, study: str) -> Counter[str]:
    """Return how often each attempt has a run that has ended."""
    return Counter(
        attempt
        for (attempt,) in cluster.execute(
            "server",
            "SELECT tags.value FROM tags JOIN runs USING (run_uuid) JOIN experiments USING "
            f"(experiment_id) WHERE experiments.name = '{study}' AND tags.key = 'attempt_id' "
            "AND runs.lifecycle_stage = 'active' AND runs.status != 'RUNNING'",
        )
    )


def once(files, trials: int) -> Counter[str]:
    identity = files.header.id
    names = ["search", *(f"trial/{number}/1" for number in range(trials))]
    return Counter(f"{identity}/{name}" for name in names)


@pytest.mark.parametrize("fault", ["killed", "stopped", "its database killed"])
def test_a_server_that_is_away_for_long_gets_every_run_once_and_holds_nobody_up(
    cluster, server, home, study, fault
):
    down, back = {
        "killed": (server.kill, server.start),
        "stopped": (server.stop, server.go_on),
        "its database killed": (cluster.kill, cluster.start),
    }[fault]
    files = searches.search(home, study)
    longest_s = 0.0
    with Writer.start(home, tracking_uri=server.url).begin(files.folder) as writer:
        searches.add_trials(files, range(3), fault_every=0)
        writer.notify()
        assert wait_until_written(writer, 3, 60)
        down()
        until = time.monotonic() + OUTAGE_S
        number = 3
        while time.monotonic() < until:
            searches.add_trials(files, range(number, number + 1), fault_every=0)
            began = time.monotonic()
            writer.notify()
            writer.progress()
            longest_s = max(longest_s, time.monotonic() - began)
            number += 1
            time.sleep(0.5)
        back()
        searches.end(files)
        assert writer.finish(90) == []

    assert longest_s < 0.5
    assert attempts(cluster, study) == once(files, number)


@pytest.mark.parametrize(
    "failure",
    [
        LOST,
        Failure(status=429),
        Failure(status=500, body=b'{"error_code": "INTERNAL_ERROR"}'),
        Failure(status=503),
        Failure(status=502, is_done=True),
        Failure(hangs_s=1.5),
        Failure(hangs_s=1.5, is_done=True),
    ],
    ids=lambda failure: f"{failure.status}-{failure.is_done}-{failure.hangs_s}",
)
def test_of_answers_that_fail_each_run_is_there_once(
    cluster, server, home, study, failure, monkeypatch
):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    chance = random.Random(0)
    lock = threading.Lock()
    share = 0.05 if failure.hangs_s else 0.3

    def failure_of(method: str, path: str) -> Failure | None:
        with lock:
            return failure if chance.random() < share else None

    files = searches.search(home, study)
    searches.add_trials(files, range(20), fault_every=0)
    searches.end(files)
    with proxy(server.url, failure_of) as url:
        projection = Projection(files.folder, home, url, storage_url(home))
        projection.drain(120)
        assert projection.report(final=True).warnings == ()
    assert attempts(cluster, study) == once(files, 20)


def test_searches_of_several_machines_write_to_one_server_at_once(
    cluster, server, tmp_path, home, study
):
    projections = []
    files = []
    for machine in range(4):
        files.append(searches.search(tmp_path / f"machine{machine}", study))
        searches.add_trials(files[-1], range(10), fault_every=0)
        searches.end(files[-1])
        # Optuna's storage, too: one database for all of them.
        storage = with_driver(cluster.database("at_once"))
        projections.append(
            Projection(files[-1].folder, tmp_path / f"machine{machine}", server.url, storage)
        )
    threads = [threading.Thread(target=each.drain, args=(120,)) for each in projections]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [each.report(final=True).warnings for each in projections] == [()] * 4
    assert attempts(cluster, study) == sum((once(each, 10) for each in files), Counter())
    trials = cluster.execute(
        "at_once",
        "SELECT study_name, count(*) FROM trials JOIN studies USING (study_id) GROUP BY study_name",
    )
    assert sorted(trials) == sorted((each.header.id, 10) for each in files)


def artifacts_of(server: MLflowServer) -> set[str]:
    return {path.name for path in server.artifacts.rglob("*") if path.is_file()}


def test_artifacts_go_through_the_server_to_where_it_keeps_them(server, home, study):
    _write(home, study, server.url)
    assert {"folds.json", f"{study}.py"} <= artifacts_of(server)
    assert not (home / "artifacts").exists()


def test_artifacts_go_into_the_folder_that_the_server_names(cluster, home, study, tmp_path):
    store = with_driver(cluster.database("plain"))
    plain = MLflowServer(store, tmp_path / "plain", proxied=False)
    plain.start()
    try:
        _write(home, study, plain.url)
    finally:
        plain.close()
    assert {"folds.json", f"{study}.py"} <= artifacts_of(plain)
    assert not (home / "artifacts").exists()


def test_a_server_that_takes_no_artifacts_has_the_runs_and_it_is_said(cluster, server, home, study):
    def failure_of(method: str, path: str) -> Failure | None:
        refused = method == "PUT" and "/mlflow-artifacts/" in path
        return Failure(status=413) if refused else None

    with proxy(server.url, failure_of) as url:
        files, projection = _write(home, study, url, told=1)
    (warning,) = projection.report(final=True).warnings
    assert warning.startswith("MLflow: artifacts are left out: mlflow-artifacts:/")
    assert "413" in warning
    assert attempts(cluster, study) == once(files, 3)


def _write(home: Path, study: str, url: str, told: int = 0):
    files = searches.search(home, study)
    searches.add_trials(files, range(3), folds=2, fault_every=0)
    searches.end(files)
    projection = Projection(files.folder, home, url, storage_url(home))
    projection.drain(60)
    assert len(projection.report(final=True).warnings) == told
    return files, projection
