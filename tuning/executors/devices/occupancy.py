"""`Occupancy`: whether somebody computes on a GPU who has not leased it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable

from tuning.executors.devices.gpus import why_not_free
from tuning.executors.devices.leases import Leases, whole_of
from tuning.executors.devices.nvml import read_device
from tuning.executors.devices.slot import Slot

_ASK_AGAIN_S = 1.0  # the driver takes milliseconds for its answer


class Occupancy:
    """What the driver tells of GPUs that a search wants; asked at most once a second for each.

    Args:
        leases: Say which searches have leased shares of a GPU: those are not strangers.
    """

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._answers: dict[str, tuple[float, str]] = {}

    def is_free(self, slot: Slot) -> bool:
        """Whether nobody but searches that have leased them computes on a slot's devices."""
        if slot.kind == "cpu" or os.environ.get("TUNING_DEVICES") is not None:
            return True
        reasons = [self._reason(name) for name in slot.devices]  # of all, for `words`
        return not any(reasons)

    def words(self, names: Iterable[str]) -> dict[str, str]:
        """Return why those devices are not free that were not when they were looked at last."""
        reasons = {name: self._answers.get(name, (0.0, ""))[1] for name in names}
        return {name: reason for name, reason in reasons.items() if reason}

    def _reason(self, name: str) -> str:
        asked_at, reason = self._answers.get(name, (-_ASK_AGAIN_S, ""))
        now = time.monotonic()
        if now - asked_at >= _ASK_AGAIN_S:
            reason = self._ask(name)
            self._answers[name] = (now, reason)
        return reason

    def _ask(self, name: str) -> str:
        gpu = whole_of(name)
        device = read_device(gpu)
        if device is None:
            return "not there any more"
        return why_not_free(device, self._leases.searches_on(gpu), is_shared=gpu != name)
