"""What `doctor` says of servers."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from tests.tracking.servers.postgres import free_port
from tests.tracking.servers.proxy import Failure, proxy
from tuning.cli.checks import stores
from tuning.tracking.servers.answers import answers
from tuning.tracking.store_drivers import with_driver


@contextmanager
def mlflow_that(**failure):
    """Yield the URL of a server that answers everything so."""
    with proxy("", lambda method, path: Failure(**failure)) as url:
        yield url


def answer_of(url: str):
    (answer,) = answers({"MLFLOW_TRACKING_URI": url})
    return answer


def test_files_are_no_servers():
    assert list(answers({"MLFLOW_TRACKING_URI": "sqlite:////a.db", "TUNING_STORAGE": ""})) == []


def test_a_database_that_answers_says_its_version(cluster):
    (version,) = cluster.execute("postgres", "SHOW server_version")[0]
    answer = answer_of(with_driver(f"{cluster.url}/postgres"))
    assert (answer.server.endswith(f"/postgres, PostgreSQL {version}"), answer.fault) == (True, "")


def test_a_database_that_is_missing_is_told(cluster):
    answer = answer_of(with_driver(f"{cluster.url}/nothing"))
    assert 'database "nothing" does not exist' in answer.fault


def test_a_tracking_server_that_answers_is_well():
    with mlflow_that(status=200, body=b"{}") as url:
        assert answer_of(url).fault == ""


@pytest.mark.parametrize(
    ("failure", "fault"),
    [
        ({"status": 401}, "HTTPError: 401"),
        ({"status": 503}, "HTTPError: 503"),
        ({"status": 200, "body": b"<html>another server</html>"}, "JSONDecodeError"),
        ({"status": 0}, "ConnectionError"),
    ],
)
def test_a_tracking_server_that_takes_nothing_is_told(failure, fault):
    with mlflow_that(**failure) as url:
        assert fault in answer_of(url).fault


def test_a_line_of_doctor_names_the_variable_and_no_password(tmp_path, monkeypatch):
    place = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:s3cr3t-canary@{place}")
    monkeypatch.delenv("TUNING_STORAGE", raising=False)
    (line,) = stores(tmp_path)
    assert line.state == "warn"
    assert line.found.startswith(f"MLFLOW_TRACKING_URI: http://***@{place} does not answer: Conn")
    assert "canary" not in line.found
