"""The row of the executor on Ray; `executor_spec` finds it by an entry point, as any package's.

It is not in `executors.catalog`: this room stands above that one, as a slot of Ray's holds a
`LocalExecutor`.
"""

from __future__ import annotations

from tuning.executors.base import Executor
from tuning.executors.cluster.wishes import parse_cluster_devices
from tuning.executors.executor_spec import ExecutorSpec, Workplace


def _ray(workplace: Workplace) -> Executor:
    # Imported here: the table is read by every search.
    from tuning.executors.cluster.opening import open_ray

    return open_ray(workplace)


EXECUTORS = (
    ExecutorSpec(
        name="ray",
        summary="a slot for each CPU or GPU of a Ray cluster; without --ray-address of a local one",
        make=_ray,
        parse=parse_cluster_devices,
    ),
)
