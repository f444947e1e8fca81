"""`Device`: a GPU or an instance of one, and which words name it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# As CUDA takes them: the beginning of a UUID is enough.
_PREFIXES = ("GPU-", "MIG-")


@dataclass(frozen=True)
class Device:
    """A GPU, or an instance of one that is in MIG mode.

    Attributes:
        index: The GPU's number on the box, from 0, in PCI order as `nvidia-smi` counts.
        uuid: What `CUDA_VISIBLE_DEVICES` and the lease are given; unlike the number it never moves.
        name: For people.
        memory_mb: In MiB; 0 where unknown.
        free_mb: Of it nobody uses, in MiB.
        instance: Its number on the GPU, from 0; None: the whole GPU.
        pids: Processes that compute on it.
        near_cores: CPU cores of its NUMA node; empty: unknown.
    """

    index: int
    uuid: str
    name: str = ""
    memory_mb: int = 0
    free_mb: int = 0
    instance: int | None = None
    pids: tuple[int, ...] = ()
    near_cores: tuple[int, ...] = ()

    @property
    def number(self) -> str:
        """As people name it: `0`, and `0:1` for the second instance of a GPU in MIG mode."""
        return str(self.index) if self.instance is None else f"{self.index}:{self.instance}"


def names(word: str, device: Device) -> bool:
    """Whether a number, or a UUID or the beginning of one as CUDA takes it, means this device.

    The number alone of a GPU in MIG mode is its first instance, as for CUDA.
    """
    if word in (device.number, device.uuid):
        return True
    if device.instance == 0 and word == str(device.index):
        return True
    return word.startswith(_PREFIXES) and device.uuid.startswith(word)


def visible(text: str, devices: Sequence[Device]) -> list[Device]:
    """Return the devices that a `CUDA_VISIBLE_DEVICES` shows, as CUDA reads it.

    The first word that names no device, or names several, ends the list: `-1` hides all. One that
    comes twice hides all too.
    """
    shown: list[Device] = []
    for word in text.split(","):
        matching = [device for device in devices if names(word.strip(), device)]
        if len(matching) != 1:
            break
        if matching[0] in shown:
            return []
        shown += matching
    return shown


def words(text: str) -> list[str]:
    """Return the words of a comma list."""
    return [word.strip() for word in text.split(",") if word.strip()]
