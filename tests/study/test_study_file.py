"""Study files: found by name or path, imported with file and line in every error."""

from __future__ import annotations

import pytest

from tests.study.study_text import STUDY
from tuning.errors import StudyError
from tuning.study.study import load_study
from tuning.study.study_file import NAME, find_study, import_file


@pytest.fixture
def studies(tmp_path):
    folder = tmp_path / "studies"
    folder.mkdir()
    for name in ("housing", "iris", "_helper"):
        (folder / f"{name}.py").write_text(STUDY)
    return tmp_path


def test_a_study_is_loaded_from_its_path(write):
    assert load_study(str(write(STUDY))).name == "small"


def test_a_name_is_looked_up_in_the_studies_folder(studies):
    assert find_study("iris", studies) == studies / "studies" / "iris.py"


def test_an_unknown_name_is_told_with_the_nearest_and_those_there_are(studies):
    with pytest.raises(StudyError) as caught:
        find_study("housin", studies)
    folder = studies / "studies"
    assert (
        str(caught.value)
        == f"no study 'housin' in {folder}. Did you mean 'housing'? There are: housing, iris"
    )


@pytest.mark.parametrize("name", ["gone.py", "a/b", "../x", "Housing", ""])
def test_what_is_neither_a_file_nor_a_name_is_told(studies, name):
    with pytest.raises(StudyError) as caught:
        find_study(name, studies)
    assert (
        str(caught.value)
        == f"no file {name!r}; give a path to a Python file or one of: housing, iris"
    )


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("x = 1\ny = 1 / 0\n", 2, "ZeroDivisionError: division by zero"),
        ("import gone_module\n", 1, "ModuleNotFoundError: No module named 'gone_module'"),
        ("x = 1\n\ndef f(:\n", 3, "SyntaxError"),
        ("import json\n\njson.loads('{')\n", 3, "JSONDecodeError"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_with_file_and_line(write, text, line, words):
    path = write(text)
    with pytest.raises(StudyError) as caught:
        load_study(str(path))
    assert str(caught.value).startswith(f"cannot import {path}:{line}: {words}")


@pytest.mark.parametrize(("end", "value"), [("", "None"), ("STUDY = 3\n", "3")])
def test_a_file_without_a_study_is_told(write, end, value):
    path = write(f"x = 1\n{end}")
    with pytest.raises(StudyError) as caught:
        load_study(str(path))
    assert str(caught.value) == f"{path} must end with STUDY = Study(…); found {value}"


def test_the_faults_of_a_study_are_told_as_they_are(write):
    with pytest.raises(StudyError, match=r"^study 'small': nothing takes 'm'"):
        load_study(str(write(STUDY.replace('{"n":', '{"m":'))))


def test_helpers_beside_a_study_are_found(write):
    path = write("from helper_beside_small import N\n")
    (path.parent / "helper_beside_small.py").write_text("N = 3\n")
    assert import_file(path).N == 3


@pytest.mark.parametrize("name", ["a", "0", "housing_grid-2", "a" * 64])
def test_these_are_names(name):
    assert NAME.fullmatch(name)


@pytest.mark.parametrize(
    "name", ["", "A", "-a", "_a", "a b", "a/b", "a.b", "..", "a\n", "é", "a" * 65]
)
def test_these_are_no_names(name):
    assert not NAME.fullmatch(name)
