"""`tuning run`: search one study, or continue its search."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click

from tuning.cli import options
from tuning.cli.common.early import refuse_engine
from tuning.cli.table_options import SUFFIXES, Words, flags_of, of_table, taken_out
from tuning.errors import StudyError, did_you_mean

if TYPE_CHECKING:
    from tuning.executors.devices.slots import Auto
    from tuning.executors.forkserver import ForkServer
    from tuning.reports.summary import Summary
    from tuning.search.options import RunOptions
    from tuning.study.study import Study

Fields: TypeAlias = Mapping[str, Any]
"""Fields of a study by name."""

_SEED_LIMIT = 2**32 - 1
_ONLY_IN_THE_FILE = (
    "name",
    "builder",
    "data",
    "objective",
    "objectives",
    "space",
    "fixed",
    "intervals",
)
_BUDGETS = (
    "trials",
    "timeout",
    "top_k",
    "seeds",
    "trial_timeout",
    "no_progress_timeout",
    "attempts",
    "max_failures",
    "winner_by",
)
"""Fields that may change while a search goes on; any other makes another search of the study."""

_of_study = options.together(
    click.option(
        "--engine",
        metavar="NAME",
        help=(
            "The engine, which proposes the trials: optuna:tpe, gridsearchcv, "
            "keras-tuner:hyperband, …"
        ),
    ),
    click.option(
        "--pruner",
        metavar="NAME",
        help=(
            "The pruner, which stops bad trials early: none, median, asha, hyperband (with "
            "Optuna's engines)."
        ),
    ),
    click.option(
        "--trials",
        type=click.IntRange(1),
        metavar="N",
        help="The number of trials to finish; rungs count, too.",
    ),
    click.option(
        "--epochs", type=click.IntRange(1), metavar="N", help="The most epochs of a trial."
    ),
    click.option(
        "--timeout",
        callback=options.read_seconds,
        metavar="TIME",
        help="The time after which no trial is begun: 90m, 2h, 45s.",
    ),
    click.option(
        "--cv", type=click.IntRange(2), metavar="N", help="The number of folds of each trial."
    ),
    click.option(
        "--split",
        metavar="KIND",
        help=(
            "The kind of split between training, validation and test set: random, stratified, "
            "time, group."
        ),
    ),
    click.option(
        "--seed",
        type=click.IntRange(0, _SEED_LIMIT),
        metavar="N",
        help="The seed of the study, for splits, engine and training.",
    ),
    click.option(
        "--top-k",
        type=click.IntRange(1),
        metavar="N",
        help="The number of the best trials that are trained again on fresh seeds.",
    ),
    click.option(
        "--seeds",
        type=click.IntRange(1),
        metavar="N",
        help="The number of fresh seeds for each of them.",
    ),
    click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="NAME=VALUE",
        help="A new value for any other field of the study.",
    ),
)
_of_run = options.together(
    options.places,
    click.option(
        "--engine-timeout",
        callback=options.read_seconds,
        metavar="TIME",
        help=(
            "The longest time for an answer of the engine, the check of the study among them. "
            "[default: 30m]"
        ),
    ),
    options.limits,
    options.until,
    options.yields,
    click.option(
        "--deterministic",
        is_flag=True,
        help="The same trials on the same devices; with a pruner one trial runs at a time.",
    ),
    click.option(
        "--from",
        "source",
        metavar="SEARCH",
        help=(
            "Another search to begin with: its best points come first, results of equal "
            "trials are taken over."
        ),
    ),
    click.option(
        "--fresh",
        is_flag=True,
        help="A new beginning; an earlier search of this name is set aside.",
    ),
    click.option(
        "--allow-change",
        is_flag=True,
        help="A search that goes on although the study changed, as a new version.",
    ),
    options.as_json,
    options.quiet,
)


@dataclass(frozen=True)
class RunPlan:
    """What the words of the command line ask for, checked.

    Attributes:
        study: A study's name or path; the study itself where it is made of a table.
        options: Of the run.
    """

    study: str | Study
    options: RunOptions


@click.command("run")
@click.argument("study")
@_of_study
@_of_run
@of_table
def run(study: str, *, as_json: bool, quiet: bool, **words: Any) -> int:
    """Search STUDY: a name from studies/, a path to a study file, or a table.

    The same command again continues where it was interrupted; no finished trial is trained twice.

    \b
    Examples:
      python -m tuning run housing
      python -m tuning run housing --engine keras-tuner:hyperband --trials 30 --devices cpu:2
      python -m tuning run housing --set patience=5 --set batch_size=64 --timeout 30m --json
      python -m tuning run path/to/table.csv --target survived --task binary
    """
    from tuning.executors.forkserver import ForkServer

    plan = check_run(study, **words)
    # It imports TensorFlow while this process imports the rest, where there is something to train.
    with closing(ForkServer()) if _may_have_ended(plan) else ForkServer() as forkserver:
        return _search(plan, forkserver, as_json=as_json, quiet=quiet)


def _may_have_ended(plan: RunPlan) -> bool:
    """Whether the search has probably ended; whether its home is right is told later."""
    if not plan.options.goes_on:
        return False
    home = Path(os.environ.get("TUNING_HOME") or "mlruns").absolute()
    # Before the first search of a home nothing is imported for it.
    if next(home.glob("ledger/*/*/status.json"), None) is None:
        return False
    from tuning.search.ended.likely import has_likely_ended

    return has_likely_ended(
        plan.study, home, variant=plan.options.variant, budget=plan.options.budget
    )


def check_run(
    study: str,
    *,
    target: str | None,
    task: str | None,
    settings: tuple[str, ...],
    fresh: bool,
    allow_change: bool,
    devices: str,
    executor: str,
    engine_timeout: float | None,
    ray_address: str | None = None,
    slots_per_gpu: int | Auto | None = None,
    memory_per_slot: int | None = None,
    quota: int | None = None,
    gpu_hours: float | None = None,
    cpu_hours: float | None = None,
    until: str | None = None,
    yields: bool = False,
    deterministic: bool,
    source: str | None,
    **fields: Any,
) -> RunPlan:
    """Return what is to be run.

    Args:
        study: As on the command line.
        target, task: Of a table.
        settings: Each `NAME=VALUE` of `--set`.
        fresh, allow_change, devices, executor, engine_timeout: As in `RunOptions`.
        ray_address: As in `RunOptions`.
        slots_per_gpu: Slots on each GPU, or `auto`; None: one, or as `devices` says.
        memory_per_slot, quota, until, yields, deterministic, source: As in `RunOptions`.
        fields: Fields of the study that have an option of their own; None: not changed. Those of a
            table are among them.

    Raises:
        StudyError: Options exclude each other, or one is wrong.
        MissingError: A package that is needed is not there.
    """
    from tuning.search.options import RunOptions

    # An unknown one is reported before anything starts. TensorFlow's import would wait 50 ms for
    # the table: it is not read for the default.
    options.check_executor(executor, ray_address)
    if executor != RunOptions.executor:
        from tuning.executors.executor_spec import executor_spec

        executor_spec(executor)
    if until is not None:
        from tuning.search.slots.until import Until

        Until(until)
    if slots_per_gpu is not None:
        from tuning.executors.devices.slots import per_gpu

        devices = per_gpu(devices, slots_per_gpu)
    if fresh and allow_change:
        raise StudyError(
            "--fresh and --allow-change exclude each other: "
            "begin anew, or go on with a changed study"
        )
    table_words = taken_out(fields)
    searched: str | Study = study
    if study.lower().endswith(SUFFIXES) or target or task or table_words:
        searched = _table_study(study, target, task, table_words)

    changes = _changes(fields, settings)
    refuse_engine(searched if isinstance(searched, str) else None, changes.get("engine"))
    run_options = RunOptions(
        devices=devices,
        executor=executor,
        ray_address=ray_address,
        fresh=fresh,
        allow_change=allow_change,
        engine_timeout=engine_timeout,
        memory_per_slot=memory_per_slot,
        quota=quota,
        gpu_hours=gpu_hours,
        cpu_hours=cpu_hours,
        until=until,
        yields=yields,
        deterministic=deterministic,
        source=source,
        variant={name: value for name, value in changes.items() if name not in _BUDGETS},
        budget={name: value for name, value in changes.items() if name in _BUDGETS},
    )
    return RunPlan(searched, run_options)


def _table_study(path: str, target: str | None, task: str | None, table_words: Words) -> Study:
    from tuning.cli.new_study.table_study import table_study

    if not path.lower().endswith(SUFFIXES):
        given = flags_of(table_words) or "--target and --task"
        raise StudyError(f"{given} are for tables ({', '.join(SUFFIXES)}); {path!r} is not one")
    return table_study(path, target=target, task=task, **table_words)


_OPTION = "engine_options."
"""Before the name of one of the engine's own settings: `--set engine_options.factor=4`."""


def _changes(fields: Fields, settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the study's fields that options and `--set` change."""
    by_option = {name: value for name, value in fields.items() if value is not None}
    by_set = parse_settings(settings)
    for name in sorted(by_option.keys() & by_set.keys()):
        option = f"--{name.replace('_', '-')}"
        raise StudyError(f"'{name}' is given twice: by {option} and by --set")
    return {**by_option, **by_set}


def parse_settings(settings: tuple[str, ...]) -> dict[str, Any]:
    """Return the fields of `--set name=value`; values are JSON where they can be, else text.

    Raises:
        StudyError: Not of this form, not a field of a study, or one that only the study file sets.
    """
    if (
        not settings
    ):  # what a study has is imported for them alone: 0.1 s before TensorFlow's import
        return {}

    from dataclasses import fields

    from tuning.study.study import Study

    known = [field.name for field in fields(Study) if field.name not in _ONLY_IN_THE_FILE]
    values: dict[str, Any] = {}
    faults = []
    for setting in settings:
        name, equals, text = setting.partition("=")
        if not equals:
            faults.append(f"--set {setting!r} is not of the form name=value")
        elif name in _ONLY_IN_THE_FILE:
            faults.append(f"--set cannot change '{name}'; edit the study file")
        elif name.startswith(_OPTION):
            options = values.setdefault("engine_options", {})
            options[name.removeprefix(_OPTION)] = _value(text)
        elif name not in known:
            faults.append(
                f"a study has no '{name}'.{did_you_mean(name, known)} "
                f"--set takes: {', '.join(known)}"
            )
        elif name in values:
            faults.append(f"--set {name} is given twice")
        else:
            values[name] = _value(text)
    if faults:
        raise StudyError(faults, where="arguments")
    return values


def _value(text: str) -> Any:
    """Read JSON, Python's constants among it; anything else is text."""
    as_json = {"None": "null", "True": "true", "False": "false"}.get(text, text)
    try:
        return json.loads(as_json)
    except ValueError:
        return text


def _search(plan: RunPlan, forkserver: ForkServer, *, as_json: bool, quiet: bool) -> int:
    """Run the search, print how it ended; return the exit code."""
    from rich.console import Console

    from tuning.errors import SearchFailed
    from tuning.reports.progress import choose_progress
    from tuning.search.run import run_study

    failure: SearchFailed | None = None
    progress = choose_progress(quiet, as_json, Console(stderr=True))
    try:
        summary = run_study(plan.study, plan.options, progress, forkserver)
    except SearchFailed as error:
        if error.summary is None:
            raise
        summary = error.summary
        failure = error

    if summary.status in _GOES_ON:
        summary = replace(summary, again=same_command(sys.argv))
    if quiet:  # else the view has shown them
        for warning in summary.warnings:
            print(warning, file=sys.stderr)
    _print(summary, as_json=as_json, quiet=quiet)

    if failure is not None:
        print(failure, file=sys.stderr)
        return failure.exit_code
    return options.STOPPED.get(summary.status, 0)


_GOES_ON = (*options.STOPPED, "timeout", "until", "budget")
"""How a run ends whose search the same command continues."""


def same_command(words: Sequence[str]) -> str:
    """Return the command line as it was typed, but for `--fresh`: that would begin anew.

    Args:
        words: `sys.argv`; "" is returned where it is not this package's command line.
    """
    _, *arguments = words
    if arguments[:1] != ["run"]:
        return ""
    return shlex.join(["python", "-m", "tuning", *(w for w in arguments if w != "--fresh")])


def _print(summary: Summary, *, as_json: bool, quiet: bool) -> None:
    """Print the tables, with `--json` on stderr, and the object."""
    from rich.console import Console

    from tuning.reports.tables import summary as print_summary

    if not (quiet and as_json):
        print_summary(Console(stderr=as_json), summary)
    if as_json:
        print(json.dumps(summary.to_json()), flush=True)
