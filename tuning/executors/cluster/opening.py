"""`open_ray`: from what a search has for its executor to a `RayExecutor`."""

from __future__ import annotations

import os

from tuning.executors.cluster.actor import SlotSettings
from tuning.executors.cluster.connection import Address
from tuning.executors.cluster.link import LinkSettings
from tuning.executors.cluster.ray_executor import RayExecutor
from tuning.executors.cluster.wishes import Demand, demand_of
from tuning.executors.devices.gpus import discover
from tuning.executors.devices.slots import parse_devices
from tuning.executors.executor_spec import Workplace
from tuning.storage.interpreter import import_path


def open_ray(workplace: Workplace) -> RayExecutor:
    """Connect to Ray, or start one; return when there is a first slot.

    Raises:
        TuningError: As `RayExecutor`.
    """
    demand = demand_of(workplace.slots)
    settings = LinkSettings(
        address=address_for(workplace.address, demand),
        demand=demand,
        slot=SlotSettings(
            kind="cpu",
            label=workplace.label,
            limits=workplace.limits,
            import_path=tuple(import_path()),
        ),
        log=workplace.log_folder / "ray.log",
    )
    return RayExecutor(settings, until=workplace.until, notice=workplace.notice)


def address_for(text: str | None, demand: Demand) -> Address:
    """Return which Ray to use.

    Args:
        text: As `--ray-address` gives it; None: as RAY_ADDRESS says, else a Ray of our own.
        demand: One of our own is given so many CPUs, where these are more than the cores, as
            `--devices cpu:8` has slots share cores.
    """
    text = text or os.environ.get("RAY_ADDRESS") or None
    if text is not None:
        return Address(text=text)
    cpus = len(parse_devices("cpu"))
    if demand.kind == "cpu" and demand.count is not None:
        cpus = max(cpus, demand.count)
    gpus = 0 if demand.kind == "cpu" else len(discover())
    return Address(cpus=cpus, gpus=gpus)
