"""Fingerprints: what tells one builder from another, and what may change without a difference."""

from __future__ import annotations

import functools
import hashlib
import importlib
import inspect
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import tuning.builders
import tuning.data
from tests.study.study_text import STUDY
from tuning.builders.mlp import build_model
from tuning.data.california import california_housing
from tuning.data.tables import Table
from tuning.errors import did_you_mean
from tuning.study.fingerprint import fingerprint, plain_repr
from tuning.study.released_fingerprints import RELEASED
from tuning.study.study import load_study
from tuning.study.study_file import import_file

ROOT = Path(__file__).parents[2]


@pytest.fixture
def hash_of(write):
    return lambda text, name="build": fingerprint(getattr(import_file(write(text)), name))


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
    one, other, again = (fingerprint(getattr(module, name)) for name in names)
    assert one == again != other


def test_what_a_builder_keeps_from_call_to_call_does_not_change_its_study(write):
    text = (
        MADE.replace("return (x - self.optimum) ** 2", "self.calls = 1; return None")
        + """
from tuning import Float, Minimize, Study
STUDY = Study(name="kept", builder=near_hill, data=lambda: None, objective=Minimize("val_loss"),
              space={"x": Float(0, 1)}, trials=1)
"""
    )
    study = load_study(str(write(text)))
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
    assert fingerprint(import_file(write(text)).build) == fingerprint(
        import_file(write(text)).build
    )


def test_an_extension_and_another_encoding_beside_a_study_are_read(write):
    path = write("import latin_helper\n\ndef build(n=1):\n    return n\n")
    (path.parent / "latin_helper.py").write_bytes("# coding: latin-1\nN = 'é'\n".encode("latin-1"))
    assert len(fingerprint(import_file(path).build)) == 16


def test_a_helper_beside_a_study_counts_and_what_that_one_imports(write):
    path = write("def build(n=1):\n    from helper_one import N\n    return N\n")
    folder = path.parent
    (folder / "helper_one.py").write_text("from helper_two import N\n")
    (folder / "helper_two.py").write_text("N = 3\n")
    before = fingerprint(import_file(path).build)
    (folder / "helper_two.py").write_text("N = 3  # three\n")
    assert fingerprint(import_file(path).build) == before
    (folder / "helper_two.py").write_text("N = 4\n")
    assert fingerprint(import_file(path).build) != before


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
    hashes = {fingerprint(functools.partial(build, *some, **named)) for some, named in bound}
    assert len(hashes) == 4
    assert fingerprint(functools.partial(build, n=1)) in hashes


def test_two_functions_of_one_file_differ(write):
    module = import_file(write(STUDY))
    assert fingerprint(module.build) != fingerprint(module.units)


def test_an_object_that_is_called_counts_with_its_module(write):
    texts = [
        f"class Build:\n    def __call__(self):\n        return {n}\n\n\nbuild = Build()\n"
        for n in (1, 1, 2)
    ]
    one, same, other = (fingerprint(import_file(write(text)).build) for text in texts)
    assert (one == same, one == other) == (True, False)


def test_a_lambda_within_the_study_counts_by_what_it_does(write):
    texts = [STUDY.replace("data=data", f"data=lambda: {n}") for n in (1, 1, 2)]
    one, same, other = (fingerprint(load_study(str(write(text))).data) for text in texts)
    assert (one == same, one == other) == (True, False)


def test_a_wrapped_builder_counts_as_what_it_wraps(write):
    build = import_file(write(STUDY)).build
    assert fingerprint(functools.wraps(build)(lambda **rest: build(**rest))) == fingerprint(build)


def test_functions_typed_at_a_prompt_differ_by_what_they_do():
    def typed(text):
        names = {"__name__": "__main__"}
        exec(f"build = {text}", names)
        return names["build"]

    assert fingerprint(typed("lambda n: n + 1")) == fingerprint(typed("lambda n: (n + 1)"))
    assert fingerprint(typed("lambda n: n + 1")) != fingerprint(typed("lambda n: n + 2"))


def test_the_hash_is_the_same_in_every_process(write):
    path = write(STUDY + "\n\npick = lambda n: n in {'a', 'b', 'c', 'd', 'e'}\n")
    code = (
        "import functools, sys\n"
        "from pathlib import Path\n"
        "from tuning.study.fingerprint import fingerprint\n"
        "from tuning.study.study_file import import_file\n"
        "m = import_file(Path(sys.argv[1]))\n"
        "print(fingerprint(functools.partial(m.build, n=m.units)), fingerprint(m.pick))"
    )
    command = [sys.executable, "-c", code, str(path)]
    module = import_file(path)
    printed = subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split()
    assert printed == [
        fingerprint(functools.partial(module.build, n=module.units)),
        fingerprint(module.pick),
    ]


def test_a_plain_repr_has_no_addresses():
    assert plain_repr([max, lambda: 0, "0x1"]).count("0x") == 1


def public_functions(module_name):
    """The public functions of a module, those it only imports left out."""
    module = importlib.import_module(module_name)
    for name, item in vars(module).items():
        if inspect.isfunction(item) and item.__module__ == module_name and name[0] != "_":
            yield name, item


def modules_of(package):
    return [f"{package.__name__}.{info.name}" for info in pkgutil.iter_modules(package.__path__)]


def test_every_data_function_of_ours_has_a_released_fingerprint():
    loaders = {
        f"{module}.{name}"
        for module in (*modules_of(tuning.data), "tuning.trials.functions")
        for name, function in public_functions(module)
        if function.__annotations__.get("return") == "Dataset"
        and not inspect.signature(function).parameters
    }
    assert len(loaders) > 10
    assert loaders <= RELEASED.keys()


def test_every_builder_of_ours_has_a_released_fingerprint():
    builders = {
        f"{module}.{name}"
        for module in modules_of(tuning.builders)
        for name, function in public_functions(module)
        if name.startswith("build_") or module == "tuning.builders.functions"
    }
    assert len(builders) > 5
    assert builders <= RELEASED.keys()


def test_every_released_fingerprint_is_of_a_function_that_is_there_and_used_once():
    assert all(callable(pkgutil.resolve_name(reference)) for reference in RELEASED)
    assert len(set(RELEASED.values())) == len(RELEASED)


def test_a_function_of_ours_is_known_by_its_release_and_not_by_its_source():
    assert fingerprint(build_model) == "d3ff356f1567d22d"
    assert fingerprint(california_housing) == "4ecbe2cd67f04c27"
    assert fingerprint(Table("a.csv", "y", "binary")) == "c6f78793d1adbd87"


def test_arguments_bound_over_a_function_of_ours_count():
    bound = functools.partial(build_model, optimizer="adam")
    text = "d3ff356f1567d22d () {'optimizer': 'adam'}"
    assert fingerprint(bound) == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_a_function_of_ours_without_a_release_is_known_by_its_source():
    assert not any(".did_you_mean" in reference for reference in RELEASED)
    assert len(fingerprint(did_you_mean)) == 16


@pytest.mark.parametrize(
    ("path", "released_hash"),
    [
        ("studies/housing.py", "df541f03f86eb7e8"),
        ("tests/release_0_1/studies/old_study.py", "abfa5cf74c07363b"),
    ],
)
def test_a_study_of_release_0_1_is_the_same_study_today(path, released_hash):
    """The hashes are those that release 0.1 wrote into `search.json`."""
    assert load_study(str(ROOT / path)).hash == released_hash
