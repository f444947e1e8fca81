"""A server between a client and MLflow's: of each few answers one is lost, or says 500."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

from tests.tracking.servers.proxy import LOST, Failure, proxy

_ERROR = Failure(status=500, body=b'{"error_code": "INTERNAL_ERROR"}')


@contextmanager
def flaky(target: str, share: float, seed: int = 0) -> Iterator[str]:
    """Yield the URL of a proxy to `target` that fails for a share of the requests.

    Half of the failures come before the request is carried out, half after it: then the answer is
    lost.
    """
    chance = random.Random(seed)

    def failure_of(method: str, path: str) -> Failure | None:
        if chance.random() >= share:
            return None
        return _ERROR if chance.random() < 0.5 else LOST

    with proxy(target, failure_of) as url:
        yield url
