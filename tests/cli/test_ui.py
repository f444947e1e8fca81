"""`tuning ui` with MLflow's real server: who gets in, which doors are shut, and what a tracker sees
through it.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest
from click.testing import CliRunner

from tests.tracking.writer import searches
from tuning.cli.ui import free_port, ui
from tuning.errors import MissingError, StorageError
from tuning.tracking.mlflow_store import QUIET, ensure_database

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """A running `tuning ui`; gives (process, port, home)."""
    home = tmp_path_factory.mktemp("ui")
    ensure_database(f"sqlite:///{home / 'mlflow.db'}")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TUNING_HOME": str(home)}
    environment.pop("MLFLOW_TRACKING_URI", None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = subprocess.Popen(
            [sys.executable, "-m", "tuning", "ui", "--port", str(port)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        line = process.stdout.readline()
    chosen = int(re.search(r"http://127\.0\.0\.1:(\d+)", line)[1])
    assert chosen != port

    connection = http.client.HTTPConnection("127.0.0.1", chosen, timeout=60)
    # Waits until it answers: the port listens before MLflow is imported.
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b"OK"
    connection.close()

    yield process, chosen, home

    process.send_signal(signal.SIGINT)
    with process:
        assert process.wait(20) == 0


def ask(port, method="GET", path="/", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    all_headers = {
        "Content-Type": "application/json",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    connection.request(method, path, None if body is None else json.dumps(body), all_headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_the_page_is_shown_and_cannot_be_framed(server):
    answer = ask(server[1])
    assert answer.status == 200
    assert answer.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "host", ["evil.example.com", "10.evil.example.com", "192.168.evil.example.com", "localhost"]
)
@pytest.mark.parametrize(
    "path", ["/", "/health", "/ajax-api/2.0/mlflow/experiments/get?experiment_id=0"]
)
def test_another_host_name_is_refused(server, host, path):
    assert ask(server[1], path=path, Host=host).status == 403


@pytest.mark.parametrize("origin", ["http://evil.example.com", "http://localhost:1", "null"])
def test_a_change_from_another_origin_is_refused(server, origin):
    body = {"name": "from elsewhere"}
    assert (
        ask(server[1], "POST", "/api/2.0/mlflow/experiments/create", body, Origin=origin).status
        == 403
    )


FOREIGN = (
    "http://evil.example.com",
    "http://localhost:1",
    "http://127.0.0.1",
    "https://127.0.0.1:{port}",
    "http://127.0.0.1:{port}.evil.example.com",
    "null",
    "",
)


@pytest.mark.parametrize("path", ["/", "/health", "/ajax-api/2.0/mlflow/experiments/get"])
def test_another_origin_reads_nothing(server, path):
    for origin in FOREIGN:
        for method in ("GET", "HEAD", "OPTIONS"):
            answer = ask(server[1], method, path, Origin=origin.format(port=server[1]))
            assert (answer.status, answer.headers["X-Frame-Options"]) == (403, "DENY")
            assert "Access-Control-Allow-Origin" not in answer.headers


def test_a_second_host_or_origin_beside_the_right_one_is_refused(server):
    for name, value in (("Host", "evil.example.com"), ("Origin", "http://evil.example.com")):
        connection = http.client.HTTPConnection("127.0.0.1", server[1], timeout=20)
        connection.putrequest("GET", "/health")
        connection.putheader("Origin", f"http://127.0.0.1:{server[1]}")
        connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status in (400, 403)
        connection.close()


def test_a_change_from_the_page_itself_is_let_through(server):
    origin = f"http://127.0.0.1:{server[1]}"
    body = {"max_results": 1}
    assert (
        ask(
            server[1], "POST", "/ajax-api/2.0/mlflow/experiments/search", body, Origin=origin
        ).status
        == 200
    )


@pytest.mark.parametrize(
    "path",
    [
        "/ajax-api/3.0/jobs/search",
        "/ajax-api/3.0/mlflow/assistant/message",
        "/gateway/mlflow/v1/chat",
    ],
)
def test_routes_that_start_work_are_refused(server, path):
    assert ask(server[1], "POST", path, {}).status == 403


def test_only_loopback_listens_and_jobs_telemetry_and_pickle_are_off(server):
    process = psutil.Process(server[0].pid)
    family = [process, *process.children(recursive=True)]
    listening = {
        c.laddr.ip for p in family for c in p.net_connections() if c.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}
    assert len(family) == 1  # no job runner beside it


def test_one_run_an_attempt_although_every_answer_to_its_creation_is_lost_once(server, monkeypatch):
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    from tuning.tracking.mlflow_tracker import MlflowTracker
    from tuning.tracking.writer.feed import Feed, LedgerView

    _, port, home = server
    files = searches.search(home, "lossy")
    searches.add_trials(files, range(3), fault_every=0)
    view = LedgerView(files.folder)
    view.poll()
    with Lossy(port) as (proxy, lost):
        tracker = MlflowTracker(f"http://127.0.0.1:{proxy}", home)

        def connect(header):
            from tuning.tracking.base import SearchRecord

            tracker.begin(SearchRecord.from_header(header))
            return tracker

        feed = Feed(name="MLflow", view=view, connect=connect)
        for _ in range(30):
            feed._next_try = 0.0  # no waiting between tries
            feed.step(ending=False, until=float("inf"))
            if not feed.behind:
                break
    assert (feed.behind, len(lost)) == (0, 4)  # the search's run and three trials
    from mlflow.tracking import MlflowClient

    runs = MlflowClient(f"sqlite:///{home / 'mlflow.db'}").search_runs([tracker.experiment_id])
    assert sorted(run.info.run_name for run in runs)[-3:] == ["trial 0", "trial 1", "trial 2"]
    assert len(runs) == 4


class Lossy:
    """A proxy that passes each run's creation on and then hangs up without an answer, the first
    time.
    """

    def __init__(self, port):
        lost = self.lost = set()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
                connection.request(
                    self.command, self.path, body, {"Content-Type": "application/json"}
                )
                answer = connection.getresponse()
                data = answer.read()
                connection.close()
                name = (
                    json.loads(body).get("run_name") if self.path.endswith("/runs/create") else None
                )
                if name and name not in lost:
                    lost.add(name)
                    self.close_connection = True
                    return
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST  # noqa: N815
            log_message = lambda *_: None  # noqa: E731

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_address[1], self.lost

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_a_missing_database_is_told_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(
        MissingError, match=r"Nothing to show yet: .*mlflow\.db is not there. Run a search first"
    ):
        CliRunner().invoke(ui, ["--home", str(tmp_path)], catch_exceptions=False)


def test_a_damaged_database_is_told_with_the_remedy(tmp_path, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (tmp_path / "mlflow.db").write_bytes(b"no database" * 500)
    with pytest.raises(StorageError, match=r"file is not a database\. `tuning sync` puts it aside"):
        CliRunner().invoke(ui, ["--home", str(tmp_path)], catch_exceptions=False)


def test_the_next_free_port_is_taken():
    with free_port(49300) as first, free_port(first.getsockname()[1]) as second:
        assert second.getsockname()[1] > first.getsockname()[1]


def test_small_answers_are_not_held_back():
    with free_port(49300) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            # asyncio sets TCP_NODELAY where it reads this, and nowhere else.
            assert accepted.proto == socket.IPPROTO_TCP
