"""The commands that go on with a search, or do something with it, as a user types them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tuning.ledger.records import SearchHeader
from tuning.ledger.view.search_view import SearchView

CALL = "python -m tuning"
_OPTIONS = (
    "engine",
    "pruner",
    "trials",
    "epochs",
    "timeout",
    "cv",
    "split",
    "seed",
    "top_k",
    "seeds",
)
"""Fields of a study that `run` has an option for; any other is given by `--set`."""


class Step(NamedTuple):
    """Something that may be done now.

    Attributes:
        what: In a word or two: `go on`, `use it`.
        how: The command, or a path.
    """

    what: str
    how: str


def run_command(header: SearchHeader) -> str:
    """Return the command that goes on with a search; "" where no file has its study.

    Devices and time limits are those of whoever types it: they are no part of a search.
    """
    if not header.study_file:
        return ""
    changes = dict(header.variant)
    if header.trials is not None:
        changes["trials"] = header.trials
    words = [word for name, value in changes.items() for word in _option(name, value)]
    return " ".join([CALL, "run", shlex.quote(_study_word(header)), *words])


def _study_word(header: SearchHeader) -> str:
    """Return what `run` knows a study by: its name in `studies/`, else its file's path."""
    path = Path(header.study_file)
    in_studies = path.parent == Path.cwd() / "studies"
    return path.stem if in_studies else header.study_file


def _option(name: str, value: Any) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value)
    if name in _OPTIONS and value is not None:
        return [f"--{name.replace('_', '-')}", shlex.quote(text)]
    return ["--set", shlex.quote(f"{name}={text}")]


def next_steps(view: SearchView, verbs: Container[str]) -> list[Step]:
    """Return what to do next with a search.

    Args:
        view: The search.
        verbs: Of the command line, those that are there.
    """
    name = shlex.quote(view.name)
    steps: list[Step] = []
    if view.running:
        steps.append(Step("watch it", f"{CALL} show {name} --follow"))
    elif has_more_to_do(view):
        steps.append(Step("go on", run_command(view.header) or "run the same study again"))

    if view.winner is not None:
        by_verb = {
            "predict": Step("use it", f"{CALL} predict {name} rows.csv > predictions.csv"),
            "reproduce": Step("prove it", f"{CALL} reproduce {name}"),
        }
        steps += [step for verb, step in by_verb.items() if verb in verbs]
    if "next" in verbs and not view.running:
        steps.append(Step("search on", f"{CALL} next {name}"))
    if view.model_file is not None:
        steps.append(Step("model", str(view.model_file)))
    if view.report_file is not None:
        steps.append(Step("report", str(view.report_file)))
    return steps


def has_more_to_do(view: SearchView) -> bool:
    """Whether the same command would do more: trials, finals or the winner's evaluation."""
    if view.running:
        return False
    return view.status not in ("completed", "exhausted") or view.winner is None


def steps_json(steps: list[Step]) -> Mapping[str, str]:
    """Return steps as JSON has them."""
    return {step.what: step.how for step in steps}
