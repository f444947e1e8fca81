"""Slots of a real search come and go at random, and its parts are killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import psutil

from tests.chaos.command import Command
from tests.chaos.lives import Life
from tests.chaos.plans import Plan
from tests.chaos.traces import check_traces
from tests.chaos.whole import check_whole
from tests.faults.processes import processes_of
from tuning.search.slots.requests import write_request

DEVICES = 8
_EPOCHS = 60
_WRITER_S = 120.0
_EPOCH_S = 3.0  # longest wait for an epoch: without a slot there is none
# Of a hundred rounds so many; slots are changed in the others.
_KILLS = {"worker": 30, "forkserver": 3, "engine": 3, "driver": 1}
_NONE = 0.06
_BY_HAND = 0.1


def resized_life(
    plan: Plan, folder: Path, chance: random.Random, *, rounds: int, reference: Any
) -> Life:
    """Change and kill until the search has ended or there were enough rounds; then compare.

    Args:
        plan: What is run.
        folder: New; everything is in it.
        chance: Of what is done and when.
        rounds: At most.
        reference: What an undisturbed search came to.
    """
    return _Resizing(plan, folder, chance).run(rounds, reference)


class _Resizing:
    def __init__(self, plan: Plan, folder: Path, chance: random.Random) -> None:
        self._plan = plan
        self._chance = chance
        self._traces = folder / "traces"
        self._traces.mkdir(parents=True)
        self._command = Command(folder, plan.words, **plan.environment, TRACES=str(self._traces))
        self._killed: set[int] = set()
        self._progress = (0, 0)  # when a part that all depend on was killed last
        self._life = Life()

    def run(self, rounds: int, reference: Any) -> Life:
        began = time.monotonic()
        try:
            process = self._command.start()
            while len(self._life.hits) < rounds and process.poll() is None:
                time.sleep(self._chance.uniform(*self._plan.pause_s))
                self._wait_for_an_epoch()
                process = self._round(process)
            self._let_end(process)
            self._check(reference)
        except Exception as error:  # the record must say so, and further lives go on
            self._life.findings.other.append(f"{type(error).__name__}: {error}"[:600])
        finally:
            self._command.kill_all()
            self._life.seconds = time.monotonic() - began
        return self._life

    def _wait_for_an_epoch(self) -> None:
        """Let somebody train, or slots would change faster than workers begin on a busy box."""
        until = time.monotonic() + _EPOCH_S
        before = self._n_bytes_traced()
        while self._n_bytes_traced() == before and time.monotonic() < until:
            time.sleep(0.1)

    def _n_bytes_traced(self) -> int:
        paths = self._command.home.glob("ledger/*/*/trials/*/callbacks-0/epochs")
        return sum(path.stat().st_size for path in paths)

    def _round(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        """Do one thing; return the process of the command, which may be a new one."""
        search = self._search
        if search is None:
            return process  # it is still beginning
        (part,) = self._chance.choices(
            [*_KILLS, "slots"], [*_KILLS.values(), 100 - sum(_KILLS.values())]
        )
        if part not in ("slots", "worker"):
            # A part that is killed again before it has done anything is given up, as it should be.
            progress = self._progress_of(search)
            if progress == self._progress:
                part = "slots"
            self._progress = progress
        if part == "slots":
            self._change(search, process.pid)
        elif part == "driver":
            self._note_workers(process.pid)
            process.send_signal(signal.SIGKILL)
            process.wait()
            self._command.wait_for_orphans(30.0)
            process = self._command.start()
        elif not self._kill(process.pid, part):
            return process
        self._life.hits.append((time.time(), part))
        return process

    def _progress_of(self, search: Path) -> tuple[int, int]:
        """Return what only grows where all parts do their work.

        Trials that were asked for: results are written while an engine is still being begun.
        """
        n_asked = len(list(search.glob("trials/*/spec.json")))
        n_ended = 0
        if n_asked == self._plan.trials:
            n_ended = len(list(search.glob("trials/*/result.json")))
        return n_asked, n_ended

    def _change(self, search: Path, pid: int) -> None:
        """Have it work on other slots; sometimes by hand and a signal, as a user would."""
        count = 0 if self._chance.random() < _NONE else self._chance.randint(1, DEVICES)
        chosen = sorted(self._chance.sample(range(DEVICES), count))
        devices = ",".join(map(str, chosen)) or "none"
        if self._chance.random() < _BY_HAND and _listens(pid):
            (search / "slots.request").write_text(devices)
            os.kill(pid, signal.SIGUSR1)
        else:
            write_request(search, devices)

    def _kill(self, driver: int, part: str) -> bool:
        found = processes_of(driver, part)
        if not found:
            return False
        if part == "forkserver":
            self._note_workers(driver)
        process = self._chance.choice(found)
        self._killed.add(process.pid)
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            return False
        return True

    def _note_workers(self, driver: int) -> None:
        """They end with what is killed now."""
        self._killed |= {process.pid for process in processes_of(driver, "worker")}

    @property
    def _search(self) -> Path | None:
        """The folder of the search, once it has a worker's trace."""
        if not any(self._traces.glob("device-*")):
            return None
        return next(path.parent for path in self._command.home.glob("ledger/*/*/search.json"))

    def _let_end(self, process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None and self._search is not None:
            write_request(self._search, "auto")
        code = process.wait(self._plan.limit_s)
        if code != 0:
            tail = self._command.output[-600:]
            self._life.findings.other.append(f"exit code {code} in place of 0: {tail}")
        if self._command.wait_for_orphans(_WRITER_S, with_writer=True) is None:
            self._life.findings.other.append(f"a writer is still there after {_WRITER_S} s")

    def _check(self, reference: Any) -> None:
        findings = self._life.findings
        check_whole(self._plan, self._command, findings, reference)
        search = self._search
        if search is None:
            findings.lost.append("nothing was trained")
            return
        n_taken_up = check_traces(
            self._traces, search, findings, killed=self._killed, epochs=_EPOCHS
        )
        # A campaign in which no trial ever moved has shown nothing.
        if len(self._life.hits) >= 20 and n_taken_up == 0:
            findings.other.append("no trial was taken up elsewhere")


def _listens(pid: int) -> bool:
    """Whether a process has a handler for SIGUSR1: Python has none while it starts."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (signal.SIGUSR1 - 1) & 1)
