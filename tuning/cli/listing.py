"""`tuning list`: what studies there are, read from their text without running it."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import click

from tuning.cli import options
from tuning.errors import StudyError


@dataclass(frozen=True)
class Entry:
    """One study file. A field is None where only running the file would tell.

    Attributes:
        name: The file's name, which is its command.
        engine, trials: As in `Study`.
        objective: e.g. `"minimize val_rmse"`.
        about: First line of the file's docstring, or why it does not parse.
    """

    name: str
    engine: str | None
    objective: str | None
    trials: int | None
    about: str


def read_entry(path: Path) -> Entry:
    """Return what a study file says about itself."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError) as error:
        where = f" in line {error.lineno}" if isinstance(error, SyntaxError) else ""
        about = f"does not parse: {error.args[0]}{where}"
        return Entry(path.stem, engine=None, objective=None, trials=None, about=about)

    study = _study_fields(tree)
    about, _, _ = (ast.get_docstring(tree) or "").partition("\n")
    return Entry(
        path.stem,
        engine=study.get("engine"),
        objective=study.get("objective") or study.get("objectives"),
        trials=study.get("trials"),
        about=about,
    )


def read_folder(folder: Path) -> list[Entry]:
    """Return the studies of a folder, by name.

    Raises:
        StudyError: There is no such folder.
    """
    if not folder.is_dir():
        raise StudyError(
            f"no folder {folder}; run this where the project is, or make a study: tuning new NAME"
        )
    paths = [path for path in sorted(folder.glob("*.py")) if not path.stem.startswith("_")]
    return [read_entry(path) for path in paths]


def _study_fields(tree: ast.Module) -> dict[str, Any]:
    """Return the fields that the file's STUDY is made with."""
    call = next(_study_calls(tree), None)
    if call is None:
        return {}

    named = {keyword.arg: _value(keyword.value) for keyword in call.keywords if keyword.arg}
    is_name = isinstance(call.func, ast.Name | ast.Attribute)
    if is_name and ast.unparse(call.func).split(".")[-1] == "Study":
        return {**_defaults(), **named}
    return named  # a copy of another: BASE.with_(…)


def _study_calls(tree: ast.Module) -> Iterator[ast.Call]:
    """Yield each call whose result a statement `STUDY = …` or `STUDY: Study = …` names."""
    for node in tree.body:
        targets: list[ast.expr] = []
        if isinstance(node, ast.Assign):
            targets = node.targets
        elif isinstance(node, ast.AnnAssign):
            targets = [node.target]
        else:
            continue

        names = [target.id for target in targets if isinstance(target, ast.Name)]
        if "STUDY" in names and isinstance(node.value, ast.Call):
            yield node.value


def _defaults() -> dict[str, Any]:
    from tuning.study.study import Study

    return {f.name: f.default for f in fields(Study) if f.name in ("engine", "trials")}


def _value(node: ast.expr) -> Any:
    """Return a constant as it is, an objective in words, anything else as its source."""
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.List | ast.Tuple):  # several objectives
        return ", ".join(str(_value(each)) for each in node.elts)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        direction = node.func.id
        if direction in ("Minimize", "Maximize"):
            arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
            metric = _value(arguments[0]) if arguments else ""
            return f"{direction.lower()} {metric}"
    return ast.unparse(node)


def _print(entries: list[Entry]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("study", "engine", "objective", "trials", "", box=None, pad_edge=False)
    for entry in entries:
        cells = (entry.name, entry.engine, entry.objective, entry.trials, entry.about)
        table.add_row(*(Text("–" if cell is None else str(cell)) for cell in cells))
    Console().print(table)


def _list_space(study: str, *, as_json: bool) -> None:
    from tuning.executors.supervision.logs import errors_of_libraries_unseen
    from tuning.reports.space_table import print_space, space_table

    with errors_of_libraries_unseen():  # the study's file and its builder import them
        table = space_table(study)
    if as_json:
        click.echo(json.dumps(table.to_json()))
    else:
        print_space(table)


def _list_searches(home: Path, *, as_json: bool) -> None:
    from tuning.cli.searches.listing import print_searches
    from tuning.ledger.catalog import searches

    home = home.absolute()
    print_searches(list(searches(home)), home, as_json=as_json)


@click.command("list")
@click.option(
    "--searches", is_flag=True, help="The searches of the state folder instead of the studies."
)
@click.option("--json", "as_json", is_flag=True, help="A JSON list instead of a table.")
@click.option("--space", "study", metavar="STUDY", help="The study whose space is printed instead.")
@options.home
def listing(searches: bool, as_json: bool, study: str | None, home: Path) -> None:
    """List the studies of this folder, or the searches that were run.

    With --space the parameters of one: what is searched, when each exists, where a search begins.
    A builder of KerasTuner's or Optuna's is run for that.

    \b
    Examples:
      python -m tuning list
      python -m tuning list --searches
      python -m tuning list --space housing
    """
    if searches and study is not None:
        raise StudyError("--searches and --space exclude each other")
    if searches:
        _list_searches(home, as_json=as_json)
        return
    if study is not None:
        _list_space(study, as_json=as_json)
        return
    entries = read_folder(Path.cwd() / "studies")
    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in entries]))
    elif entries:
        _print(entries)
    else:
        click.echo("no studies yet; make one: python -m tuning new NAME")
