"""Ten drivers start one study at once on an empty home: one runs, nine say who does."""

from __future__ import annotations

import subprocess
import time
from collections import Counter
from pathlib import Path

from tests.chaos.command import Command
from tests.chaos.lives import Life
from tests.chaos.nothing_lost import nothing_lost
from tests.chaos.plans import Plan

DRIVERS = 10
_LIMIT_S = 600.0


def start_at_once(plan: Plan, folder: Path) -> Life:
    """Do it once; a hit is a driver that had to be refused."""
    began = time.monotonic()
    commands = [Command(folder, plan.words) for _ in range(DRIVERS)]
    for command in commands:
        command.start()
    life = Life()
    try:
        codes = Counter(_exit_code(command) for command in commands)
        if codes != {0: 1, 75: DRIVERS - 1}:
            life.findings.other.append(f"exit codes {dict(codes)}")
        if commands[0].output.count("on ") < DRIVERS - 1:
            life.findings.other.append(f"the holder is not named: {commands[0].output[-500:]}")
        commands[0].wait_for_orphans(60.0, with_writer=True)
        found = nothing_lost(commands[0].home, commands[0].leases, trials=plan.trials)
        life.findings.lost += found.lost
        life.findings.doubled += found.doubled
        life.findings.other += found.other
    finally:
        commands[0].kill_all()
    life.hits = [(0.0, "start")] * (DRIVERS - 1)
    life.seconds = time.monotonic() - began
    return life


def _exit_code(command: Command) -> int:
    if command.process is None:
        raise RuntimeError("it was not started")
    try:
        return command.process.wait(_LIMIT_S)
    except subprocess.TimeoutExpired:
        command.process.kill()
        return command.process.wait()
