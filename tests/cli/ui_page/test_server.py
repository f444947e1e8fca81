"""`tuning ui` behind its login, with MLflow's real server and TLS: who gets in, and where."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import signal
import socket
import ssl
import stat
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import pytest

from tests.cli.ui_page.certificates import write_pair
from tuning.tracking.mlflow_internals import OPEN_ROUTES, SHUT_ROUTES
from tuning.tracking.mlflow_store import ensure_database

pytest.importorskip("flask_wtf", reason="the extra `server` is not installed")

# Of the server's start and of a thousand requests; test_login.py asks the same without a server.
pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[3]
PASSWORD = "canary-horse-battery"
ADMIN = ("admin", PASSWORD)
API = "/api/2.0/mlflow"


class Page:
    """A running server, and a client of it."""

    def __init__(self, folder, *, password):
        self.folder = folder
        self.home = folder / "home"
        self.routes_file = folder / "routes.json"
        self.pair = write_pair(folder / "tls", "localhost")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.host = f"localhost:{self.port}"
        self.tls = ssl.create_default_context(cafile=str(self.pair.certificate))
        self.tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        self.process = self.start(password)

    def start(self, password):
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "TUNING_HOME": str(self.home)}
        environment.pop("MLFLOW_TRACKING_URI", None)
        environment.pop("MLFLOW_AUTH_ADMIN_PASSWORD", None)
        arguments = ["ui", "--host", "127.0.0.1", "--port", str(self.port), "--name", "localhost"]
        arguments += ["--tls-certificate", str(self.pair.certificate)]
        arguments += ["--tls-key", str(self.pair.key)]
        if password is not None:
            file = self.folder / "password"
            file.touch(0o600)
            file.write_text(password + "\n")
            arguments += ["--password-file", str(file)]
        script = str(Path(__file__).with_name("start_and_list_routes.py"))
        with open(self.folder / "output.txt", "a") as output:
            return subprocess.Popen(
                [sys.executable, script, str(self.routes_file), *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def wait(self):
        end = time.monotonic() + 60
        while time.monotonic() < end:
            assert self.process.poll() is None, self.output()
            try:
                # The port listens before MLflow is imported.
                assert self.ask(path="/health").status == 200
                return self
            except OSError:
                time.sleep(0.1)
        raise TimeoutError(self.output())

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(20) == 0, self.output()

    def output(self):
        return (self.folder / "output.txt").read_text()

    def connect(self):
        return http.client.HTTPSConnection("localhost", self.port, context=self.tls, timeout=30)

    def ask(self, login=None, method="GET", path="/", body=None, *, connection=None, **headers):
        opened = connection or self.connect()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if login:
            sent["Authorization"] = "Basic " + base64.b64encode(":".join(login).encode()).decode()
        if body is not None:
            sent["Content-Type"] = "application/json"
        opened.request(method, path, None if body is None else json.dumps(body), sent)
        answer = opened.getresponse()
        answer.body = answer.read()
        if connection is None:
            opened.close()
        return answer

    def concrete_routes(self):
        """Return every (path, method) of the application, something in place of parameters."""
        listed = json.loads(self.routes_file.read_text())
        pairs = set()
        for kind in ("flask", "fastapi"):
            for path, methods in listed[kind]:
                filled = re.sub(r"<[^>]+>|\{[^}]+\}", "1", path)
                pairs |= {(filled, method) for method in methods}
        return listed, sorted(pairs)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    (folder / "home").mkdir(mode=0o700)
    ensure_database(f"sqlite:///{folder / 'home' / 'mlflow.db'}")
    page = Page(folder, password=PASSWORD).wait()
    try:
        # From now on it waits for nobody's wrong passwords.
        assert page.ask(ADMIN).status == 200
        yield page
    finally:
        page.stop()


def test_without_a_login_nothing_is_answered_but_health_and_server_info(page):
    listed, routes = page.concrete_routes()
    assert len(listed["flask"]) > 300
    assert {path for path, _ in listed["fastapi"]} >= set(OPEN_ROUTES)
    connection = page.connect()
    answered = {}
    for path, method in routes:
        answer = page.ask(None, method, path, connection=connection)
        answered[path, method] = answer.status
        assert answer.headers["X-Frame-Options"] == "DENY"
    connection.close()
    assert {route for route, status in answered.items() if status not in (401, 403)} == {
        (path, method)
        for path, method in routes
        if path in OPEN_ROUTES and method in ("GET", "HEAD")
    }
    refused = {path for (path, _), status in answered.items() if status == 403}
    assert all(path.startswith(SHUT_ROUTES) for path in refused)


def test_the_same_routes_are_there_for_who_logs_in(page):
    _, routes = page.concrete_routes()
    reads = [
        path for path, method in routes if method == "GET" and not path.startswith(SHUT_ROUTES)
    ]
    connection = page.connect()
    # One in ten: each is answered by a handler.
    statuses = [page.ask(ADMIN, "GET", path, connection=connection).status for path in reads[::10]]
    connection.close()
    assert len(statuses) > 10
    assert not {401, 403} & set(statuses)


@pytest.mark.parametrize(
    "path",
    ["/healthz", "/health/", "//health", "/%68ealth/x", "/static", "/favicon.ico", "/nothing"],
)
def test_a_path_that_only_begins_like_an_open_one_is_shut(page, path):
    assert page.ask(path=path).status == 401


def test_page_and_interface_work_with_the_login(page):
    shown = page.ask(ADMIN)
    assert (shown.status, shown.headers["X-Frame-Options"]) == (200, "DENY")
    script = re.search(rb'src="(static-files/[^"]+\.js)"', shown.body)[1].decode()
    assert page.ask(ADMIN, path=f"/{script}").status == 200
    assert page.ask(path=f"/{script}").status == 401
    origin = f"https://{page.host}"
    made = page.ask(ADMIN, "POST", f"{API}/experiments/create", {"name": "a"}, Origin=origin)
    number = json.loads(made.body)["experiment_id"]
    found = page.ask(ADMIN, path=f"{API}/experiments/get?experiment_id={number}")
    assert json.loads(found.body)["experiment"]["name"] == "a"


def test_another_host_or_origin_is_refused_even_with_the_login(page):
    for headers in (
        {"Host": "evil.example.com"},
        {"Host": f"127.0.0.1:{page.port}"},
        {"Host": "localhost"},
        {"Origin": "https://evil.example.com"},
        {"Origin": f"http://{page.host}"},
        {"Origin": "https://localhost:1"},
        {"Origin": "null"},
    ):
        for path in ("/", "/health"):
            answer = page.ask(ADMIN, path=path, **headers)
            assert (answer.status, answer.headers["X-Frame-Options"]) == (403, "DENY")
            assert "Access-Control-Allow-Origin" not in answer.headers


def test_it_speaks_tls_alone(page):
    plain = http.client.HTTPConnection("127.0.0.1", page.port, timeout=10)
    plain.request("GET", "/health", headers={"Host": page.host})
    with pytest.raises((http.client.HTTPException, OSError)):
        plain.getresponse()
    plain.close()


def test_wrong_and_default_passwords_are_refused_and_guessing_is_slow(page):
    begun = time.monotonic()
    guesses = [("admin", "password1234"), ("admin", "password"), ("admin", "")]
    guesses += [("nobody", PASSWORD), *[("admin", f"guess number {n}") for n in range(30)]]
    statuses = [page.ask(guess).status for guess in guesses]
    took = time.monotonic() - begun
    assert set(statuses) == {401, 429}
    # Three are free, then 1, 2, 4 seconds and so on are waited: what was tried is known from it.
    assert 3 <= statuses.count(401) <= 3 + took
    assert int(page.ask(("admin", "another guess")).headers["Retry-After"]) <= 30
    assert page.ask(ADMIN).status == 200


def test_a_second_user_reads_but_changes_neither_runs_of_others_nor_users(page):
    short = {"username": "bert", "password": "short"}
    assert page.ask(ADMIN, "POST", f"{API}/users/create", short).status == 400
    bert = {"username": "bert", "password": "another horse battery"}
    assert page.ask(ADMIN, "POST", f"{API}/users/create", bert).status == 200
    made = page.ask(ADMIN, "POST", f"{API}/experiments/create", {"name": "of the admin"})
    number = json.loads(made.body)

    login = tuple(bert.values())
    end = time.monotonic() + 40
    while page.ask(login).status == 429 and time.monotonic() < end:
        time.sleep(1)  # after the test of guesses
    read = page.ask(login, path=f"{API}/experiments/get?{urllib.parse.urlencode(number)}")
    assert read.status == 200
    promotion = {"username": "bert", "is_admin": True}
    third = {"username": "carl", "password": "a third horse battery"}
    for method, path, body in (
        ("POST", "/experiments/delete", number),
        ("PATCH", "/users/update-admin", promotion),
        ("DELETE", "/users/delete", {"username": "admin"}),
        ("POST", "/users/create", third),
        ("POST", "/users/create-ui", third),
    ):
        assert page.ask(login, method, API + path, body).status == 403, path
    assert page.ask(login, path="/signup").status == 403


def test_accounts_are_private_and_the_password_is_nowhere(page):
    folder = page.home / "login"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {p.name for p in folder.iterdir()} >= {"users.db", "secret_key", "settings.ini"}
    assert {stat.S_IMODE(p.stat().st_mode) for p in folder.iterdir()} == {0o600}
    process = Path("/proc", str(page.process.pid))
    places = [p for p in page.home.rglob("*") if p.is_file()]
    places += [page.folder / "output.txt", *(process / n for n in ("cmdline", "environ"))]
    assert [p for p in places if p.exists() and PASSWORD.encode() in p.read_bytes()] == []


def test_users_and_key_outlive_a_restart_and_another_password_replaces_the_first(tmp_path):
    (tmp_path / "home").mkdir(mode=0o700)
    ensure_database(f"sqlite:///{tmp_path / 'home' / 'mlflow.db'}")
    page = Page(tmp_path, password=None)
    assert page.process.wait(60) == 2
    assert "the user 'admin' has no password yet" in page.output()
    key = None
    for given, works, fails in (
        (PASSWORD, PASSWORD, "changed horse battery"),
        (None, PASSWORD, "changed horse battery"),
        ("changed horse battery", "changed horse battery", PASSWORD),
    ):
        page.process = page.start(given)
        page.wait()
        assert page.ask(("admin", works)).status == 200
        assert page.ask(("admin", fails)).status == 401
        page.stop()
        key = key or (page.home / "login" / "secret_key").read_bytes()
        assert (page.home / "login" / "secret_key").read_bytes() == key
    assert page.output().count("The password of 'admin' was changed.") == 1
