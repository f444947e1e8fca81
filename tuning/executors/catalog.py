"""The executors of this package, one row each; `executor_spec` finds them by the entry point."""

from __future__ import annotations

from tuning.executors.base import Executor
from tuning.executors.executor_spec import ExecutorSpec, Workplace
from tuning.executors.inprocess import InProcessExecutor
from tuning.executors.local import LocalExecutor


def _local(workplace: Workplace) -> Executor:
    return LocalExecutor(
        workplace.slots,
        forkserver=workplace.forkserver,
        log_folder=workplace.log_folder,
        limits=workplace.limits,
        label=workplace.label,
        until=workplace.until,
        notice=workplace.notice,
        placement=workplace.placement,
    )


def _inprocess(workplace: Workplace) -> Executor:
    return InProcessExecutor(tuple(workplace.slots))


EXECUTORS = (
    ExecutorSpec(
        name="local",
        summary="a worker process for each leased slot of this box",
        make=_local,
    ),
    ExecutorSpec(
        name="inprocess",
        summary="one trial at a time in the command's own process, for a debugger; without a lease",
        make=_inprocess,
    ),
)
