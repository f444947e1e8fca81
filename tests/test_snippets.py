"""The snippets of README and docs/: Python that compiles, names and commands that are there."""

from __future__ import annotations

import ast
import contextlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

import tuning
from tuning.cli.main import VERBS, app
from tuning.study.study_fields import StudyFields

ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "README.md",
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if "_build" not in path.parts),
]
PLACEHOLDERS = {"KIND": "table"}  # of arguments that take no other word than theirs
RECIPES = {"tune": "run"}  # what make calls otherwise than the verb
FIELDS = {field.name for field in fields(StudyFields)}

# What a document leaves out: `…` alone, or behind other arguments.
LEFT_OUT = re.compile(r",?\s*…,?")


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def python_snippets() -> list[tuple[str, str]]:
    return [
        (f"{page.stem}-{number}", snippet)
        for page in PAGES
        for number, snippet in enumerate(blocks(page, "python"))
    ]


def commands() -> Iterator[str]:
    """Yield each `make …` and `python -m tuning …` of the documents, placeholders filled in."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        spans = re.findall(r"`([^`\n]+)`", text)
        lines = [line for block in blocks(page, "") for line in block.splitlines()]
        lines += [line.strip() for line in text.splitlines() if line.startswith("    ")]
        for command in (*spans, *lines):
            if re.match(r"(python -m tuning|tuning|make) [a-z]", command) and "…" not in command:
                yield command.partition(" #")[0].partition("  ")[0].strip()


def names_at_the_top(module: str) -> set[str]:
    """Return what a module of ours defines or imports, without importing it."""
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names.update(alias.asname or alias.name for alias in node.names)
    return names


@pytest.mark.parametrize(
    "snippet", [pytest.param(snippet, id=name) for name, snippet in python_snippets()]
)
def test_a_snippet_is_python_with_names_and_fields_that_exist(snippet):
    tree = ast.parse(LEFT_OUT.sub("", snippet))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "tuning":
            assert {alias.name for alias in node.names} <= set(tuning.__all__)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("tuning."):
            assert {alias.name for alias in node.names} <= names_at_the_top(node.module)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Study":
            assert {keyword.arg for keyword in node.keywords} <= FIELDS


def test_every_name_of_ours_in_a_sentence_is_there():
    dotted = {
        name
        for page in PAGES
        for name in re.findall(r"\b(tuning(?:\.[a-z_]+)+\.\w+)", page.read_text(encoding="utf-8"))
        if not name.endswith(".py")
    }
    assert len(dotted) > 4
    missing = []
    for name in sorted(dotted):
        module, _, attribute = name.rpartition(".")
        path = ROOT.joinpath(*name.split("."))
        is_module = path.is_dir() or path.with_suffix(".py").exists()
        if not is_module and attribute not in names_at_the_top(module):
            missing.append(name)
    assert missing == []


def parse(command: str) -> None:
    """Parse a command as the program or make would.

    Raises:
        click.ClickException: No such verb or option, or a value it does not take.
    """
    command, _, _ = command.partition(" > ")  # where the shell writes it
    words = [PLACEHOLDERS.get(word, word) for word in shlex.split(command)]
    if words[0] == "make":
        words = words_of_make(words[1:])
    words = words[words.index("tuning") + 1 :] if "tuning" in words else []
    if not words:
        return
    context = click.Context(app)
    _, verb, rest = app.resolve_command(context, words)
    assert verb is not None
    # A sentence may name a verb or an option without what belongs to it.
    with contextlib.suppress(click.MissingParameter, click.BadOptionUsage):
        verb.make_context(words[0], rest)


def words_of_make(words: list[str]) -> list[str]:
    """Return the program's own words for a make target that calls it, [] for the others."""
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)
    assert words[0] in targets, f"make has no target {words[0]}"
    verb = RECIPES.get(words[0], words[0])
    if verb not in VERBS:
        return []
    given = dict(word.split("=", 1) for word in words[1:])
    extra = shlex.split(given.get("ARGS", ""))
    calendar = ["--calendar", given["CALENDAR"]] if "CALENDAR" in given else []
    study = given["STUDY"].split() if "STUDY" in given else []
    return ["tuning", verb, *study, *calendar, *extra]


@pytest.mark.parametrize("command", sorted(set(commands())))
def test_a_command_of_the_documents_is_one(command):
    parse(command)


def test_a_misspelt_option_would_be_seen():
    with pytest.raises(click.NoSuchOption):
        parse('make tune STUDY=housing ARGS="--trails 3"')
