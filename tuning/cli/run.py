"""`tuning run`: search one study, or continue its search."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import click

from tuning.errors import StudyError, did_you_mean

if TYPE_CHECKING:
    from tuning.executors.forkserver import ForkServer
    from tuning.study.study import Study

_SEED_LIMIT = 2**32 - 1
_TABLES = (".csv", ".csv.gz", ".parquet")
_NOT_BY_SET = ("name", "builder", "data", "objective", "space", "fixed", "intervals")


def seconds(text: str) -> float:
    """Return seconds of `90m`, `2h`, `30s`, `1h30m` or a plain number of seconds.

    Raises:
        click.BadParameter: Anything else.
    """
    found = re.fullmatch(
        r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s?)?", text.strip()
    )
    if (
        not text.strip()
        or found is None
        or (text.strip()[-1].isdigit() and re.search("[hm]", text))
    ):  # 1h30: of what?
        raise click.BadParameter(f"{text!r} is no time; write 90m, 2h, 1h30m or seconds")
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def _seconds(ctx: click.Context, option: click.Parameter, text: str | None) -> float | None:
    return None if text is None else seconds(text)


def _options(*options: Callable[..., Any]) -> Callable[..., Any]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


_of_study = _options(
    click.option("--target", help="Of a table: the column to be predicted."),
    click.option("--task", help="Of a table: regression, binary or multiclass."),
    click.option(
        "--engine", help="Who proposes, e.g. optuna:tpe, gridsearchcv, keras-tuner:hyperband."
    ),
    click.option(
        "--pruner", help="Stop bad trials early: none, median, asha, hyperband (Optuna's engines)."
    ),
    click.option(
        "--trials", type=click.IntRange(1), help="Finish this many trials, rungs counted."
    ),
    click.option("--epochs", type=click.IntRange(1), help="Most epochs of a trial."),
    click.option(
        "--timeout",
        callback=_seconds,
        metavar="TIME",
        help="Begin no trial after this: 90m, 2h, 45s.",
    ),
    click.option("--cv", type=click.IntRange(2), help="Folds of each trial."),
    click.option(
        "--seed",
        type=click.IntRange(0, _SEED_LIMIT),
        help="Of the study: splits, engine, training.",
    ),
    click.option(
        "--top-k", type=click.IntRange(1), help="Best trials to train again on fresh seeds."
    ),
    click.option("--seeds", type=click.IntRange(1), help="Fresh seeds for each of these."),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="Change any other field of the study.",
    ),
)
_of_run = _options(
    click.option(
        "--devices", default="auto", show_default=True, help="auto, cpu, cpu:2, gpu, or GPUs: 0,1."
    ),
    click.option(
        "--executor",
        default="local",
        show_default=True,
        help="Who runs the trials: local, inprocess, or another package's.",
    ),
    click.option(
        "--deterministic",
        is_flag=True,
        help="Same devices, same trials; with a pruner one at a time.",
    ),
    click.option("--fresh", is_flag=True, help="Set an earlier search aside and begin anew."),
    click.option(
        "--allow-change", is_flag=True, help="Go on although the study changed, as a new version."
    ),
    click.option(
        "--json", "as_json", is_flag=True, help="Print one JSON object as the last line of stdout."
    ),
    click.option("--quiet", is_flag=True, help="Say nothing but errors and the result."),
)


@click.command("run")
@click.argument("study")
@_of_study
@_of_run
def run(study: str, settings: tuple[str, ...], as_json: bool, quiet: bool, **given: Any) -> int:
    """Search STUDY, a name from studies/, a path to a study file or a table, or go on with its
    search.

    The same command again continues where it was interrupted; nothing finished is trained twice.

    \b
    Examples:
      python -m tuning run housing
      python -m tuning run housing --engine keras-tuner:hyperband --trials 30 --devices cpu:2
      python -m tuning run housing --set patience=5 --set batch_size=64 --timeout 30m --json
      python -m tuning run path/to/table.csv --target survived --task binary
    """
    from tuning.executors.forkserver import ForkServer

    searched, changes = checked(study, settings, given)
    with ForkServer() as forkserver:  # imports TensorFlow while this process imports the rest
        return _searched(searched, changes, forkserver, as_json=as_json, quiet=quiet)


def checked(
    study: str, settings: tuple[str, ...], given: Mapping[str, Any]
) -> tuple[str | Study, dict[str, Any]]:
    """Return the study or its name and the arguments of `RunOptions`; `given`: the other options of
    the command.

    Raises:
        StudyError: Options exclude each other, or one is wrong.
    """
    from tuning.executors.executor_spec import executor_spec

    executor_spec(given["executor"])
    if given["fresh"] and given["allow_change"]:
        raise StudyError(
            "--fresh and --allow-change exclude each other: begin anew, or go on with a changed study"
        )
    asked = dict(given)
    table = {name: asked.pop(name) for name in ("target", "task")}
    searched = (
        _table(study, table) if study.lower().endswith(_TABLES) or any(table.values()) else study
    )
    return searched, _split(asked, settings)


def _searched(
    study: str | Study,
    changes: Mapping[str, Any],
    forkserver: ForkServer,
    *,
    as_json: bool,
    quiet: bool,
) -> int:
    """Run the search and print how it ended; return the exit code."""
    from rich.console import Console

    from tuning.errors import SearchFailed
    from tuning.reports.progress import choose_progress
    from tuning.reports.tables import summary as print_summary
    from tuning.search.options import RunOptions
    from tuning.search.run import run_study

    options, log = RunOptions(**changes), Console(stderr=True)
    failure: SearchFailed | None = None
    try:
        summary = run_study(study, options, choose_progress(quiet, as_json, log), forkserver)
    except SearchFailed as error:
        if error.summary is None:
            raise
        summary, failure = error.summary, error
    for warning in summary.warnings if quiet else ():  # else the view has shown them
        print(warning, file=sys.stderr)
    if not (quiet and as_json):
        print_summary(log if as_json else Console(), summary)
    if as_json:
        print(json.dumps(summary.to_json()), flush=True)
    if failure is not None:
        print(failure, file=sys.stderr)
        return failure.exit_code
    return {"interrupted": 130, "terminated": 143}.get(summary.status, 0)


def _table(path: str, table: Mapping[str, str | None]) -> Study:
    from tuning.search.table_study import table_study

    if not path.lower().endswith(_TABLES):
        raise StudyError(
            f"--target and --task are for tables ({', '.join(_TABLES)}); {path!r} is none"
        )
    return table_study(path, target=table["target"], task=table["task"])


def _split(given: Mapping[str, Any], settings: tuple[str, ...]) -> dict[str, Any]:
    """Return `RunOptions` arguments: what changes the study's definition, its budgets, and the
    rest.
    """
    asked = {name: value for name, value in given.items() if value is not None}
    changes = {name: asked.pop(name) for name in (*_DEFINITION, *_BUDGETS) if name in asked}
    clashes = sorted(changes.keys() & (named := parse_settings(settings)).keys())
    if clashes:
        raise StudyError(
            f"'{clashes[0]}' is given twice: by --{clashes[0].replace('_', '-')} and by --set"
        )
    changes |= named
    budget = {name: value for name, value in changes.items() if name in _BUDGETS}
    variant = {name: value for name, value in changes.items() if name not in _BUDGETS}
    return {**asked, "variant": variant, "budget": budget}


_DEFINITION = ("engine", "pruner", "epochs", "cv", "seed")
_BUDGETS = (
    "trials",
    "timeout",
    "top_k",
    "seeds",
    "trial_timeout",
    "no_progress_timeout",
    "attempts",
    "max_failures",
)


def parse_settings(settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of `--set name=value`; values are JSON where they can be, else text.

    Raises:
        StudyError: Not of this form, no field of a study, or one that only the study file can set.
    """
    from dataclasses import fields

    from tuning.study.study import Study

    known = [f.name for f in fields(Study) if f.name not in _NOT_BY_SET]
    found: dict[str, Any] = {}
    faults = []
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            faults.append(f"--set {setting!r} is not of the form name=value")
        elif name in _NOT_BY_SET:
            faults.append(f"--set cannot change '{name}'; edit the study file")
        elif name not in known:
            faults.append(
                f"a study has no '{name}'.{did_you_mean(name, known)} --set takes: {', '.join(known)}"
            )
        elif name in found:
            faults.append(f"--set {name} is given twice")
        else:
            found[name] = _value(text)
    if faults:
        raise StudyError(faults, where="arguments")
    return found


def _value(text: str) -> Any:
    try:
        return json.loads({"None": "null", "True": "true", "False": "false"}.get(text, text))
    except ValueError:
        return text
