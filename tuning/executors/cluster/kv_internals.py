"""The store of small things that Ray's head keeps; its names are private, so they are here alone.

It is there without Ray's dashboard, also for a client from outside of the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NAMESPACE = b"tuning"


def put(key: str, value: bytes) -> None:
    """Write an entry, or write it anew."""
    _store()._internal_kv_put(key.encode(), value, overwrite=True, namespace=_NAMESPACE)


def entries(prefix: str) -> Mapping[str, bytes]:
    """Return the entries whose keys begin so."""
    store = _store()
    found = {}
    for key in store._internal_kv_list(prefix.encode(), namespace=_NAMESPACE):
        value = store._internal_kv_get(key, namespace=_NAMESPACE)
        if value is not None:  # it was removed meanwhile
            found[key.decode()] = value
    return found


def remove(key: str) -> None:
    """Remove an entry; nothing where there is none."""
    _store()._internal_kv_del(key.encode(), namespace=_NAMESPACE)


def _store() -> Any:
    import ray.experimental.internal_kv as store

    return store
