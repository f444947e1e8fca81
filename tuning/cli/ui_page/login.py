"""The login in front of MLflow's own: nothing but two routes is answered without a password."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import math
import secrets
from collections.abc import Callable
from typing import NamedTuple

from tuning.cli.ui_page.asgi import Application, Receive, Scope, Send
from tuning.cli.ui_page.throttle import Throttle
from tuning.tracking.mlflow_internals import OPEN_ROUTES

_PAUSE_S = 0.5  # of each wrong one: as long for a name that nobody has


class Credentials(NamedTuple):
    """What a browser sends with each request."""

    name: str
    password: str


class Login:
    """Lets requests with a user's password through to `app`; the rest gets 401, or 429.

    MLflow's login stays behind it and says what a user may do. Alone it would answer all paths
    that begin with `/health` or `/static`, and each new route for which it forgets a rule.

    Args:
        app: Behind the login (ASGI).
        knows: Whether a name and a password are right; takes some 50 ms, is called in a thread.
        throttle: Of wrong ones.
    """

    def __init__(
        self, app: Application, knows: Callable[[str, str], bool], throttle: Throttle
    ) -> None:
        self._app = app
        self._knows = knows
        self._throttle = throttle
        # Keyed digests of what was right before. They are checked again, but wait for nobody's
        # wrong passwords: behind a proxy all have one address.
        self._key = secrets.token_bytes(32)
        self._seen: set[bytes] = set()
        self._one_at_a_time = asyncio.Lock()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI)."""
        if scope["type"] == "lifespan" or _is_open(scope):
            await self._app(scope, receive, send)
            return

        credentials = _credentials(scope)
        if credentials is None:
            await _refuse(send, 401, "log in")
            return
        address = str((scope.get("client") or ("",))[0])
        wait_s = await self._check(credentials, address)
        if wait_s is None:
            await self._app(scope, receive, send)
        elif wait_s > 0:
            await _refuse(send, 429, "too many wrong passwords", retry_after_s=math.ceil(wait_s))
        else:
            await asyncio.sleep(_PAUSE_S)
            await _refuse(send, 401, "wrong name or password")

    async def _check(self, credentials: Credentials, address: str) -> float | None:
        """Return None for a right password, 0.0 for a wrong one, else the seconds to wait."""
        digest = hmac.digest(self._key, "\0".join(credentials).encode(), hashlib.sha256)
        if digest in self._seen:
            if await asyncio.to_thread(self._knows, *credentials):
                return None
            self._seen.discard(digest)  # changed since

        async with self._one_at_a_time:
            # Within the lock: many at once would all come before the first of them is counted.
            wait_s = self._throttle.seconds_left(address)
            if wait_s > 0:
                return wait_s
            if await asyncio.to_thread(self._knows, *credentials):
                self._seen.add(digest)
                return None
            self._throttle.count_wrong(address)
            return 0.0


def _is_open(scope: Scope) -> bool:
    return (
        scope["type"] == "http"
        and scope["method"] in ("GET", "HEAD")
        and scope["path"] in OPEN_ROUTES
    )


def _credentials(scope: Scope) -> Credentials | None:
    """Return what the one `Authorization` header says; None: absent, twice, or not Basic."""
    values = [value for key, value in scope["headers"] if key == b"authorization"]
    if len(values) != 1:
        return None
    scheme, _, encoded = values[0].partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return Credentials(name, password) if colon else None


async def _refuse(send: Send, status: int, text: str, *, retry_after_s: int = 0) -> None:
    headers = [(b"content-type", b"text/plain"), (b"cache-control", b"no-store")]
    if status == 401:
        headers.append((b"www-authenticate", b'Basic realm="tuning", charset="UTF-8"'))
    if retry_after_s:
        headers.append((b"retry-after", str(retry_after_s).encode()))
        text = f"{text}: try again in {retry_after_s} s"
    headers.append((b"content-length", str(len(text)).encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})
