"""`with joblib.parallel_config("tuning"): search.fit(X, y)`: any joblib call on our leased workers,
from a notebook.

The name is known to joblib once `KerasClassifier` or `KerasRegressor` was taken from `tuning`, or
after `register()`. It gives workers and leases, not a ledger: for one that remembers its fits, make
it a study.
"""

from __future__ import annotations

import atexit
import hashlib
import pickle
import traceback
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import cloudpickle
import numpy as np
from joblib.parallel import (
    BACKENDS,
    ParallelBackendBase,
    SequentialBackend,
    register_parallel_backend,
)

from tuning.data.dataset import Array
from tuning.data.packing import pack, unpack
from tuning.errors import TuningError
from tuning.executors.base import Died, Finished, Job, Raised
from tuning.executors.devices import parse_devices
from tuning.executors.pool import Ended, Pool
from tuning.storage.durable import write_bytes

NAME = "tuning"
_BIG = 64 * 1024  # bytes; smaller arrays travel in the call

_pools: dict[str, Pool] = {}


def register() -> None:
    """Make the backend's name known to joblib; starts nothing."""
    if NAME not in BACKENDS:
        register_parallel_backend(NAME, TuningBackend)


def close_pools() -> None:
    """End the workers of this process; the next call starts new ones. Done by itself at the end of
    the process.
    """
    while _pools:
        _pools.popitem()[1].close()


class TuningBackend(ParallelBackendBase):  # type: ignore[misc]
    """Runs joblib's tasks in worker processes, one on each slot.

    Args:
        devices: As for `--devices`: `auto`, `cpu:2`, `gpu`, `0,1`; `parallel_config("tuning",
            devices="cpu:2")`.
        **settings: joblib's own.
    """

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(self, devices: str = "auto", **settings: Any) -> None:
        super().__init__(**settings)
        self._devices = devices
        self._jobs: dict[str, Future[Any]] = {}
        self._digests: dict[int, tuple[weakref.ref[Array], str]] = {}

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many tasks run at once: one on each slot for -1 and None."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        slots = len(parse_devices(self._devices))
        if n_jobs is None or n_jobs < 0:
            # For one task at a time joblib would not ask us but work in this process, without a
            # lease.
            return max(slots + 1 + (n_jobs or -1), 2)
        return min(n_jobs, max(slots, 2))

    def configure(self, n_jobs: int = 1, parallel: Any = None, **settings: Any) -> int:
        """Begin a call; the workers start while it prepares its tasks."""
        self.parallel = parallel
        self._digests.clear()  # arrays may have been changed since the last call
        wanted = self.effective_n_jobs(n_jobs)
        if wanted > 1:
            _pool(self._devices).start()
        return wanted

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future[Any]:
        """Send one task to the workers; `callback` hears of its end."""
        pool = _pool(self._devices)
        future: Future[Any] = Future()
        future.add_done_callback(callback)
        job = Job(
            uuid4().hex, f"{__name__}:work", (pack(func, self._naming(pool.spool)), str(pool.spool))
        )
        self._jobs[job.id] = future
        pool.submit(job, self._settle)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return a task's results or raise what it raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Stop the tasks that are running or waiting."""
        for job in list(self._jobs):
            _pool(self._devices).cancel(job)

    def get_nested_backend(self) -> tuple[ParallelBackendBase, None]:
        """Return what joblib uses inside a worker: nothing parallel, the slot's cores are taken."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None

    def _settle(self, ended: Ended) -> None:
        future = self._jobs.pop(ended.job)
        if isinstance(ended, Finished):
            good, packed = ended.value
            try:
                value = pickle.loads(packed)  # noqa: S301 - from our own worker
            except Exception as error:  # of a class that cannot be loaded here
                future.set_exception(
                    TuningError(f"what a task returned cannot be unpickled: {error!r}")
                )
            else:
                future.set_result(value) if good else future.set_exception(value)
        elif isinstance(ended, Raised):
            future.set_exception(TuningError(f"{ended.error}\n{ended.traceback}"))
        elif isinstance(ended, Died):
            future.set_exception(TuningError(f"a worker was lost ({ended.cause}): {ended.detail}"))

    def _naming(self, spool: Path) -> Callable[[Array], str | None]:
        return lambda array: self._kept(array, spool) if array.nbytes >= _BIG else None

    def _kept(self, array: Array, spool: Path) -> str:
        """Write an array into the spool unless it is there; return its name, a digest."""
        found = self._digests.get(id(array))
        if found is not None and found[0]() is array:
            return found[1]
        whole = np.ascontiguousarray(array)
        head = f"{whole.dtype.str}{whole.shape}".encode()
        digest = hashlib.sha256(head + whole.tobytes()).hexdigest()
        path = spool / f"{digest}.npy"
        if not path.exists():
            write_bytes(path, _as_npy(whole))
        self._digests[id(array)] = (weakref.ref(array), digest)
        return digest


def work(packed: bytes, spool: str, context: Any) -> tuple[bool, bytes]:
    """Do one task; what runs in the worker.

    Returns:
        Whether it went well, and its results or its exception, pickled so that notebooks' classes
        survive.
    """
    try:
        return True, cloudpickle.dumps(unpack(packed, lambda name: _array(spool, name))())
    except Exception as error:  # the task's own: it is raised where joblib was called
        error.add_note("".join(traceback.format_exception(error)))
        try:
            packed = cloudpickle.dumps(error)
            pickle.loads(packed)  # noqa: S301 - our own; many that take arguments of their own fail only here
        except Exception:  # one that cannot be pickled
            return False, cloudpickle.dumps(TuningError("".join(traceback.format_exception(error))))
        return False, packed


@lru_cache(maxsize=64)
def _array(spool: str, name: str) -> Array:
    array: Array = np.load(Path(spool) / f"{name}.npy", mmap_mode="r", allow_pickle=False)
    return array


def _as_npy(array: Array) -> bytes:
    import io

    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _pool(devices: str) -> Pool:
    """Return the pool of these devices; the others give their slots back as soon as they are idle."""
    if devices not in _pools:
        if not _pools:
            atexit.register(close_pools)
        _pools[devices] = Pool(devices)
    for other in _pools.values():
        if other is not _pools[devices]:
            other.rest()
    return _pools[devices]
