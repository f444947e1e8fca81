"""`tuning reproduce`: a trial or a winner trained again from its record, and compared."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tuning.cli.common.home import home

if TYPE_CHECKING:
    from tuning.reproduction.comparison import Comparison, Figure

_MOST_SHOWN = 3


@click.command("reproduce")
@click.argument("search")
@click.argument("trial", type=click.IntRange(0), required=False)
@click.option(
    "--devices",
    default="",
    metavar="DEVICES",
    help="The device to train on. [default: one slot of the kind that it was trained on]",
)
@click.option("--json", "as_json", is_flag=True, help="The answer as one line of JSON.")
@home
def reproduce(search: str, trial: int | None, *, devices: str, as_json: bool, home: Path) -> int:
    """Train TRIAL of SEARCH again from its record, or the winner on each of its fresh seeds.

    The parameters, the seed, the epochs and the kind of slot are those of the record; study and
    data are read anew, and nothing of the search is touched. The answer is "equal" (to the last
    digit), "within the spread" (no further apart than two seeds are in 19 of 20 cases) or
    "different"; then what differs in code, data, versions, device and seed. A SEARCH is named as in
    `tuning show`.

    The exit code is 1 where it is different.

    \b
    Examples:
      python -m tuning reproduce housing
      python -m tuning reproduce housing/optuna-tpe 7
    """
    from tuning.ledger.view.search_view import read_search
    from tuning.reproduction.comparison import Verdict
    from tuning.reproduction.run import reproduce_trial, reproduce_winner

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    view = read_search(home, search)

    def notice(text: str) -> None:
        click.echo(text, err=True)

    if trial is None:
        comparison = reproduce_winner(view, devices=devices, notice=notice)
    else:
        comparison = reproduce_trial(view, trial, devices=devices, notice=notice)
    if as_json:
        click.echo(json.dumps(comparison.to_json()))
    else:
        _print(comparison)
    return 1 if comparison.verdict is Verdict.DIFFERENT else 0


def _print(comparison: Comparison) -> None:
    from tuning.reproduction.comparison import Verdict

    verdict = comparison.verdict
    click.echo(f"{comparison.called}: {verdict}")
    click.echo(_shown(comparison.objective))
    unequal = [figure for figure in comparison.unequal if figure is not comparison.objective]
    for figure in unequal[:_MOST_SHOWN]:
        click.echo(f"  {_shown(figure)}")
    if len(unequal) > _MOST_SHOWN:
        click.echo(f"  and {len(unequal) - _MOST_SHOWN} more figures")
    if verdict is not Verdict.EQUAL:
        click.echo(_limit_text(comparison))

    for sentence in comparison.differences:
        click.echo(f"differs in {sentence}")
    if verdict is not Verdict.EQUAL and not comparison.differences:
        click.echo(
            "nothing that is recorded differs: it is another processor, or a training that gives "
            "another result each time"
        )


def _limit_text(comparison: Comparison) -> str:
    if not comparison.same_rows:
        return "values on other rows cannot be compared"
    if comparison.spread is None:
        return "how far seeds alone move it is not known: no winner has two fresh seeds"
    return f"by their seeds alone two such values may be {comparison.limit:.3g} apart"


def _shown(figure: Figure) -> str:
    recorded, again = _number(figure.recorded), _number(figure.again)
    if figure.is_equal:
        return f"{figure.name}: {recorded}, and again"
    return f"{figure.name}: {recorded}, now {again}"


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.10g}"
