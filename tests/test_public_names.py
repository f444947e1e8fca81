"""`import tuning`: the names it promises, and what it does not import."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

import tuning

ROOT = Path(__file__).parents[1]
HEAVY = (
    "tuning.estimators",
    "tuning.lr_range",
)  # these import TensorFlow: their names are read from the source


def said_by(code):
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()


def names_of(module):
    path = importlib.util.find_spec(module).origin
    return {
        node.name
        for node in ast.parse(Path(path).read_text(encoding="utf-8")).body
        if hasattr(node, "name")
    }


@pytest.mark.parametrize("name", tuning.__all__)
def test_every_public_name_is_where_it_is_said_to_be(name):
    home = tuning._HOMES[name]
    assert (
        name in names_of(home) if home.startswith(HEAVY) else getattr(tuning, name).__name__ == name
    )


def test_the_names_promised_are_those_that_resolve_in_order():
    assert tuning.__all__ == sorted(tuning._HOMES)


def test_importing_tuning_imports_neither_numpy_nor_tensorflow():
    heavy = "{'numpy', 'tensorflow', 'keras', 'sklearn', 'optuna', 'mlflow', 'pandas', 'joblib'}"
    assert said_by(f"import sys, tuning; print(*({heavy} & set(sys.modules)))") == []


def test_declaring_and_driving_a_study_imports_no_tensorflow():
    names = "Study, Int, Minimize, run_study, load_study"
    code = f"import sys; from tuning import {names}; print(*{{}} & set(sys.modules))"
    assert said_by(code.format("{'tensorflow', 'keras', 'mlflow', 'optuna'}")) == []


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'tuning' has no attribute 'Studdy'"):
        tuning.Studdy  # noqa: B018


def test_dir_lists_the_public_names_before_they_are_used():
    assert set(tuning.__all__) <= set(dir(tuning))
