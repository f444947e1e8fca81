"""`tuning doctor`: what this machine has, what is missing, and what to do about it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import click

from tuning.cli.checks import Check, examine
from tuning.errors import MissingError

_STYLES = {"ok": "green", "warn": "yellow", "FAIL": "bold red"}


@click.command("doctor")
@click.option(
    "--deep",
    is_flag=True,
    help="Also start TensorFlow in a process of its own and ask what it sees.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list instead of lines.")
def doctor(deep: bool, as_json: bool) -> int:
    """Check Python, libraries, devices and the state folder.

    Ends with 3 where something needed is missing.

    \b
    Example:
      python -m tuning doctor --deep
    """
    checks = examine(deep=deep)
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks]))
    else:
        _print(checks)

    has_failed = any(check.state == "FAIL" for check in checks)
    return MissingError.exit_code if has_failed else 0


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
