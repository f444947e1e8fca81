"""`open_ray`: from what a search has for its executor to a `RayExecutor`."""

from __future__ import annotations

import os
from pathlib import Path

from tuning.executors.cluster.actor import SlotSettings
from tuning.executors.cluster.connection import Address
from tuning.executors.cluster.link import LinkSettings
from tuning.executors.cluster.ray_executor import RayExecutor
from tuning.executors.cluster.runtime import Runtime, runtime_of
from tuning.executors.cluster.settling import RuntimePlan, Settling
from tuning.executors.cluster.travel import Sender
from tuning.executors.cluster.versions import versions_here
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
    address = address_for(workplace.address, demand)
    # A Ray of our own is on this machine: everything is at its place.
    runtime = None
    if address.text is not None:
        runtime = runtime_of(workplace.sources, path=import_path())
        if runtime.notice() and workplace.notice is not None:
            workplace.notice(runtime.notice())
    settings = LinkSettings(
        address=address,
        demand=demand,
        slot=SlotSettings(
            kind="cpu",
            label=workplace.label,
            limits=workplace.limits,
            import_path=tuple(import_path()),
            settling=settling_for(runtime),
        ),
        log=workplace.log_folder / "ray.log",
        runtime=runtime,
    )
    sender = Sender(
        workplace.home, workplace.sources, {} if runtime is None else runtime.sources_by_name
    )
    return RayExecutor(settings, until=workplace.until, notice=workplace.notice, sender=sender)


def settling_for(runtime: Runtime | None) -> Settling:
    """Return what nodes are told to be made ready; None: they are this machine."""
    home = str(Path(os.environ.get("TUNING_HOME") or "mlruns").absolute())
    if runtime is None:
        return Settling(home=home, folder=os.getcwd())
    return Settling(plan=RuntimePlan.of(runtime), versions=versions_here(), home=home)


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
