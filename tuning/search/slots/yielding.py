"""`Yielding`: which GPUs a search leaves because somebody else computes there.

For GPUs alone: their memory is not shared out, and two computations on one slow each other without
measure. CPU cores are shared by the kernel, by the rules of `nice`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from tuning.executors.devices.foreign import Foreign, foreign_processes
from tuning.executors.devices.slot import Slot

LOOK_S = 2.0
"""Between looks: each asks the driver about all GPUs, some 10 ms."""
BACK_S = 10.0
"""So long a GPU has to be free before it is taken again: programs come and go in a script."""


class Yielding:
    """Knows who else computes on the GPUs of a search.

    Attributes:
        yielded: Names of the slots that are left to others.
        words: What has changed at the last look.

    Args:
        foreign: Returns who computes on each GPU, by UUID.
        clock: Seconds.
    """

    def __init__(
        self,
        foreign: Callable[[], Mapping[str, Sequence[Foreign]]] = foreign_processes,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.yielded: frozenset[str] = frozenset()
        self.words = ""
        self._foreign = foreign
        self._clock = clock
        self._look_at = 0.0
        self._seen_at: dict[str, float] = {}  # by slot, when somebody was there last

    def look(self, slots: Sequence[Slot]) -> bool:
        """Look who is there, where it is time to; return whether `yielded` has changed.

        Args:
            slots: All that are wanted, those that are left among them.
        """
        now = self._clock()
        if now < self._look_at:
            return False
        self._look_at = now + LOOK_S

        gpus = [slot for slot in slots if slot.kind == "gpu"]
        foreign = self._foreign() if gpus else {}
        words = []
        yielded = set()
        for slot in gpus:
            others = [each for uuid in uuids_of(slot) for each in foreign.get(uuid, ())]
            if others:
                self._seen_at[slot.name] = now
            if now - self._seen_at.get(slot.name, -BACK_S) < BACK_S:
                yielded.add(slot.name)
            if others and slot.name not in self.yielded:
                words.append(f"{slot.name} is left to {others[0].words}")
            elif slot.name in self.yielded and slot.name not in yielded:
                words.append(f"{slot.name} is free and taken again")

        has_changed = yielded != self.yielded
        self.yielded = frozenset(yielded)
        self.words = "; ".join(words)
        return has_changed


def uuids_of(slot: Slot) -> list[str]:
    """Return the GPUs that a slot is made of, or has a share of (`GPU-…#1`)."""
    return list(dict.fromkeys(device.partition("#")[0] for device in slot.devices))
