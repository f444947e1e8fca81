"""The table of executors, and a package of somebody else's that adds a row."""

from __future__ import annotations

import sys
from textwrap import dedent

import pytest

from tuning.errors import MissingError, StudyError
from tuning.executors.base import Executor
from tuning.executors.devices.slot import Slot
from tuning.executors.executor_spec import Workplace, executor_spec, executor_specs
from tuning.executors.inprocess import InProcessExecutor
from tuning.executors.local import LocalExecutor
from tuning.executors.worker import Limits
from tuning.study import plugins

FOREIGN = """
    from tuning.executors.executor_spec import ExecutorSpec
    from tuning.executors.inprocess import InProcessExecutor

    class EchoExecutor(InProcessExecutor):
        pass

    EXECUTORS = [
        ExecutorSpec(name="{name}", summary="one after another", make=lambda place: EchoExecutor())
    ]
"""


@pytest.fixture
def fresh_table():
    executor_specs.cache_clear()
    yield
    executor_specs.cache_clear()


@pytest.fixture
def install(tmp_path, monkeypatch, fresh_table):
    """Put a package of somebody else's on the path, with its entry point."""

    def install(source, package="cluster"):
        folder = tmp_path / package
        (folder / f"{package}-1.0.dist-info").mkdir(parents=True)
        (folder / f"{package}_executors.py").write_text(dedent(source))
        info = folder / f"{package}-1.0.dist-info"
        info.joinpath("METADATA").write_text(f"Name: {package}\nVersion: 1.0\n")
        info.joinpath("entry_points.txt").write_text(
            f"[tuning.executors]\nrows = {package}_executors:EXECUTORS\n"
        )
        monkeypatch.syspath_prepend(folder)
        monkeypatch.delitem(sys.modules, f"{package}_executors", raising=False)

    return install


@pytest.fixture
def workplace(light_forkserver, tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    return Workplace(
        slots=[Slot("a")],
        forkserver=light_forkserver,
        log_folder=tmp_path / "logs",
        limits=Limits(),
    )


@pytest.mark.parametrize(
    ("name", "kind"), [("local", LocalExecutor), ("inprocess", InProcessExecutor)]
)
def test_each_row_makes_its_executor_on_the_slots(workplace, name, kind):
    executor: Executor = executor_spec(name).make(workplace)
    try:
        assert type(executor) is kind
        assert [slot.name for slot in executor.slots] == ["a"]
    finally:
        executor.close()


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(StudyError) as caught:
        executor_spec("locale")
    assert str(caught.value) == (
        "--executor: executor 'locale' is unknown. Did you mean 'local'? "
        "There are: inprocess, local, ray"
    )


def test_another_package_adds_an_executor(install, workplace):
    install(FOREIGN.format(name="echo"))
    executor = executor_spec("echo").make(workplace)
    assert type(executor).__name__ == "EchoExecutor"
    assert set(executor_specs()) == {"echo", "inprocess", "local", "ray"}


def test_a_name_of_two_packages_is_refused(install):
    install(FOREIGN.format(name="local"))
    with pytest.raises(MissingError, match="'cluster'") as caught:
        executor_specs()
    assert "both have an executor 'local'; uninstall one of them" in str(caught.value)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import surely_not_there", "ModuleNotFoundError: No module named 'surely_not_there'"),
        ("EXECUTORS = ['local']", "it is no sequence of ExecutorSpec"),
    ],
)
def test_a_broken_package_is_named(install, source, reason):
    install(source)
    with pytest.raises(MissingError) as caught:
        executor_specs()
    assert str(caught.value) == (
        "the executors of the package 'cluster' (cluster_executors:EXECUTORS) cannot be used: "
        f"{reason}. Repair or uninstall it."
    )


def test_without_any_row_the_package_is_not_installed(monkeypatch, fresh_table):
    monkeypatch.setattr(plugins, "entry_points", lambda group: [])
    with pytest.raises(MissingError, match="pip install -e"):
        executor_specs()
