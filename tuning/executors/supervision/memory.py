"""Memory in figures: what there is, what is left, what a trial uses, what the kernel has ended.

What is free is what `/proc/meminfo` and the limits of our control groups leave. What a trial uses
is the proportional share (PSS) of its worker and of all that it has started: pages that workers
share with their forkserver count once. Who is ended for it says `memory_guard`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path


def total_bytes(root: Path = Path("/")) -> int:
    """Return how much memory there is for this process: the box's, or its control group's limit."""
    limits = [limit for limit, *_ in _group_figures(memory_groups(root))]
    return min([_meminfo(root, "MemTotal"), *limits])


def available_bytes(root: Path = Path("/"), groups: Collection[Path] | None = None) -> int:
    """Return how much memory may still be taken before the kernel has to end a process."""
    if groups is None:
        groups = memory_groups(root)
    available = _meminfo(root, "MemAvailable")
    for limit, used, group, cache_name in _group_figures(groups):
        # The caches are asked for only where they matter: the kernel counts them up each time.
        if limit - used < available:
            available = min(available, limit - used + _droppable(group, cache_name))
    return max(0, available)


def limiting_groups(root: Path = Path("/")) -> tuple[Path, ...]:
    """Return our control groups that allow less memory than the box has."""
    total = _meminfo(root, "MemTotal")
    return tuple(
        group
        for group in memory_groups(root)
        if any(limit < total for limit, *_ in _group_figures([group]))
    )


def oom_kills(root: Path = Path("/")) -> int:
    """Return how many processes the kernel has ended for lack of memory, as far as we can see.

    Of our control group where it counts them, else of the whole box.
    """
    for group in memory_groups(root):
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


def _meminfo(root: Path, name: str) -> int:
    """Return a figure of `/proc/meminfo`, in bytes; a very large one where there is none."""
    with suppress(OSError):
        text = (root / "proc/meminfo").read_text()
        found = re.search(rf"^{name}: +(\d+) kB", text, re.MULTILINE)
        if found is not None:
            return 1024 * int(found[1])
    return 1 << 60


def memory_groups(root: Path = Path("/")) -> tuple[Path, ...]:
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


def _group_figures(groups: Collection[Path]) -> Iterator[tuple[int, int, Path, str]]:
    """Yield limit and use in bytes, folder, and the name of its caches, of each limited group."""
    for group in groups:
        for limit_name, used_name, cache_name in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            with suppress(OSError, ValueError):  # no such file, or "max"
                limit = int((group / limit_name).read_text())
                used = int((group / used_name).read_text())
                yield limit, used, group, cache_name


def _droppable(group: Path, cache_name: str) -> int:
    """Return how many bytes of files a group counts as used that the kernel can drop at once."""
    with suppress(OSError):
        text = (group / "memory.stat").read_text()
        found = re.search(rf"^{cache_name} (\d+)", text, re.MULTILINE)
        return int(found[1]) if found else 0
    return 0
