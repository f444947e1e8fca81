"""The table of engines: who adds to it, what is refused, a search with another's engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from tuning.errors import MissingError, StudyError
from tuning.space.domains import Int
from tuning.study import plugins
from tuning.study.engine_spec import Ends, EngineSpec, engine_spec, engine_specs, require_kinds
from tuning.study.objective import Minimize
from tuning.study.study import Study

ROOT = Path(__file__).parents[2]

COUNTING = """
    from tuning.study.engine_spec import Ends, EngineSpec
    from tuning.trial import Pause, Proposal

    class Counting:
        '''Proposes n = 1, 2, 3 and has no more.'''

        notices = ("counting: one, two, three",)

        def __init__(self, study):
            self.epochs = study.epochs

        def ask(self, number):
            if number == 3:
                return Pause.EXHAUSTED
            return Proposal(number, {"n": number + 1}, self.epochs)

        def adopt(self, proposal):
            return False

        def report(self, report):
            return False

        def tell(self, result):
            pass

        def artifacts(self):
            return {}

        def close(self):
            pass

    ENGINES = [
        EngineSpec(
            name="NAME",
            family="foo",
            summary="counts to three",
            make=lambda study, parts: Counting(study),
            learns=False,
            ends=Ends.BY_ITSELF,
        )
    ]
"""

STUDY = """
    import keras
    import numpy as np
    from tuning import Dataset, Int, Minimize, Study

    def build(n: int = 1):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(n), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        return model

    def plane():
        X = np.random.default_rng(0).normal(size=(60, 2))
        return Dataset("plane", X, X.sum(axis=1), "regression")

    STUDY = Study(
        name="counted", builder=build, data=plane, objective=Minimize("val_rmse"),
        space={"n": Int(1, 3)}, engine="foo:counting", trials=None, epochs=1, top_k=1, seeds=1,
    )
"""

RUN = """
    import json, sys
    from tuning.executors.forkserver import ForkServer
    from tuning.search.options import RunOptions
    from tuning.search.run import run_study

    if __name__ == "__main__":
        options = RunOptions(home=sys.argv[2], devices="cpu:1")
        with ForkServer(["tuning.executors.worker"]) as server:
            summary = run_study(sys.argv[1], options, None, server)
        print(json.dumps([summary.status, summary.counts["completed"], summary.engine]))
"""


def package(folder: Path, name: str, source: str) -> Path:
    """Write a distribution with one module and its entry point, as pip would lay it out."""
    (folder / f"{name}_engines.py").write_text(dedent(source))
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[tuning.engines]\nmore = {name}_engines:ENGINES\n")
    return folder


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put somebody else's package on the path of this process."""

    def install(name, source):
        folder = tmp_path / name
        folder.mkdir()
        monkeypatch.syspath_prepend(package(folder, name, source))
        monkeypatch.delitem(sys.modules, f"{name}_engines", raising=False)

    engine_specs.cache_clear()
    yield install
    engine_specs.cache_clear()


def counting(name: str = "foo:counting") -> str:
    return COUNTING.replace("NAME", name)


def test_our_own_engines_come_first_then_those_of_others(install):
    install("foo", counting())
    names = list(engine_specs())
    assert names[0] == "gridsearchcv"
    assert names[-2:] == ["capacity", "foo:counting"]
    assert [engine_spec(name).package for name in names[-2:]] == ["tuning", "foo"]


def test_a_study_may_name_another_packages_engine_and_is_checked_by_its_row(install):
    install("foo", counting())
    fields = {
        "name": "any",
        "builder": lambda n=1: None,
        "data": lambda: None,
        "objective": Minimize("val_rmse"),
        "space": {"n": Int(1, 3)},
        "engine": "foo:counting",
    }
    assert Study(**fields, trials=None).engine == "foo:counting"
    with pytest.raises(StudyError, match="initial: foo:counting chooses its own first points"):
        Study(**fields, initial=2)
    with pytest.raises(StudyError, match="works with Optuna's engines only, not with foo:counting"):
        Study(**fields, pruner="asha")


@pytest.mark.slow
def test_a_search_with_another_packages_engine_goes_through_all_processes(tmp_path):
    """The driver, the engine's process and the worker each find the row for themselves."""
    package(tmp_path, "foo", counting())
    (tmp_path / "counted.py").write_text(dedent(STUDY))
    (tmp_path / "drive.py").write_text(dedent(RUN))
    leases = tmp_path / "leases"
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]),
        "TUNING_LEASES": str(leases),
    }
    command = [sys.executable, "drive.py", str(tmp_path / "counted.py"), str(tmp_path / "home")]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == ["exhausted", 3, "foo:counting"]


def test_an_unknown_engine_is_refused_with_all_there_are():
    with pytest.raises(StudyError) as caught:
        engine_spec("optuna:tpo")
    assert str(caught.value) == (
        "engine 'optuna:tpo' is unknown. Did you mean 'optuna:tpe'? "
        f"There are: {', '.join(engine_specs())}"
    )


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import surely_not_there", "ModuleNotFoundError: No module named 'surely_not_there'"),
        ("ENGINES = ['optuna:tpe']", "it is no sequence of EngineSpec"),
        ("ENGINES = 3", "TypeError: 'int' object is not iterable"),
    ],
)
def test_a_broken_package_is_named(install, source, reason):
    install("broken", source)
    with pytest.raises(MissingError) as caught:
        engine_specs()
    assert str(caught.value) == (
        "the engines of the package 'broken' (broken_engines:ENGINES) cannot be used: "
        f"{reason}. Repair or uninstall it."
    )


def test_a_name_of_two_packages_is_refused(install):
    install("foo", counting("optuna:tpe"))
    with pytest.raises(MissingError) as caught:
        engine_specs()
    assert str(caught.value) == (
        "the packages 'tuning' and 'foo' both have an engine 'optuna:tpe'; uninstall one of them"
    )


def test_without_any_entry_point_the_user_is_told_to_install(monkeypatch, install):
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    with pytest.raises(MissingError) as caught:
        engine_specs()
    assert str(caught.value) == "the package tuning is not installed; run: pip install -e ."


def test_an_adapter_answers_for_the_rows_of_its_own_package_only(install):
    install("foo", counting("optuna:foo").replace('family="foo"', 'family="Optuna"'))
    kinds = ["tpe", "random", "cmaes", "qmc", "nsga2", "gp", "grid"]
    require_kinds("Optuna", kinds)
    with pytest.raises(MissingError) as caught:
        require_kinds("Optuna", kinds[:-1])
    assert str(caught.value) == "listed as engines of Optuna, but not implemented: optuna:grid"


@pytest.mark.parametrize(
    ("ends", "never_ends"),
    [
        (Ends.BY_BUDGET, (True, True)),
        (Ends.BY_ITSELF, (False, False)),
        (Ends.WHERE_FINITE, (False, True)),
    ],
)
def test_when_an_engine_never_ends(ends, never_ends):
    spec = EngineSpec(name="x", family="x", summary="x", make=print, ends=ends)
    assert (spec.never_ends(finite_space=True), spec.never_ends(finite_space=False)) == never_ends


def test_the_table_is_quick():
    """A command reads it at each start: one scan of what is installed, about 5 ms."""
    code = (
        "import time, tuning.engines.catalog, tuning.study.engine_spec as table\n"
        "began = time.process_time(); table.engine_specs(); print(time.process_time() - began)"
    )
    fastest = min(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    )
    assert fastest < 0.03
