"""How long an address waits after wrong passwords."""

from __future__ import annotations

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

_FREE = 3  # wrong ones in a row that cost no wait: people mistype
_LONGEST_S = 30.0
_FORGOTTEN_AFTER_S = 600.0
_MOST_ADDRESSES = 10_000


class _Record(NamedTuple):
    n_wrong: int
    last_s: float


class Throttle:
    """Counts wrong passwords by address; each one after the third doubles the wait, up to 30 s.

    A right password clears nothing: who has an account could else guess another's without a wait.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def seconds_left(self, address: str) -> float:
        """Return for how long nothing is tried for an address; 0.0: not at all."""
        record = self._records.get(_network(address))
        if record is None or record.n_wrong < _FREE:
            return 0.0
        wait = min(_LONGEST_S, 2.0 ** min(record.n_wrong - _FREE, 10))
        return max(0.0, record.last_s + wait - self._clock())

    def count_wrong(self, address: str) -> None:
        """Note a wrong password."""
        now = self._clock()
        network = _network(address)
        record = self._records.pop(network, None)
        count = 0
        if record is not None and now - record.last_s < _FORGOTTEN_AFTER_S:
            count = record.n_wrong
        self._records[network] = _Record(count + 1, now)
        if len(self._records) > _MOST_ADDRESSES:
            self._records.popitem(last=False)


def _network(address: str) -> str:
    """Return what one machine may choose from: of IPv6 it has a whole /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))
