"""`Slot`: a place where one trial runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["cpu", "gpu"]
"""What a slot computes on."""


@dataclass(frozen=True)
class Slot:
    """A place where one trial runs.

    Attributes:
        name: `cpu:<core>`, the UUID of a GPU (several joined by `+`), or the second of four shares
            of one: `GPU-x#1/4`.
        environment: Variables set in the worker before TensorFlow touches a device.
        cores: CPU cores the worker is bound to; empty: not bound.
        threads: TensorFlow's intra- and inter-op threads; 0: its own choice.
        gpu_memory_mb: Most of a GPU's memory for its worker, in MiB; 0: all of it.
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)
    cores: tuple[int, ...] = ()
    threads: int = 1
    gpu_memory_mb: int = 0

    @property
    def devices(self) -> list[str]:
        """The devices it is made of, each of which has a lease: that of a share is `GPU-x#1`."""
        return [_leased(part) for part in self.name.split("+")]

    @property
    def kind(self) -> Kind:
        """Whether it is a CPU core, or a GPU or a part of one: what its worker is shown."""
        return "cpu" if self.environment.get("CUDA_VISIBLE_DEVICES", "-1") == "-1" else "gpu"

    @property
    def stays_taken(self) -> bool:
        """Whether its worker keeps something of the device between trials: a GPU's memory."""
        return self.kind == "gpu"


def _leased(part: str) -> str:
    """Return what is leased of a part of a name: how many shares there are is no part of it."""
    gpu, mark, share = part.partition("#")
    return gpu + mark + share.partition("/")[0]
