"""`tuning doctor`: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click

from tuning.cli.checks import Check, examine, state_folder
from tuning.cli.state.faults import faults_of
from tuning.cli.sync import sync as sync_command
from tuning.errors import MissingError, TuningError

_STYLES = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}


@click.command("doctor")
@click.option(
    "--deep",
    is_flag=True,
    help="A look at what TensorFlow sees, too, in a process of its own.",
)
@click.option("--fix", is_flag=True, help="A repair of what can be mended of the state folder.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of lines.")
def doctor(deep: bool, fix: bool, as_json: bool) -> int:
    """Check Python, libraries, devices and the state folder.

    With --fix damaged files are set aside, never deleted, what killed processes were writing is
    removed, modes are set right, and databases that are damaged or behind are written from the
    ledger. What only you can decide stays, with what to do.

    Ends with 3 where something needed is missing.

    \b
    Example:
      python -m tuning doctor --deep
    """
    if fix:
        _mend(state_folder())
    checks = examine(deep=deep)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks]))
    else:
        _print(checks)

    has_failed = any(check.state == "FAIL" for check in checks)
    return MissingError.exit_code if has_failed else 0


def _mend(home: Path) -> None:
    """Mend every fault that can be; say what was done."""

    def sync() -> str:
        sync_command.main(["--home", str(home)], standalone_mode=False)
        return "MLflow and Optuna's storage are written from the ledger"

    for fault in faults_of(home, sync):
        if fault.mend is None:
            continue
        try:
            click.echo(f"{fault.name}: {fault.mend()}", err=True)
        except (TuningError, OSError) as error:  # the others are mended all the same
            click.echo(f"{fault.name}: not mended: {error}", err=True)


def _print(checks: list[Check]) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(file=sys.stdout, soft_wrap=True)
    for check in checks:
        line = Text(f"{check.state:<5}", style=_STYLES[check.state])
        line.append(f"{check.name:<16}{check.found}", style="default")
        if check.advice:
            line.append(f"  → {check.advice}", style="default")
        console.print(line)
