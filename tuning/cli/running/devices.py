"""`tuning devices`: which devices there are, who computes on them, and who has leased them."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from tuning.executors.devices.gpus import Device
    from tuning.executors.devices.holders import Holder
    from tuning.executors.devices.leases import Leases


@dataclass(frozen=True, kw_only=True)
class DeviceRow:
    """One device as it is now.

    Attributes:
        number: As `--devices` takes it: `0`, `0:1` for an instance of a GPU in MIG mode, `cpu:3`.
        uuid, name: Of a GPU; "" for a core.
        memory_mb, free_mb: In MiB; 0 for a core, or where unknown.
        used_by: Processes that compute on it: who and what, by number.
        leased_by: Searches that have it or shares of it, in words.
        holders: The same, one a lease.
        why_not_free: What keeps a search from taking it; "": nothing does.
    """

    number: str
    uuid: str = ""
    name: str = ""
    memory_mb: int = 0
    free_mb: int = 0
    used_by: Sequence[str] = ()
    leased_by: Sequence[str] = ()
    holders: Sequence[Holder] = ()
    why_not_free: str = ""


@click.command("devices")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
def devices(as_json: bool) -> None:
    """Show the devices that searches may use on this machine, and who has them since when.

    \b
    Example:
      python -m tuning devices
    """
    from tuning.executors.devices.leases import Leases

    with closing(Leases()) as leases:
        rows = read_rows(leases)
        fault = leases.fault
    if fault:
        click.echo(f"other users do not see which GPUs are leased: {fault}", err=True)
    if as_json:
        click.echo(json.dumps([asdict(row) for row in rows]))
    else:
        _print(rows)


def read_rows(leases: Leases) -> list[DeviceRow]:
    """Return the GPUs, then the cores.

    Raises:
        MissingError: There is an NVIDIA driver, but it does not answer.
    """
    from tuning.executors.devices.gpus import discover
    from tuning.executors.devices.slots import parse_devices

    rows = [_of_gpu(gpu, leases) for gpu in discover()]
    for slot in parse_devices("cpu"):
        holders = leases.holders(slot.name)
        reason = "leased" if holders else ""
        rows.append(
            DeviceRow(
                number=slot.name,
                leased_by=_words(holders),
                holders=holders,
                why_not_free=reason,
            )
        )
    return rows


def _of_gpu(gpu: Device, leases: Leases) -> DeviceRow:
    from tuning.executors.devices.gpus import why_not_free
    from tuning.executors.devices.people import command_of, user_of

    holders = leases.holders(gpu.uuid)
    searches = leases.searches_on(gpu.uuid) if holders else set()
    reason = why_not_free(gpu, searches, is_shared=bool(holders))
    return DeviceRow(
        number=gpu.number,
        uuid=gpu.uuid,
        name=gpu.name,
        memory_mb=gpu.memory_mb,
        free_mb=gpu.free_mb,
        used_by=[f"{pid} {user_of(pid)} {command_of(pid)}" for pid in gpu.pids],
        leased_by=_words(holders),
        holders=holders,
        why_not_free=reason or ("leased" if holders else ""),
    )


def held_in_short(rows: Sequence[DeviceRow]) -> str:
    """Say in one line which devices are held and by whom; "" where none is."""
    numbers_by_holder: dict[str, list[str]] = {}
    for row in rows:
        for words in dict.fromkeys(row.leased_by):
            numbers_by_holder.setdefault(words, []).append(row.number)
    return "; ".join(
        f"{', '.join(numbers)}: {words}" for words, numbers in numbers_by_holder.items()
    )


def _words(holders: Sequence[Holder]) -> list[str]:
    return [holder.words for holder in holders]


def _print(rows: Sequence[DeviceRow]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None)
    for heading in ("device", "name", "free MiB", "computing", "leased by", "free"):
        table.add_column(heading)
    for row in rows:
        memory = f"{row.free_mb} of {row.memory_mb}" if row.memory_mb else ""
        name = f"{row.name} {row.uuid}".strip()
        free = row.why_not_free or "yes"
        table.add_row(
            row.number, name, memory, ", ".join(row.used_by), ", ".join(row.leased_by), free
        )
    Console(file=sys.stdout, soft_wrap=True).print(table)
