"""Any joblib call on our leased workers, from a notebook.

    with joblib.parallel_config("tuning"):
        search.fit(X, y)

The name is known to joblib once `KerasClassifier` or `KerasRegressor` was taken from `tuning`, or
after `register()`. It gives workers and leases, not a ledger: for one that remembers its fits, make
it a study.
"""

from __future__ import annotations

import atexit
import hashlib
import io
import pickle
import traceback
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple
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
from tuning.executors.base import Died, Job, Raised
from tuning.executors.executor_spec import LOCAL, ExecutorChoice, executor_spec
from tuning.executors.pool import Ended, Pool
from tuning.executors.unchanging import Unchanging
from tuning.storage.durable import write_bytes
from tuning.trial import Context

NAME = "tuning"
_BIG_BYTES = 64 * 1024  # smaller arrays travel in the call

_pools: dict[tuple[str, ExecutorChoice], Pool] = {}
_UNCOUNTED = ("ray:auto", "ray:cpu", "ray:gpu")
_MANY = 64


def register() -> None:
    """Make the backend's name known to joblib; starts nothing."""
    if NAME not in BACKENDS:
        register_parallel_backend(NAME, TuningBackend)


def close_pools() -> None:
    """End the workers of this process; the next call starts new ones.

    Done by itself at the end of the process.
    """
    while _pools:
        _, pool = _pools.popitem()
        pool.close()


class SpooledArray(NamedTuple):
    """An array that lies in the spool, as long as it lives, and the name of its file."""

    array: weakref.ref[Array]
    digest: str


class TuningBackend(ParallelBackendBase):  # type: ignore[misc]
    """Runs joblib's tasks in worker processes, one on each slot.

    Args:
        devices: As for `--devices`: `auto`, `cpu:2`, `gpu`, `0,1`; `parallel_config("tuning",
            devices="cpu:2")`.
        executor: As for `--executor`: `local`, or `ray` for the slots of a cluster.
        ray_address: As for `--ray-address`.
        **settings: joblib's own.
    """

    supports_retrieve_callback = True
    default_n_jobs = -1

    def __init__(
        self,
        devices: str = "auto",
        executor: str = "local",
        ray_address: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self._devices = devices
        self._choice = ExecutorChoice(executor, ray_address)
        self._jobs: dict[str, Future[Any]] = {}
        self._spooled_arrays: dict[int, SpooledArray] = {}  # by id

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """Return how many tasks run at once: one on each slot for -1 and None."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        wishes = executor_spec(self._choice.name).parse(self._devices, 1)
        slots = len(wishes)
        # A cluster has as many as it has, and more tomorrow; those too many only wait.
        if any(slot.name in _UNCOUNTED for slot in wishes):
            slots = _MANY
        if n_jobs is None or n_jobs < 0:
            all_but = 0 if n_jobs is None else -1 - n_jobs  # joblib's: -1 is all, -2 all but one
            # For one task at a time joblib would not ask us but work in this process, without a
            # lease.
            return max(slots - all_but, 2)
        return min(n_jobs, max(slots, 2))

    def configure(self, n_jobs: int = 1, parallel: Any = None, **settings: Any) -> int:
        """Begin a call; the workers start while it prepares its tasks."""
        self.parallel = parallel
        self._spooled_arrays.clear()  # arrays may have been changed since the last call
        wanted = self.effective_n_jobs(n_jobs)
        if wanted > 1:
            _pool(self._devices, self._choice).start()
        return wanted

    def submit(self, func: Any, callback: Callable[[Any], None]) -> Future[Any]:
        """Send one task to the workers; `callback` hears of its end."""
        pool = _pool(self._devices, self._choice)
        future: Future[Any] = Future()
        future.add_done_callback(callback)

        arrays: dict[str, Unchanging] = {}
        packed = pack(func, self._naming(pool.spool, arrays))
        job = Job(uuid4().hex, f"{__name__}:work", (packed, tuple(arrays.values())))
        self._jobs[job.id] = future
        pool.submit(job, self._settle)
        return future

    def retrieve_result_callback(self, out: Future[Any]) -> Any:
        """Return a task's results or raise what it raised."""
        return out.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        """Stop the tasks that are running or waiting."""
        for job in list(self._jobs):
            _pool(self._devices, self._choice).cancel(job)

    def get_nested_backend(self) -> tuple[ParallelBackendBase, None]:
        """Return what joblib uses inside a worker: nothing parallel, the slot's cores are taken."""
        return SequentialBackend(nesting_level=(self.nesting_level or 0) + 1), None

    def _settle(self, ended: Ended) -> None:
        """Pass a task's end on to its future; called in the pool's thread."""
        future = self._jobs.pop(ended.job)
        if isinstance(ended, Raised):
            future.set_exception(TuningError(f"{ended.error}\n{ended.traceback}"))
            return
        if isinstance(ended, Died):
            future.set_exception(TuningError(f"a worker was lost ({ended.cause}): {ended.detail}"))
            return

        task_ended: TaskEnd = ended.value
        try:
            value = pickle.loads(task_ended.pickled)  # noqa: S301 - from our own worker
        except Exception as error:  # of a class that cannot be loaded here
            reason = f"what a task returned cannot be unpickled: {error!r}"
            future.set_exception(TuningError(reason))
            return
        if task_ended.returned:
            future.set_result(value)
        else:
            future.set_exception(value)

    def _naming(self, spool: Path, arrays: dict[str, Unchanging]) -> Callable[[Array], str | None]:
        """Return what names the arrays that travel as files, and is None for all others.

        Args:
            spool: Where these files are.
            arrays: Gets those that were named.
        """

        def name_of(array: Array) -> str | None:
            if array.nbytes < _BIG_BYTES:
                return None
            name = self._spooled(array, spool)
            arrays[name] = Unchanging(name, spool / f"{name}.npy")
            return name

        return name_of

    def _spooled(self, array: Array, spool: Path) -> str:
        """Write an array into the spool unless it is there; return its name, a digest."""
        known = self._spooled_arrays.get(id(array))
        # An id may be another array's by now.
        if known is not None and known.array() is array:
            return known.digest

        whole = np.ascontiguousarray(array)
        head = f"{whole.dtype.str}{whole.shape}".encode()
        digest = hashlib.sha256(head + whole.tobytes()).hexdigest()
        path = spool / f"{digest}.npy"
        if not path.exists():
            write_bytes(path, _as_npy(whole))
        self._spooled_arrays[id(array)] = SpooledArray(weakref.ref(array), digest)
        return digest


class TaskEnd(NamedTuple):
    """How a task ended in its worker.

    Attributes:
        returned: Whether it returned; else it raised.
        pickled: Its result or its exception, pickled so that notebooks' classes survive.
    """

    returned: bool
    pickled: bytes


def work(packed: bytes, arrays: Sequence[Unchanging], context: Context) -> TaskEnd:
    """Do one task; the function of a task's `Job`."""
    paths = {each.name: each.path for each in arrays}
    try:
        task = unpack(packed, lambda name: _array(paths[name]))
        return TaskEnd(True, cloudpickle.dumps(task()))
    except Exception as error:  # the task's own: it is raised where joblib was called
        trace = "".join(traceback.format_exception(error))
        # An exception that travels loses its traceback.
        error.add_note(trace)
        try:
            pickled = cloudpickle.dumps(error)
            # Many that take arguments of their own fail only here.
            pickle.loads(pickled)  # noqa: S301 - our own
        except Exception:  # one that cannot be pickled
            pickled = cloudpickle.dumps(TuningError(trace))
        return TaskEnd(False, pickled)


@lru_cache(maxsize=64)
def _array(path: Path) -> Array:
    array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def _as_npy(array: Array) -> bytes:
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _pool(devices: str, choice: ExecutorChoice = LOCAL) -> Pool:
    """Return the pool of these devices; the others give their slots back once they are idle."""
    key = (devices, choice)
    if key not in _pools:
        if not _pools:
            atexit.register(close_pools)
        _pools[key] = Pool(devices, executor=choice)

    pool = _pools[key]
    for other in _pools.values():
        if other is not pool:
            other.rest()
    return pool
