"""`FirstVisit`: what a browser that opens MLflow's page for the first time finds chosen there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from tuning.cli.ui_page.asgi import Application, Message, Receive, Scope, Send
from tuning.tracking.mlflow_internals import PAGE_CHOICES

# What somebody has chosen on the page stays; what we chose, and nobody changed, is brought up to
# date. A private window may have no storage.
_SCRIPT = """<script>try {
  for (const [key, value] of Object.entries(CHOICES)) {
    const now = localStorage.getItem(key), ours = "tuning:" + key;
    if (now === null || now === localStorage.getItem(ours)) {
      localStorage.setItem(key, value);
      localStorage.setItem(ours, value);
    }
  }
  if (!location.hash || location.hash === "#/") location.hash = "#/experiments";
} catch (error) {}</script>"""
_HEAD = b"<head>"


class FirstVisit:
    """Adds a script to MLflow's page that makes its choices before MLflow reads them.

    An address can carry some of them, but the page's own links leave them out.

    Args:
        app: What serves the page (ASGI).
        choices: Returns more choices by the browser's key, asked for at each load of the page.
    """

    def __init__(
        self, app: Application, choices: Callable[[], Mapping[str, str]] = lambda: {}
    ) -> None:
        self._app = app
        self._choices = choices

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET":
            # "Not modified" would leave the page that a browser has kept as it is.
            asked = [pair for pair in scope["headers"] if not pair[0].startswith(b"if-")]
            page = _Page(send, {**PAGE_CHOICES, **self._choices()})
            await self._app({**scope, "headers": asked}, receive, page.send)
        else:
            await self._app(scope, receive, send)


class _Page:
    """Passes an answer on once it is whole, with the script in it where it is the page."""

    def __init__(self, send: Send, choices: Mapping[str, str]) -> None:
        # No value may end the script.
        literal = json.dumps(choices).replace("<", "\\u003c")
        self._script = _SCRIPT.replace("CHOICES", literal).encode()
        self._send = send
        self._start: Message = {}
        self._body = b""

    async def send(self, message: Message) -> None:
        """Take the next message of the answer."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return

        headers = dict(self._start["headers"])
        is_html = headers.get(b"content-type", b"").startswith(b"text/html")
        if self._start["status"] == 200 and is_html and b"content-encoding" not in headers:
            self._body = self._body.replace(_HEAD, _HEAD + self._script, 1)
            length = (b"content-length", str(len(self._body)).encode())
            kept = [pair for pair in self._start["headers"] if pair[0] != length[0]]
            self._start = {**self._start, "headers": [*kept, length]}
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": self._body})
