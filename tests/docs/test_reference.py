"""The reference pages: what the code says, and all of it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import click
import pytest

import tuning
from scripts.reference import ledger
from scripts.reference.__main__ import FOLDER, PAGES, text_of
from scripts.reference.command_line import page as command_line
from scripts.reference.docstrings import attributes_of, table
from tuning.cli.main import VERBS, app
from tuning.study.study import Study
from tuning.study.study_fields import StudyFields

OF_RELEASE_0_1 = {"notes"}  # called notices since
OLD_LEDGER = Path(__file__).parents[1] / "release_0_1" / "mlruns" / "ledger"


@pytest.mark.parametrize("page", PAGES)
def test_a_reference_page_holds_what_the_code_says(page):
    assert (FOLDER / page).read_text(encoding="utf-8") == text_of(page), "run: make reference"


def test_every_field_of_a_study_is_explained_with_its_default():
    page = text_of("study.md")
    for field in dataclasses.fields(StudyFields):
        assert f"\n### {field.name}\n" in page
    assert attributes_of(Study).keys() >= {field.name for field in dataclasses.fields(StudyFields)}
    assert "`int | None` · default `20` · `--trials`" in page
    assert "`float` · default `600.0` · `--set no_progress_timeout=…`" in page


def test_every_command_stands_with_each_of_its_options():
    page = command_line()
    context = click.Context(app)
    for verb in VERBS:
        assert f"\n## `tuning {verb}`\n" in page
        section = page.split(f"\n## `tuning {verb}`\n")[1].split("\n## ")[0]
        for param in app.get_command(context, verb).params:
            if isinstance(param, click.Option) and not param.hidden:
                assert f"`{param.opts[0]}" in section, (verb, param.opts)


def test_every_option_is_explained_by_a_sentence():
    context = click.Context(app)
    options = [
        (verb, option)
        for verb in VERBS
        for option in app.get_command(context, verb).params
        if isinstance(option, click.Option)
    ]
    ends = (".", "…", "]")
    without = [
        (verb, option.opts[0])
        for verb, option in options
        if not (option.help or "").rstrip().endswith(ends)
    ]
    assert without == []


@pytest.mark.parametrize(
    ("pattern", "file"),
    [
        ("*/*/search.json", "search.json"),
        ("*/*/status.json", "status.json"),
        ("*/*/winner.json", "winner.json"),
        ("*/*/trials/*/spec.json", "trials/00007/spec.json"),
        ("*/*/trials/*/result.json", "trials/00007/result.json"),
        ("*/*/finalists/*/*.json", "finalists/00007/0.json"),
    ],
)
def test_every_key_of_a_real_file_is_explained(pattern, file):
    explained = ledger.keys_of(ledger.FILES[file])
    paths = list(OLD_LEDGER.glob(pattern))
    assert paths
    for path in paths:
        keys = json.loads(path.read_text(encoding="utf-8")).keys() - OF_RELEASE_0_1
        assert keys <= explained.keys(), path
    assert "–" not in explained.values()


@pytest.mark.parametrize("record", ledger.record_types())
def test_every_key_that_a_record_writes_has_a_text(record):
    assert all(ledger.keys_of((record,)).values())
    assert "–" not in ledger.keys_of((record,)).values()


def test_the_python_page_has_every_public_name():
    page = (FOLDER / "python.md").read_text(encoding="utf-8")
    named = set(re.findall(r"auto(?:class|function):: tuning\.(\w+)$", page, flags=re.MULTILINE))
    assert named == set(tuning.__all__)


def test_a_bar_in_a_cell_is_no_border():
    assert table(("a", "b"), [("x|y", "z")]).splitlines()[-1] == r"| x\|y | z |"


def test_every_option_is_explained_by_a_noun_phrase():
    """`--trials N`: "The number of trials to finish", not "Finish this many"."""
    context = click.Context(app)
    otherwise = [
        (verb, option.opts[0], option.help)
        for verb in VERBS
        for option in app.get_command(context, verb).params
        if isinstance(option, click.Option)
        and not re.match(r"(The|A|An|No|Another) ", option.help or "")
    ]
    assert otherwise == []


def test_every_value_of_an_option_is_called_what_it_is():
    """`--trials N`, not `--trials INTEGER RANGE`; `--engine NAME`, not `--engine TEXT`."""
    page = command_line()
    assert re.findall(r"`(--[\w-]+ (?:TEXT|INTEGER|FLOAT)[^`]*)`", page) == []
