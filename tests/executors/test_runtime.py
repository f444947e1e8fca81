"""Which files of a project nodes get, and what becomes of a node by them."""

import os
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import tuning
from tuning.errors import MissingError
from tuning.executors.cluster import runtime
from tuning.executors.cluster.runtime import runtime_of
from tuning.executors.cluster.settling import RuntimePlan, Settling, settle_in
from tuning.executors.cluster.versions import Versions, version_faults, versions_here


@pytest.fixture
def project(tmp_path):
    """A study with a module beside it, a package of the project's, and data files."""
    files = {
        "studies/wine.py": "import numpy, helpers, layers.dense\nTABLE = 'data/wine.csv'\n",
        "studies/helpers.py": "from deep import X\n",
        "studies/deep.py": "X = 1\n",
        "studies/other.py": "",
        "studies/wine-images/a.png": "pixels",
        "layers/__init__.py": "",
        "layers/dense.py": "",
        "layers/conv.py": "",
        "data/wine.csv": "1,2",
        "data/secret.csv": "3,4",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def names_of(found):
    return sorted(name for name in found.files if not name.startswith("tuning"))


def test_a_study_travels_with_the_modules_it_imports_and_the_data_it_names(project):
    found = runtime_of([str(project / "studies/wine.py")], project=project)
    assert names_of(found) == [
        "project/data/wine.csv",
        "project/layers/__init__.py",
        "project/layers/conv.py",
        "project/layers/dense.py",
        "project/studies/deep.py",
        "project/studies/helpers.py",
        "project/studies/wine-images/a.png",
        "project/studies/wine.py",
    ]
    assert found.sources == {str(project / "studies/wine.py"): "project/studies/wine.py"}


def test_a_study_from_outside_the_project_travels_too(project, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    found = runtime_of([str(project / "studies/wine.py")], project=elsewhere)
    assert found.sources == {str(project / "studies/wine.py"): "path-0/wine.py"}
    assert "path-0/helpers.py" in found.files


def test_equal_files_make_equal_archives(project, tmp_path):
    source = str(project / "studies/wine.py")
    first = runtime_of([source], project=project).archive()
    (project / "studies/wine.py").touch()
    again = runtime_of([source], project=project).archive()
    assert first == again
    assert len(first) < 5_000_000


def test_what_is_unpacked_is_this_package_installed(project, tmp_path):
    found = runtime_of([str(project / "studies/wine.py")], project=project)
    with zipfile.ZipFile(found.write(tmp_path)) as archive:
        archive.extractall(tmp_path / "node")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import tuning; print(tuning.__file__);"
        "from tuning.executors.executor_spec import executor_specs; print(*executor_specs())"
    )
    printed = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path / "node")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.startswith(str(tmp_path / "node"))
    assert "ray" in printed


def test_the_largest_data_are_left_out_and_said(project, monkeypatch):
    monkeypatch.setattr(runtime, "MOST_DATA_BYTES", 5)
    found = runtime_of([str(project / "studies/wine.py")], project=project)
    assert found.left_out == (str(project / "studies/wine-images/a.png"),)
    assert "do not travel to the nodes" in found.notice()
    assert "project/data/wine.csv" in found.files


def test_a_node_with_the_same_project_at_its_place_is_known(project):
    plan = RuntimePlan.of(runtime_of([str(project / "studies/wine.py")], project=project))
    assert plan.is_here
    (project / "studies/deep.py").write_text("X = 2\n")
    assert not plan.is_here


def test_versions_that_differ_are_told_with_the_node_and_both():
    ours = Versions("3.11", {"tuning": "0.2.0", "ray": "2.60.0", "tensorflow": "2.21.0"})
    theirs = replace(ours, python="3.12", packages={**ours.packages, "ray": "none"})
    assert version_faults("10.0.0.7", theirs, ours) == [
        "node 10.0.0.7 has Python 3.12, here it is 3.11; start Ray there with Python 3.11",
        "node 10.0.0.7 has no ray, here it is 2.60.0; run there: "
        "python -m pip install 'ray==2.60.0'",
    ]
    assert version_faults("10.0.0.7", ours, ours) == []


def test_versions_are_known_without_importing_what_they_are_of():
    code = "from tuning.executors.cluster.versions import versions_here; import sys;"
    code += "assert versions_here().packages['keras'][0].isdigit();"
    code += "assert not {'keras', 'tensorflow', 'ray'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert versions_here().python.startswith("3.")


def test_a_node_without_the_project_works_in_what_has_come(project, tmp_path, monkeypatch):
    found = runtime_of([str(project / "studies/wine.py")], project=project)
    plan = RuntimePlan.of(found)
    node = tmp_path / "node"
    with zipfile.ZipFile(found.write(tmp_path)) as archive:
        archive.extractall(node)
    (project / "studies/deep.py").write_text("X = 2\n")

    monkeypatch.setattr(tuning, "__file__", str(node / "tuning/__init__.py"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TUNING_HOME", "")
    monkeypatch.delenv("TUNING_HOME")
    monkeypatch.chdir(tmp_path)
    code = settle_in(Settling(plan=plan, versions=versions_here(), home="/driver"), "node-1")

    assert Path.cwd() == node / "project"
    assert code == {"project/studies/wine.py": str(node / "project/studies/wine.py")}
    assert os.environ["TUNING_HOME"] == str(tmp_path / "cache" / "tuning")
    assert str(node / "project/studies") in sys.path


def test_a_node_of_another_python_is_refused():
    theirs = Settling(versions=replace(versions_here(), python="2.7"))
    with pytest.raises(MissingError, match=r"node 10\.0\.0\.7 has Python 3"):
        settle_in(theirs, "10.0.0.7")
