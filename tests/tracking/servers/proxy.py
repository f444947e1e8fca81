"""A proxy between a client and MLflow's server, which fails as it is told, request by request."""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

_TIMEOUT_S = 60.0


@dataclass(frozen=True, kw_only=True)
class Failure:
    """How a request fails.

    Attributes:
        status: The answer, in the server's place; 0: the connection is closed without one.
        is_done: Whether the server has carried the request out all the same.
        hangs_s: So long nothing is answered.
        body: Of the answer.
    """

    status: int = 0
    is_done: bool = False
    hangs_s: float = 0.0
    body: bytes = b"<html>no</html>"


LOST = Failure(is_done=True)
"""The request was carried out, its answer is lost."""


@contextmanager
def proxy(
    target: str, failure_of: Callable[[str, str], Failure | None], login: str = ""
) -> Iterator[str]:
    """Yield the URL of a proxy to `target`.

    Args:
        failure_of: Returns how a request fails, None: not; it is given its method and path.
        login: "name:password" that each request has to give; "": none has to.
    """
    expected = f"Basic {b64encode(login.encode()).decode()}"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            pass

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            failure = failure_of(self.command, self.path)
            if login and self.headers.get("Authorization") != expected:
                failure = Failure(status=401)
            if failure is None:
                answer = self._ask(body)
                kind = answer.headers.get("Content-Type", "application/json")
                self._answer(answer.status_code, answer.content, kind)
                return

            if failure.is_done:
                self._ask(body)
            time.sleep(failure.hangs_s)
            if failure.status:
                self._answer(failure.status, failure.body, "text/html")
            else:
                self.close_connection = True
                self.connection.close()

        def _ask(self, body: bytes) -> requests.Response:
            headers = {
                name: value for name, value in self.headers.items() if name == "Content-Type"
            }
            return requests.request(
                self.command, target + self.path, data=body, headers=headers, timeout=_TIMEOUT_S
            )

        def _answer(self, status: int, body: bytes, kind: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._pass_on)

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Say nothing: clients that leave, and servers that are killed, are the purpose."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
