"""A server between a client and MLflow's: of each few answers one is lost, or says 500."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests


@contextmanager
def flaky(target: str, share: float, seed: int = 0) -> Iterator[str]:
    """Yield the URL of a proxy to `target` that fails for a share of the requests.

    Half of the failures come before the request is carried out, half after it: then the answer is
    lost.
    """
    chance = random.Random(seed)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *words: object) -> None:
            pass

        def _pass_on(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            fails = chance.random() < share
            if fails and chance.random() < 0.5:
                self._answer(500, b'{"error_code": "INTERNAL_ERROR"}')
                return
            headers = {"Content-Type": self.headers.get("Content-Type", "application/json")}
            answer = requests.request(
                self.command, target + self.path, data=body, headers=headers, timeout=30
            )
            if fails:
                self.close_connection = True
                self.connection.close()
                return
            self._answer(answer.status_code, answer.content)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        setattr(Handler, f"do_{method}", Handler._pass_on)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
