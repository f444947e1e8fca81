"""One life of a search: faults hit it until it is over, then everything is compared."""

from __future__ import annotations

import hashlib
import json
import math
import os
import random
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.command import Command
from tests.chaos.disk import fill, mount, unmount
from tests.chaos.nothing_lost import Findings
from tests.chaos.plans import Fault, Plan
from tests.chaos.stores import make_store
from tests.chaos.whole import check_whole, n_bad, trials_of
from tests.faults.processes import processes_of

_ORPHANS_S = 30.0
_WRITER_S = 120.0
_DOWN_S = (2.0, 6.0)
_START_SHARE = 0.2
_LONGEST_START_S = 8.0
_TICK_S = 0.05


@dataclass
class Life:
    """What happened.

    Attributes:
        hits: When a fault was injected, Unix seconds, and which.
        findings: What is wrong at the end.
        recover_s: Of each hit: until the end of the first trial that began after it, or of the
            command where none did.
        ended_s: Of each driver that was told to end: how long it took.
        orphans_s: After each end of a driver: until its workers were gone.
        seconds: In all.
    """

    hits: list[tuple[float, str]] = field(default_factory=list)
    findings: Findings = field(default_factory=Findings)
    recover_s: list[float] = field(default_factory=list)
    ended_s: list[float] = field(default_factory=list)
    orphans_s: list[float] = field(default_factory=list)
    seconds: float = 0.0


def live(
    plan: Plan,
    folder: Path,
    chance: random.Random,
    *,
    hits: int,
    reference: Any = None,
    until: float = math.inf,
) -> Life:
    """Hit one search until it ends or was hit often enough, then let it end and compare.

    Args:
        plan: What is done.
        folder: New; everything is in it.
        chance: Of the moments.
        hits: So many at most.
        reference: What an undisturbed search came to; None: not compared.
        until: No fault after this, on the monotonic clock.
    """
    return _Living(plan, folder, chance, hits=hits, until=until).run(reference)


class _Living:
    def __init__(
        self, plan: Plan, folder: Path, chance: random.Random, *, hits: int, until: float
    ) -> None:
        self._plan = plan
        self._chance = chance
        self._most = hits
        self._until = until
        self._store = make_store(plan.store, folder / "home")
        told = {} if self._store is None else self._store.environment
        self._command = Command(folder, plan.words, **plan.environment, **told)
        self._life = Life()
        self._kept: dict[Path, str] = {}
        self._ends: list[float] = []  # of commands that ended by themselves

    def run(self, reference: Any) -> Life:
        began = time.monotonic()
        try:
            self._prepare()
            self._disturb()
            self._let_end()
            check_whole(self._plan, self._command, self._life.findings, reference)
        except Exception as error:  # the record must say so, and further lives go on
            self._life.findings.other.append(f"{type(error).__name__}: {error}"[:600])
        finally:
            self._command.kill_all()
            if self._store is not None:
                self._store.close()
            self._life.seconds = time.monotonic() - began
            if not self._plan.faults:
                self._count_hits_of_hook()
            self._life.recover_s = self._recoveries()
            if self._plan.disk_mb is not None:
                unmount(self._command.home)
        return self._life

    def _prepare(self) -> None:
        if self._plan.disk_mb is not None:
            mount(self._command.home, self._plan.disk_mb)
        if self._store is not None:
            self._store.start()
        if not self._plan.first:
            return
        code = self._command.finish(self._plan.limit_s, *self._plan.first)
        if code != 0:
            raise RuntimeError(f"the first command ended with {code}: {self._command.output}")
        self._command.wait_for_orphans(_WRITER_S, with_writer=True)
        for name in self._plan.removes:
            (self._command.home / name).unlink()

    def _disturb(self) -> None:
        """Start the command again and again until it has ended by itself or was hit enough."""
        if not self._plan.faults:
            self._run_into_failpoints()
            return
        hits_driver_only = all(fault.ends_command for fault in self._plan.faults)
        while len(self._life.hits) < self._most and time.monotonic() < self._until:
            process = self._command.start()
            if hits_driver_only:
                over = self._hit_once(process)
            else:
                over = self._hit_again_and_again(process)
            if over:
                return
            self._look_at_files()

    def _run_into_failpoints(self) -> None:
        """Give the command again until it ends well; hang-ups are findings."""
        for _ in range(4 * self._most):
            process = self._command.start()
            code = process.wait(self._plan.limit_s)
            if code == 0:
                self._ends.append(time.time())
                return
            self._after_end(code, (-signal.SIGKILL,))
            if code != -signal.SIGKILL or len(self._command.failpoint_kills) >= self._most:
                return

    def _hit_once(self, process: subprocess.Popen[bytes]) -> bool:
        """Hit the command itself; return whether it had ended before."""
        if not self._wait_for_moment(process):
            self._ended_well(process)
            return True
        self._hit_command(process, self._chance.choice(self._plan.faults))
        return False

    def _hit_command(self, process: subprocess.Popen[bytes], fault: Fault) -> None:
        self._life.hits.append((time.time(), fault.words))
        told = time.monotonic()
        ballast = fill(self._command.home) if fault.part == "disk" else None
        for number in fault.signals:
            if fault.part == "everything":
                self._command.kill_all()
            elif process.poll() is None:
                os.kill(process.pid, number)
            if number != fault.signals[-1]:
                time.sleep(0.5)
        code = process.wait(self._plan.limit_s)
        took_s = time.monotonic() - told
        if ballast is not None:
            ballast.unlink()
        self._life.ended_s.append(took_s)
        if took_s > self._plan.ends_s:
            self._life.findings.other.append(f"{fault.words}: it took {took_s:.1f} s to end")
        # Where it was about to end anyhow, it may have.
        self._after_end(code, (*fault.exits, 0))

    def _after_end(self, code: int, expected: tuple[int, ...]) -> None:
        if code not in expected:
            self._life.findings.other.append(f"exit code {code}, not one of {expected}")
        orphans_s = self._command.wait_for_orphans(_ORPHANS_S)
        if orphans_s is None:
            left = [(each.pid, each.name()) for each in self._command.processes(with_writer=False)]
            self._life.findings.other.append(f"{_ORPHANS_S} s after the driver: {left} live")
        else:
            self._life.orphans_s.append(orphans_s)

    def _hit_again_and_again(self, process: subprocess.Popen[bytes]) -> bool:
        """Hit a running command and its parts; return whether it has ended by itself."""
        until = time.monotonic() + self._plan.limit_s + 30.0 * min(self._most, 50)
        next_at = time.monotonic() + self._pause()
        awaited = 0
        while process.poll() is None:
            time.sleep(_TICK_S)
            if len(self._finished_files()) < awaited:
                next_at = time.monotonic() + self._pause()
            now = time.monotonic()
            if now > until:
                raise TimeoutError(f"the command hangs; hits: {self._life.hits[-3:]}")
            if now < next_at or now > self._until or len(self._life.hits) >= self._most:
                continue
            fault = self._chance.choice(self._plan.faults)
            if fault.ends_command:
                self._hit_command(process, fault)
                return False
            if self._hit_part(process.pid, fault):
                next_at = time.monotonic() + self._pause()
                if self._plan.recovers:
                    awaited = len(self._finished_files()) + self._plan.recovers
        self._ended_well(process)
        return True

    def _hit_part(self, driver: int, fault: Fault) -> bool:
        if self._store is not None:
            self._life.hits.append((time.time(), fault.words))
            self._store.kill()
            time.sleep(self._chance.uniform(*_DOWN_S))
            self._store.start()
            return True
        found = processes_of(driver, fault.part)
        # One that is stopped already is not stopped again.
        found = [each for each in found if _state(each) not in ("", psutil.STATUS_STOPPED)]
        if not found:
            return False
        process = self._chance.choice(found)
        for number in fault.signals:
            try:
                process.send_signal(number)
            except psutil.NoSuchProcess:
                return False
        self._life.hits.append((time.time(), fault.words))
        return True

    def _wait_for_moment(self, process: subprocess.Popen[bytes]) -> bool:
        """Wait for a random moment; return False where the command ended before it."""
        if self._plan.from_start is not None:
            return self._sleep(process, self._chance.uniform(*self._plan.from_start))
        if self._chance.random() < _START_SHARE:
            return self._sleep(process, self._chance.uniform(0.1, _LONGEST_START_S))
        before = len(self._finished_files())
        trials = self._plan.trials
        while process.poll() is None:
            n_finished = len(self._finished_files())
            if n_finished > before or (trials is not None and n_finished >= trials):
                break
            if self._plan.kind == "lr-range" and processes_of(process.pid, "worker"):
                break
            time.sleep(_TICK_S)
        return self._sleep(process, self._pause())

    def _sleep(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        until = time.monotonic() + seconds
        while process.poll() is None:
            if time.monotonic() >= until:
                return True
            time.sleep(0.01)
        return False

    def _pause(self) -> float:
        return self._chance.uniform(*self._plan.pause_s)

    def _ended_well(self, process: subprocess.Popen[bytes]) -> None:
        code = process.wait()
        if code == 0:
            self._ends.append(time.time())
        else:
            tail = self._command.output[-600:]
            self._life.findings.other.append(f"exit code {code} in place of 0: {tail}")

    def _let_end(self) -> None:
        """Give the command once more, undisturbed, and wait for its writer.

        Not where it has ended well, unless its writer was hit: then it still has to write.
        """
        self._look_at_files()
        if not self._ends or self._plan.rule in ("F4", "F28") or self._hit_the_writer():
            quiet = {"CHAOS_FAILPOINT": ""} if "CHAOS_FAILPOINT" in self._plan.environment else {}
            process = self._command.start(**quiet)
            process.wait(self._plan.limit_s)
            self._ended_well(process)
        if self._command.wait_for_orphans(_WRITER_S, with_writer=True) is None:
            self._life.findings.other.append(f"a writer is still there after {_WRITER_S} s")
        if self._plan.kind == "search" and list(self._command.home.glob("ledger/*/*/writer.json")):
            self._sync()
        self._look_at_files()

    def _hit_the_writer(self) -> bool:
        return any("writer" in words for _, words in self._life.hits)

    def _sync(self) -> None:
        """Have written what a writer that was killed in the background left."""
        process = self._command.start("sync", CHAOS_FAILPOINT="")
        code = process.wait(self._plan.limit_s)
        if code != 0:
            self._life.findings.other.append(f"`tuning sync` ended with {code}")

    def _look_at_files(self) -> None:
        """Whatever was durable stays as it was."""
        for path, digest in self._kept.items():
            if _digest(path) != digest:
                self._life.findings.lost.append(f"{path.parent.name}/{path.name} has changed")
        self._kept = {path: _digest(path) for path in self._finished_files()}

    def _finished_files(self) -> list[Path]:
        return trials_of(self._command.home)

    def _count_hits_of_hook(self) -> None:
        point = self._plan.environment.get("CHAOS_FAILPOINT")
        if point is not None:
            self._life.hits += [(at, point) for at in self._command.failpoint_kills]
        elif self._plan.kind == "bad":
            self._life.hits += [(0.0, "trial")] * n_bad(self._command.home)
        else:  # the clock steps once in 0.7 s
            self._life.hits += [(0.0, "step")] * int(self._life.seconds / 0.7)

    def _recoveries(self) -> list[float]:
        """Return of each hit how long it took until a trial that began after it ended."""
        spans = []
        for path in self._finished_files():
            stored = json.loads(path.read_bytes())
            spans.append((stored["started_at"], stored["ended_at"]))
        recoveries = []
        times = [at for at, _ in self._life.hits]
        for at, next_at in zip(times, [*times, math.inf][1:], strict=True):
            later = [ended for started, ended in spans if started > at]
            later += [end for end in self._ends if end > at]
            # Where the next one came before, this one cannot be told from it.
            if at and later and min(later) < next_at:
                recoveries.append(min(later) - at)
        return recoveries


def _state(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.Error:
        return ""


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return ""
