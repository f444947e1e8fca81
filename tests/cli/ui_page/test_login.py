"""The login in front of an application, asked through ASGI."""

from __future__ import annotations

import asyncio
import base64

import pytest

from tuning.cli.ui_page import login as login_module
from tuning.cli.ui_page.login import Login
from tuning.cli.ui_page.server import Gate
from tuning.cli.ui_page.throttle import Throttle

RIGHT = ("anna", "right horse battery")


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(login_module, "_PAUSE_S", 0.0)


class Server:
    """A login before an application that answers 200 to all, and counts what comes to it."""

    def __init__(self):
        self.users = dict([RIGHT])
        self.served = []
        self.checked = 0
        self.login = Login(self.app, self.knows, Throttle())

    def knows(self, name, password):
        self.checked += 1
        return self.users.get(name) == password

    async def app(self, scope, receive, send):
        self.served.append(scope["path"])
        headers = [(b"X-Frame-Options", b"SAMEORIGIN")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def ask(self, headers=(), path="/", method="GET", **scope):
        return await answer(self.login, headers, path=path, method=method, **scope)


async def answer(app, headers, **scope):
    sent = []

    async def send(message):
        sent.append(message)

    whole = {"type": "http", "headers": list(headers), "client": ("192.168.1.5", 1), **scope}
    await app(whole, None, send)
    return (sent[0]["status"], dict(sent[0]["headers"])) if sent else (None, {})


def basic(name, password, scheme="Basic"):
    text = base64.b64encode(f"{name}:{password}".encode()).decode()
    return (b"authorization", f"{scheme} {text}".encode())


def status(server, *headers, **scope):
    return asyncio.run(server.ask(headers, **scope))[0]


def test_a_users_password_opens_every_path():
    server = Server()
    assert status(server, basic(*RIGHT), path="/version") == 200
    assert status(server, basic(*RIGHT, scheme="bAsIc"), path="/api/x", method="POST") == 200
    assert server.served == ["/version", "/api/x"]


@pytest.mark.parametrize("path", ["/health", "/api/3.0/mlflow/server-info"])
def test_health_and_server_info_are_open_to_read_alone(path):
    server = Server()
    assert [status(server, path=path, method=m) for m in ("GET", "HEAD")] == [200, 200]
    assert [status(server, path=path, method=m) for m in ("POST", "OPTIONS")] == [401, 401]


@pytest.mark.parametrize(
    "path",
    ["/", "/healthz", "/health/", "/health/x", "//health", "/HEALTH", "/static", "/favicon.ico"],
)
def test_what_only_looks_open_is_shut(path):
    server = Server()
    assert status(server, path=path) == 401
    assert server.served == []


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ((b"authorization", b""),),
        ((b"authorization", b"Basic"),),
        ((b"authorization", b"Basic !!!"),),
        ((b"authorization", b"Basic " + base64.b64encode(b"\xff\xfe:x")),),
        ((b"authorization", b"Basic " + base64.b64encode(b"no colon")),),
        ((b"authorization", b"Bearer abc"),),
        ((b"x-mlflow-authorization", basic(*RIGHT)[1]),),
        (basic(*RIGHT), basic(*RIGHT)),
        (basic(*RIGHT, scheme="Digest"),),
    ],
)
def test_what_is_no_single_password_is_asked_for_one_and_never_counted(headers):
    server = Server()
    for _ in range(9):
        code, answered = asyncio.run(server.ask(headers))
        assert code == 401
        assert answered[b"www-authenticate"].startswith(b"Basic realm=")
    assert (server.checked, server.served) == (0, [])
    assert status(server, basic(*RIGHT)) == 200


def test_a_websocket_does_not_come_to_the_application():
    server = Server()
    assert status(server, type="websocket") == 401
    assert server.served == []


def test_guesses_at_once_are_checked_three_times_and_then_wait():
    server = Server()

    async def attack():
        wrong = [[basic("anna", f"guess {number}")] for number in range(50)]
        return await asyncio.gather(*[server.ask(headers) for headers in wrong])

    answers = asyncio.run(attack())
    assert sorted(code for code, _ in answers) == [401] * 3 + [429] * 47
    assert server.checked == 3
    assert {answered[b"retry-after"] for code, answered in answers if code == 429} == {b"1"}


def test_who_logged_in_before_does_not_wait_for_guesses_from_the_same_address():
    server = Server()
    assert status(server, basic(*RIGHT)) == 200
    for number in range(9):
        status(server, basic("anna", f"guess {number}"))
    assert status(server, basic("bert", "another password")) == 429
    assert status(server, basic(*RIGHT)) == 200


def test_a_right_password_does_not_clear_the_count():
    server = Server()
    for number in range(3):
        status(server, basic("bert", f"guess {number}"))
        status(server, basic(*RIGHT))
    assert status(server, basic("bert", "guess")) == 429


def test_a_password_that_was_changed_is_refused_at_once():
    server = Server()
    assert status(server, basic(*RIGHT)) == 200
    server.users["anna"] = "changed password"
    assert status(server, basic(*RIGHT)) == 401
    assert status(server, basic("anna", "changed password")) == 200


def test_the_gate_before_it_knows_name_and_origin_of_a_page_behind_a_proxy():
    server = Server()
    gate = Gate(server.login, ["lab.example.org"], "https")

    def through(host, *headers):
        pairs = [(b"host", host), basic(*RIGHT), *headers]
        return asyncio.run(answer(gate, pairs, path="/", method="GET"))

    code, headers = through(b"lab.example.org", (b"origin", b"https://lab.example.org"))
    # The application's own header is replaced, not doubled.
    assert (code, headers) == (200, {b"x-frame-options": b"DENY"})
    assert through(b"lab.example.org", (b"origin", b"http://lab.example.org"))[0] == 403
    for host in (b"lab.example.org:5000", b"10.lab.example.org", b"192.168.1.5"):
        code, headers = through(host)
        assert (code, headers[b"x-frame-options"]) == (403, b"DENY")
