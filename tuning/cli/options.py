"""What several verbs share: options, times of the command line, and exit codes of a stopped run."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from tuning.cli.common.home import as_json as as_json
from tuning.cli.common.home import home as home

if TYPE_CHECKING:
    from tuning.executors.devices.slots import Auto

Decorator: TypeAlias = Callable[[Callable[..., Any]], Callable[..., Any]]

STOPPED = {"interrupted": 130, "terminated": 143}
"""How a run was stopped, and the exit code that shells know it by; the same command goes on."""

UNFINISHED = {**STOPPED, "budget": 75}
"""The same of what is of no use before it is whole: with a larger budget the same command goes on.
"""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", re.IGNORECASE)
_TIME = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?")


class _Shares(click.ParamType[int | str]):
    """A number of slots on a GPU, or `auto`."""

    name = "N|auto"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> int | str:
        if value == "auto":
            return "auto"
        number: int = click.IntRange(1, 999).convert(value, param, ctx)
        return number


devices = click.option(
    "--devices",
    default="auto",
    show_default=True,
    metavar="DEVICES",
    help="The devices to train on: auto, cpu, cpu:2, gpu, or GPUs by number: 0,1.",
)
slots_per_gpu = click.option(
    "--slots-per-gpu",
    type=_Shares(),
    metavar="N|auto",
    help=(
        "The number of trials at once on each GPU, each with a part of its memory; auto: "
        "as many as have the memory that trials need. [default: 1]"
    ),
)
quiet = click.option("--quiet", is_flag=True, help="No output but errors and the result.")


def together(*options: Decorator) -> Decorator:
    """Return options as one decorator, in the order in which the help lists them."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        # Click lists the option that was added last first.
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def seconds(text: str) -> float:
    """Return the seconds of `90m`, `2h`, `30s`, `1h30m` or a plain number of seconds.

    Raises:
        click.BadParameter: Anything else.
    """
    words = text.strip()
    match = _TIME.fullmatch(words)
    # 1h30: of what?
    without_unit = bool(words) and words[-1].isdigit() and re.search("[hm]", words) is not None
    if not words or match is None or without_unit:
        raise click.BadParameter(f"{text!r} is not a time; write 90m, 2h, 1h30m or seconds")

    hours, minutes, rest = (float(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + rest


def read_seconds(ctx: click.Context, option: click.Parameter, text: str | None) -> float | None:
    """Read an option that is a time (a Click callback)."""
    return None if text is None else seconds(text)


def n_bytes(text: str) -> int:
    """Return the bytes of `4G`, `800M`, `1.5GB`: powers of 1024, as batch systems count memory.

    Raises:
        click.BadParameter: Anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    size = 0
    if match is not None:
        power = " KMGT".index(match[2].upper() or " ")
        size = int(float(match[1]) * 1024**power)
    if size <= 0:
        raise click.BadParameter(f"{text!r} is not a size; write 4G, 800M or bytes")
    return size


def read_bytes(ctx: click.Context, option: click.Parameter, text: str | None) -> int | None:
    """Read an option that is a size (a Click callback)."""
    return None if text is None else n_bytes(text)


memory_per_slot = click.option(
    "--memory-per-slot",
    callback=read_bytes,
    metavar="SIZE",
    help=("The most memory of a trial: 4G, 800M; one that takes more is tried once more, alone."),
)
gpu_hours = click.option(
    "--gpu-hours",
    type=click.FloatRange(0, min_open=True),
    metavar="HOURS",
    help=("The most GPU-hours, earlier runs counted; no trial begins that cannot end within them."),
)
cpu_hours = click.option(
    "--cpu-hours",
    type=click.FloatRange(0, min_open=True),
    metavar="HOURS",
    help="The most hours of processor time, counted alike.",
)
quota = click.option(
    "--quota",
    callback=read_bytes,
    metavar="SIZE",
    help=(
        "The most that the state folder may hold: 20G; a run that reaches it stops and keeps all."
    ),
)
until = click.option(
    "--until",
    metavar="TIME",
    help=("The moment at which the run ends, its trials at a checkpoint: 08:00, 2026-12-02T08:00."),
)
yields = click.option(
    "--yield",
    "yields",
    is_flag=True,
    help="A search that leaves a GPU while somebody else computes on it.",
)
executor = click.option(
    "--executor",
    default="local",
    show_default=True,
    metavar="NAME",
    help="The executor of the trials: local, inprocess, ray, or another package's.",
)
ray_address = click.option(
    "--ray-address",
    metavar="auto|HOST:PORT|ray://HOST:PORT",
    help=(
        "The address of the cluster for --executor ray. [default: RAY_ADDRESS, else a Ray "
        "of our own]"
    ),
)

places = together(devices, slots_per_gpu, executor, ray_address)
"""Where trials run; for every verb that runs several."""
limits = together(memory_per_slot, quota, gpu_hours, cpu_hours)
"""What they may use."""


def fixed_devices(devices: str, slots_per_gpu: int | Auto | None, verb: str) -> str:
    """Return `--devices` with `--slots-per-gpu`, for a verb that cannot change it on its way.

    Raises:
        StudyError: Both say how many, or it is `auto`.
    """
    from tuning.errors import StudyError
    from tuning.executors.devices.slots import AUTO, per_gpu

    devices = per_gpu(devices, slots_per_gpu)
    if devices.strip().endswith(f"/{AUTO}"):
        raise StudyError(
            f"--slots-per-gpu auto is for `tuning run`, whose first trials tell what they need; "
            f"say how many for `tuning {verb}`, e.g. --slots-per-gpu 2"
        )
    return devices


def check_executor(name: str, address: str | None) -> None:
    """Refuse an address of Ray where another executor is asked for.

    Raises:
        StudyError: It is.
    """
    from tuning.errors import StudyError

    if address is not None and name != "ray":
        raise StudyError(
            f"--ray-address is for --executor ray, and this is --executor {name}; "
            "add --executor ray, or leave the address out"
        )
