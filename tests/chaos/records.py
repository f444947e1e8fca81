"""What campaigns have measured: one JSON line a life."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, kw_only=True)
class Record:
    """One life, or one run of tests.

    Attributes:
        campaign: Its name, or the tests that were run.
        rule: Of the specification.
        what: Was injected, in words.
        command: That does it again.
        injected: How often.
        lost, doubled, other: What was wrong, in words.
        recover_s: Of each injection, where it can be said.
        ended_s: Of each driver that was told to end.
        orphans_s: Until its workers were gone.
        seconds: Of the life.
        tests: How many were run, where it is a run of tests.
        at: Unix seconds.
        load: Of the machine at the end, processes that wanted a core.
        commit: Of the code.
    """

    campaign: str
    rule: str
    what: str
    command: str
    injected: int
    lost: tuple[str, ...] = ()
    doubled: tuple[str, ...] = ()
    other: tuple[str, ...] = ()
    recover_s: tuple[float, ...] = ()
    ended_s: tuple[float, ...] = ()
    orphans_s: tuple[float, ...] = ()
    seconds: float = 0.0
    tests: int = 0
    at: float = field(default_factory=time.time)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    commit: str = field(default_factory=lambda: commit())

    @property
    def is_well(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.lost or self.doubled or self.other)

    def append_to(self, path: Path) -> None:
        """Add a line; one write, so that campaigns may run beside each other."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "a") as file:
            file.write(json.dumps(asdict(self)) + "\n")

    @classmethod
    def from_line(cls, line: str) -> Self:
        """Rebuild from a line."""
        stored = json.loads(line)
        return cls(
            **{
                name: tuple(value) if isinstance(value, list) else value
                for name, value in stored.items()
            }
        )


def read_records(path: Path) -> Iterator[Record]:
    """Yield what a file holds, in its order."""
    if path.exists():
        yield from map(Record.from_line, path.read_text().splitlines())


def commit() -> str:
    """Return the short id of what is checked out, `+` where files differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(
            ["git", *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    changed = "+" if git("status", "--porcelain", "--", "tuning") else ""
    return git("rev-parse", "--short", "HEAD") + changed


def processor() -> str:
    """Return the processor's name and how many cores we may use."""
    names = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    cores = len(os.sched_getaffinity(0))
    return f"{names[0] if names else platform.machine()}, {cores} cores"
