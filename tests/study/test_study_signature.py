"""The arguments of `Study(…)` as type checkers, editors and `help` see them."""

from __future__ import annotations

import inspect
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from tuning.errors import StudyError
from tuning.study.study import Study

ROOT = Path(__file__).parents[2]
HEAD = """
from tuning.data.toy import iris
from tuning.study.objective import Minimize
from tuning.space.space import Int, Space
from tuning.study.study import Study


def build(n: int = 1) -> object:
    return n


goal = Minimize("val_loss")
space = {"n": Int(1, 9)}
study = Study(name="a", builder=build, data=iris, objective=goal, space=space, epochs=3)
Study(name="a", builder=build, data=iris, objective=goal, space=Space({"n": Int(1, 9)}))
Study(name="a", builder=build, data=iris, objective=goal, space={"lr": "from_range_test"})
"""
EXPECTED = {
    "reveal_type(study.space)": "tuning.space.space.Space",
    'Study(name="a", builder=build, data=iris, objective=goal, space={}, enginee="x")': (
        'Unexpected keyword argument "enginee"'
    ),
    'Study(name="a", builder=build, data=iris, objective=goal, space={}, epochs="3")': (
        'Argument "epochs" to "Study" has incompatible type "str"'
    ),
    'Study(name="a", data=iris, objective=goal, space={})': 'Missing named argument "builder"',
    'Study(name="a", builder=build, data=iris, objective=goal, space=3)': (
        'Argument "space" to "Study" has incompatible type "int"'
    ),
    "study.epochs = 4": 'Property "epochs" defined in "StudyFields" is read-only',
}
SNIPPET = HEAD + "\n".join(EXPECTED)
LINES = SNIPPET.splitlines()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_mypy_knows_the_arguments_of_a_study(tmp_path):
    path = tmp_path / "snippet.py"
    path.write_text(SNIPPET)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", str(path)]
    # The types of other packages take most of the time and say nothing about a study's arguments.
    command += ["--no-site-packages", "--ignore-missing-imports", f"--cache-dir={tmp_path}"]
    output = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    messages = dict.fromkeys(LINES, "")
    for line in output:
        number, _, message = line.partition("snippet.py:")[2].partition(":")
        if number:
            messages[LINES[int(number) - 1]] += message
    complaints = {line: message for line, message in messages.items() if message}
    assert len(complaints) == len(EXPECTED), complaints
    for line, words in EXPECTED.items():
        assert words in complaints[line]


def test_the_signature_of_a_study_names_its_fields():
    parameters = inspect.signature(Study).parameters
    assert list(parameters) == [field.name for field in fields(Study)]
    assert all(parameter.kind is parameter.KEYWORD_ONLY for parameter in parameters.values())
    assert parameters["epochs"].default == 30
    assert parameters["name"].default is inspect.Parameter.empty


def test_the_docstring_of_a_study_explains_each_field():
    doc = inspect.getdoc(Study) or ""
    explained = [line.strip() for line in doc.partition("Attributes:")[2].splitlines()]
    for field in fields(Study):
        assert any(field.name in line.partition(":")[0] for line in explained), field.name


def test_a_study_without_a_space_is_refused_though_type_checkers_let_it_pass():
    with pytest.raises(StudyError) as caught:
        Study(name="a")
    assert caught.value.faults == tuple(
        f"'{name}' is missing" for name in ("builder", "data", "objective", "space")
    )
