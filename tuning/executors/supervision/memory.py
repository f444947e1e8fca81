"""Memory: which trial is ended before the kernel has to end something, and what the kernel did.

What is free is what `/proc/meminfo` and the limits of our control groups leave. What a trial uses
is the proportional share (PSS) of its worker and of all that it has started: pages that workers
share with their forkserver count once.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 0.5
_CLOSE_LOOK_S = 0.05
"""Between two looks while memory runs short; 5 GB a second then take 0.25 GB."""
_MOST_KEPT_FREE = 512 << 20
_WORTH_ENDING = 64 << 20


@dataclass(frozen=True)
class Excess:
    """A worker that has to be ended for what its trial uses.

    Attributes:
        pid: The worker.
        detail: Why, in words and figures.
    """

    pid: int
    detail: str


class MemoryGuard:
    """Says which worker to end for lack of memory.

    Attributes:
        look_at: On the monotonic clock, when to look again.

    Args:
        per_slot: Bytes that the trial of a slot may use; None: what there is.
        root: Of the file system; another one in tests.
    """

    def __init__(self, per_slot: int | None = None, root: Path = Path("/")) -> None:
        self.look_at = 0.0
        self._per_slot = per_slot
        self._root = root
        self._groups = _memory_groups(root)
        self._kept_free = min(_MOST_KEPT_FREE, total_bytes(root) // 20)
        self._n_kills = oom_kills(root)

    def look(self, allowances: Mapping[int, int]) -> Excess | None:
        """Look once; return the worker that has to be ended, if any.

        Args:
            allowances: For each worker with a trial, by process id: of how many slots it may use
                the memory.
        """
        self.look_at = time.monotonic() + _LOOK_S
        free = available_bytes(self._root, self._groups)
        if free < 4 * self._kept_free:
            self.look_at = time.monotonic() + _CLOSE_LOOK_S
        is_short = free < self._kept_free
        if not allowances or not (is_short or self._per_slot):
            return None

        used = family_bytes(allowances, self._root)
        if self._per_slot is not None:
            excess = self._over_its_slot(used, allowances)
            if excess is not None:
                return excess
        return self._largest(used, free) if is_short else None

    def was_out_of_memory(self) -> bool:
        """Whether the kernel has ended a process for lack of memory since this was asked last."""
        before = self._n_kills
        self._n_kills = oom_kills(self._root)
        return self._n_kills > before

    def _over_its_slot(
        self, used: Mapping[int, int], allowances: Mapping[int, int]
    ) -> Excess | None:
        per_slot = self._per_slot or 0
        for pid, n_bytes in used.items():
            allowed = per_slot * allowances[pid]
            if n_bytes > allowed:
                return Excess(
                    pid,
                    f"the trial used {gigabytes(n_bytes)} of the {gigabytes(allowed)} that it may "
                    "(--memory-per-slot)",
                )
            if n_bytes > allowed / 2:
                self.look_at = time.monotonic() + _CLOSE_LOOK_S
        return None

    def _largest(self, used: Mapping[int, int], free: int) -> Excess | None:
        pid = max(used, key=lambda each: used[each])
        # Where another program takes it all, the end of a small trial helps nobody.
        if used[pid] < max(_WORTH_ENDING, self._kept_free - free):
            return None
        return Excess(
            pid,
            f"memory was running out, {gigabytes(free)} were left: the largest trial, of "
            f"{gigabytes(used[pid])}, was ended before the kernel ends a process",
        )


def total_bytes(root: Path = Path("/")) -> int:
    """Return how much memory there is for this process: the box's, or its control group's limit."""
    limits = [limit for limit, _ in _group_figures(_memory_groups(root))]
    return min([_meminfo(root).get("MemTotal", 1 << 60), *limits])


def available_bytes(root: Path = Path("/"), groups: Collection[Path] | None = None) -> int:
    """Return how much memory may still be taken before the kernel has to end a process."""
    if groups is None:
        groups = _memory_groups(root)
    left = [limit - used for limit, used in _group_figures(groups)]
    return max(0, min([_meminfo(root).get("MemAvailable", 1 << 60), *left]))


def oom_kills(root: Path = Path("/")) -> int:
    """Return how many processes the kernel has ended for lack of memory, as far as we can see.

    Of our control group where it counts them, else of the whole box.
    """
    for group in _memory_groups(root):
        for name in ("memory.events", "memory.oom_control"):
            with suppress(OSError, ValueError):
                counts = dict(line.split()[:2] for line in (group / name).read_text().splitlines())
                if "oom_kill" in counts:
                    return int(counts["oom_kill"])
    with suppress(OSError):
        found = re.search(r"^oom_kill (\d+)", (root / "proc/vmstat").read_text(), re.MULTILINE)
        if found is not None:
            return int(found[1])
    return 0


def family_bytes(pids: Collection[int], root: Path = Path("/")) -> dict[int, int]:
    """Return the memory of each process with its descendants, in bytes; 0 where it is gone."""
    children = _children(root)
    sizes = {}
    for pid in pids:
        size = 0
        family = [pid]
        while family:
            member = family.pop()
            size += _process_bytes(member, root)
            family += children.get(member, ())
        sizes[pid] = size
    return sizes


def gigabytes(n_bytes: float) -> str:
    """Return a size for people: `0.35 GB`."""
    return f"{n_bytes / 2**30:.2f} GB"


def _process_bytes(pid: int, root: Path) -> int:
    """Return a process' proportional share of memory; what it has on its own where not allowed."""
    folder = root / "proc" / str(pid)
    with suppress(OSError):
        kilobytes = re.findall(
            r"^(?:Pss|SwapPss): +(\d+)", (folder / "smaps_rollup").read_text(), re.MULTILINE
        )
        if kilobytes:
            return 1024 * sum(map(int, kilobytes))
    with suppress(OSError):
        status = (folder / "status").read_text()
        kilobytes = re.findall(r"^(?:RssAnon|RssShmem|VmSwap):\s+(\d+)", status, re.MULTILINE)
        return 1024 * sum(map(int, kilobytes))
    return 0


def _children(root: Path) -> dict[int, list[int]]:
    """Return the children of each process."""
    children: dict[int, list[int]] = {}
    for folder in (root / "proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):  # it has ended meanwhile
            parent = int((folder / "stat").read_bytes().rpartition(b")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    return children


def _meminfo(root: Path) -> dict[str, int]:
    """Return the figures of `/proc/meminfo`, in bytes."""
    with suppress(OSError):
        text = (root / "proc/meminfo").read_text()
        return {name: 1024 * int(kb) for name, kb in re.findall(r"^(\w+): +(\d+) kB", text, re.M)}
    return {}


def _memory_groups(root: Path) -> tuple[Path, ...]:
    """Return our control groups that may limit memory, the innermost first; either version's."""
    with suppress(OSError):
        groups: list[Path] = []
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, kind, name = line.split(":", 2)
            if kind not in ("", "memory"):
                continue
            mount = root / "sys/fs/cgroup" / kind
            folder = mount / name.lstrip("/")
            while folder.is_relative_to(mount):
                groups.append(folder)
                if folder == mount:
                    break
                folder = folder.parent
        return tuple(group for group in groups if group.is_dir())
    return ()


def _group_figures(groups: Collection[Path]) -> Iterator[tuple[int, int]]:
    """Yield limit and use of each control group that has a limit, in bytes.

    Files that the kernel can drop at once do not count as used.
    """
    for group in groups:
        for limit_name, used_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError):  # no such file, or "max"
                limit = int((group / limit_name).read_text())
                used = int((group / used_name).read_text())
                found = re.search(
                    rf"^{cache_name} (\d+)", (group / "memory.stat").read_text(), re.MULTILINE
                )
                yield limit, used - (int(found[1]) if found else 0)
