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
        name: The lease's name: `cpu:<core>`, the UUID of a GPU (several joined by `+`), or a share
            of one: `GPU-x#1`.
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
        """The devices it is made of, each of which has a lease."""
        return self.name.split("+")

    @property
    def kind(self) -> Kind:
        """Whether it is a CPU core, or a GPU or a part of one: what its worker is shown."""
        return "cpu" if self.environment.get("CUDA_VISIBLE_DEVICES", "-1") == "-1" else "gpu"

    @property
    def stays_taken(self) -> bool:
        """Whether its worker keeps something of the device between trials: a GPU's memory."""
        return self.kind == "gpu"
