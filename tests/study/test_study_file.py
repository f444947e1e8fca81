"""Study files: found by name or path, imported with file and line in every error, and told apart by
their code.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

import pytest

from tuning.errors import StudyError
from tuning.study.study import load_study
from tuning.study.study_file import NAME, find_study, import_file, plain_repr, source_hash

ROOT = Path(__file__).parents[2]
STUDY = '''"""A study."""

from tuning import Int, Minimize, Study


def units(n):
    return n * 2


def build(n=1):
    """Return a model."""
    return units(n)


def data():
    return None


STUDY = Study(name="small", builder=build, data=data, objective=Minimize("val_loss"), space={"n": Int(1, 9)}, trials=3)
'''


@pytest.fixture(autouse=True)
def path_as_before(monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture
def write(tmp_path):
    """Each text gets a folder of its own: Python's cache of sources goes by path."""

    def write(text, name="small.py"):
        folder = tmp_path / f"f{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        path = folder / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def hash_of(write):
    return lambda text, name="build": source_hash(getattr(import_file(write(text)), name))


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
    with pytest.raises(StudyError) as told:
        find_study("housin", studies)
    folder = studies / "studies"
    assert (
        str(told.value)
        == f"no study 'housin' in {folder}. Did you mean 'housing'? There are: housing, iris"
    )


@pytest.mark.parametrize("name", ["gone.py", "a/b", "../x", "Housing", ""])
def test_what_is_neither_a_file_nor_a_name_is_told(studies, name):
    with pytest.raises(StudyError) as told:
        find_study(name, studies)
    assert (
        str(told.value)
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
    with pytest.raises(StudyError) as told:
        load_study(str(path))
    assert str(told.value).startswith(f"cannot import {path}:{line}: {words}")


@pytest.mark.parametrize(("end", "found"), [("", "None"), ("STUDY = 3\n", "3")])
def test_a_file_without_a_study_is_told(write, end, found):
    path = write(f"x = 1\n{end}")
    with pytest.raises(StudyError) as told:
        load_study(str(path))
    assert str(told.value) == f"{path} must end with STUDY = Study(…); found {found}"


def test_the_faults_of_a_study_are_told_as_they_are(write):
    with pytest.raises(StudyError, match=r"^study 'small': nothing takes 'm'"):
        load_study(str(write(STUDY.replace('{"n":', '{"m":'))))


MADE = """
def make(optimum):
    def build(x):
        return (x - optimum) ** 2
    return build

class Hill:
    def __init__(self, optimum):
        self.optimum = optimum
    def __call__(self, x):
        return (x - self.optimum) ** 2

near, far, again = make(0.2), make(0.9), make(0.2)
near_hill, far_hill, hill_again = Hill(0.2), Hill(0.9), Hill(0.2)
"""


@pytest.mark.parametrize(
    "names", [("near", "far", "again"), ("near_hill", "far_hill", "hill_again")]
)
def test_what_a_function_was_made_with_counts(write, names):
    module = import_file(write(MADE))
    one, other, again = (source_hash(getattr(module, name)) for name in names)
    assert one == again != other


def test_what_a_builder_keeps_from_call_to_call_does_not_change_its_study(write):
    kept = (
        MADE.replace("return (x - self.optimum) ** 2", "self.calls = 1; return None")
        + """
from tuning import Float, Minimize, Study
STUDY = Study(name="kept", builder=near_hill, data=lambda: None, objective=Minimize("val_loss"),
              space={"x": Float(0, 1)}, trials=1)
"""
    )
    study = load_study(str(write(kept)))
    before = study.hash
    study.builder(0.5)
    assert study.hash == before


def test_neither_paths_nor_modules_count_by_where_they_lie(write):
    text = """
from pathlib import Path
def make(path):
    import json
    def build(x):
        return json.dumps(str(path))
    return build
build = make(Path(__file__))
"""
    assert source_hash(import_file(write(text)).build) == source_hash(
        import_file(write(text)).build
    )


def test_an_extension_and_another_encoding_beside_a_study_are_read(write):
    path = write("import latin_helper\n\ndef build(n=1):\n    return n\n")
    (path.parent / "latin_helper.py").write_bytes("# coding: latin-1\nN = 'é'\n".encode("latin-1"))
    assert len(source_hash(import_file(path).build)) == 16


def test_a_helper_beside_a_study_counts_and_what_that_one_imports(write):
    path = write("def build(n=1):\n    from helper_one import N\n    return N\n")
    folder = path.parent
    (folder / "helper_one.py").write_text("from helper_two import N\n")
    (folder / "helper_two.py").write_text("N = 3\n")
    before = source_hash(import_file(path).build)
    (folder / "helper_two.py").write_text("N = 3  # three\n")
    assert source_hash(import_file(path).build) == before
    (folder / "helper_two.py").write_text("N = 4\n")
    assert source_hash(import_file(path).build) != before


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


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return n * 2", "return n * 2  # twice"),
        ("return n * 2", "return (\n        n * 2\n    )"),
        ('"""Return a model."""', '"""Return another model."""'),
        ('    """Return a model."""\n', ""),
        ('"""A study."""', '"""Another."""'),
        ("trials=3", "trials=9"),
        ("STUDY = ", "STUDY: Study = "),
    ],
)
def test_comments_docstrings_layout_and_the_study_itself_are_not_in_the_hash(hash_of, old, new):
    assert old in STUDY
    assert hash_of(STUDY.replace(old, new)) == hash_of(STUDY)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("return n * 2", "return n * 3"),
        ("return units(n)", "return units(n + 1)"),
        ("def build(n=1)", "def build(n=2)"),
        ("def units", "SCALE = 2\n\n\ndef units"),
    ],
)
def test_what_the_builder_does_is_in_the_hash_with_its_helpers(hash_of, old, new):
    assert old in STUDY
    assert hash_of(STUDY.replace(old, new)) != hash_of(STUDY)


def test_the_arguments_bound_by_partial_are_in_the_hash(write):
    build = import_file(write(STUDY)).build
    bound = [((), {}), ((1,), {}), ((2,), {}), ((), {"n": 1})]
    hashes = {source_hash(functools.partial(build, *some, **named)) for some, named in bound}
    assert len(hashes) == 4
    assert source_hash(functools.partial(build, n=1)) in hashes


def test_two_functions_of_one_file_differ(write):
    module = import_file(write(STUDY))
    assert source_hash(module.build) != source_hash(module.units)


def test_an_object_that_is_called_counts_with_its_module(write):
    texts = [
        f"class Build:\n    def __call__(self):\n        return {n}\n\n\nbuild = Build()\n"
        for n in (1, 1, 2)
    ]
    one, same, other = (source_hash(import_file(write(text)).build) for text in texts)
    assert (one == same, one == other) == (True, False)


def test_a_lambda_within_the_study_counts_by_what_it_does(write):
    texts = [STUDY.replace("data=data", f"data=lambda: {n}") for n in (1, 1, 2)]
    one, same, other = (source_hash(load_study(str(write(text))).data) for text in texts)
    assert (one == same, one == other) == (True, False)


def test_a_wrapped_builder_counts_as_what_it_wraps(write):
    build = import_file(write(STUDY)).build
    assert source_hash(functools.wraps(build)(lambda **rest: build(**rest))) == source_hash(build)


def test_functions_typed_at_a_prompt_differ_by_what_they_do():
    def typed(text):
        names = {"__name__": "__main__"}
        exec(f"build = {text}", names)
        return names["build"]

    assert source_hash(typed("lambda n: n + 1")) == source_hash(typed("lambda n: (n + 1)"))
    assert source_hash(typed("lambda n: n + 1")) != source_hash(typed("lambda n: n + 2"))


def test_the_hash_is_the_same_in_every_process(write):
    path = write(STUDY + "\n\npick = lambda n: n in {'a', 'b', 'c', 'd', 'e'}\n")
    code = (
        "import functools, sys; from pathlib import Path; from tuning.study.study_file import import_file, source_hash\n"
        "m = import_file(Path(sys.argv[1]))\n"
        "print(source_hash(functools.partial(m.build, n=m.units)), source_hash(m.pick))"
    )
    command = [sys.executable, "-c", code, str(path)]
    module = import_file(path)
    told = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert told == [
        source_hash(functools.partial(module.build, n=module.units)),
        source_hash(module.pick),
    ]


def test_a_plain_repr_has_no_addresses():
    assert plain_repr([max, lambda: 0, "0x1"]).count("0x") == 1
