"""`python -m tests.chaos NAME…`: faults against real commands; one JSON line a life."""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.at_once import start_at_once
from tests.chaos.by_tests import run_tests
from tests.chaos.command import Command
from tests.chaos.document import write_document
from tests.chaos.lives import Life, live
from tests.chaos.plans import PLANS, Plan
from tests.chaos.records import ROOT, Record, read_records
from tests.chaos.resize import resized_life
from tests.chaos.whole import outcome_of

_COMMAND = "python -m tests.chaos"
RECORDS = ROOT / "mlruns" / "chaos.jsonl"


def run_campaign(name: str, times: int, seed: int, records: Path, folder: Path) -> bool:
    """Live until a campaign has injected its faults; return whether nothing was wrong."""
    plan = PLANS[name]
    chance = random.Random(f"{name} {seed}")
    # A soak ends by the clock, not by a number.
    minutes = float(os.environ.get("SOAK_MINUTES") or "30")
    until = time.monotonic() + 60.0 * minutes if name == "soak" else math.inf
    reference = _undisturbed(plan, folder / "undisturbed") if plan.is_repeatable else None
    injected = 0
    is_well = True
    # A command may end before a fault comes; not for ever.
    for number in range(3 + times):
        if injected >= times or time.monotonic() >= until:
            break
        home = folder / f"{name}-{number}"
        if plan.kind == "at-once":
            life = start_at_once(plan, home)
        elif plan.kind == "resize":
            rounds = min(plan.hits, times - injected)
            life = resized_life(plan, home, chance, rounds=rounds, reference=reference)
        else:
            hits = min(plan.hits, times - injected)
            life = live(plan, home, chance, hits=hits, reference=reference, until=until)
        injected += len(life.hits)
        words = f"make soak SOAK_MINUTES={minutes:g}" if name == "soak" else f"{_COMMAND} {name}"
        record = _record(name, plan, life, words)
        record.append_to(records)
        _say(record, injected, times)
        is_well = is_well and record.is_well
    return is_well and (injected >= times or time.monotonic() >= until)


def _undisturbed(plan: Plan, folder: Path) -> Any:
    command = Command(folder, plan.words, **_devices_of(plan))
    code = command.finish(plan.limit_s)
    command.kill_all()
    if code != 0:
        raise RuntimeError(f"an undisturbed command ended with {code}: {command.output[-2000:]}")
    return outcome_of(command.home)


def _devices_of(plan: Plan) -> dict[str, str]:
    """Return what an undisturbed search needs of the plan's environment."""
    return {name: each for name, each in plan.environment.items() if name == "TUNING_DEVICES"}


def _record(name: str, plan: Plan, life: Life, command: str) -> Record:
    findings = life.findings
    return Record(
        campaign=name,
        rule=plan.rule,
        what=plan.what,
        command=command,
        injected=len(life.hits),
        lost=tuple(findings.lost),
        doubled=tuple(findings.doubled),
        other=tuple(findings.other),
        recover_s=tuple(life.recover_s),
        ended_s=tuple(life.ended_s),
        orphans_s=tuple(life.orphans_s),
        seconds=life.seconds,
    )


def _say(record: Record, injected: int, times: int) -> None:
    verdict = "well" if record.is_well else "WRONG"
    print(
        f"{record.campaign}: {injected} of {times}, {record.seconds:.0f} s, {verdict}", flush=True
    )
    for words in (*record.lost, *record.doubled, *record.other):
        print(f"    {words}", flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Run campaigns one after the other; return 1 where something was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or: {', '.join(PLANS)}")
    parser.add_argument(
        "--times", "--rounds", type=int, help="injections; default: as the plan says"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--records", type=Path, default=RECORDS)
    parser.add_argument("--keep", type=Path, help="keep the homes there")
    parser.add_argument("--fresh", action="store_true", help="forget earlier records")
    parser.add_argument("--tests", nargs="*", metavar="RULE", help="run tests too; of all rules")
    parser.add_argument("--write", action="store_true", help="write docs/reliability.md at the end")
    given = parser.parse_args(arguments)
    if "all" in given.names:
        rest = [name for name in given.names if name != "all"]
        given.names = [*(name for name in PLANS if name != "soak"), *rest]
    unknown = [name for name in given.names if name not in PLANS]
    if unknown:
        parser.error(f"no campaign {unknown}; there are: {', '.join(PLANS)}")

    if given.fresh:
        given.records.unlink(missing_ok=True)
    is_well = True
    for name in given.names:
        with tempfile.TemporaryDirectory(prefix="chaos-") as scratch:
            folder = (given.keep or Path(scratch)) / name
            times = given.times or PLANS[name].times
            is_well &= run_campaign(name, times, given.seed, given.records, folder)
    if given.tests is not None:
        is_well &= run_tests(given.records, given.tests)
    if given.write:
        write_document(list(read_records(given.records)))
    return 0 if is_well else 1


if __name__ == "__main__":
    sys.exit(main())
