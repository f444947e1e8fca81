"""`from_range_test` in a space: measured once, remembered, the same for every engine."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from tuning.engines.remote import RemoteEngine
from tuning.errors import StudyError
from tuning.executors.base import Died, Finished
from tuning.ledger.begin import begin
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import SearchFiles
from tuning.ledger.spaces import space_of
from tuning.lr_range.plot import PlottableLRRange
from tuning.lr_range.result import LRRangeJob
from tuning.search import lr_bounds as bounds_of_rates
from tuning.search.lr_bounds import LRBounds, kept_tests, measure_lr_bounds, run_tests
from tuning.search.processes import source_of
from tuning.space.domains import Float, FromRangeTest
from tuning.space.positions import Intervals
from tuning.space.space import Int, Space
from tuning.storage.durable import read_json, write_json
from tuning.study.objective import Minimize
from tuning.study.study import Study

FILE = '''"""A small study."""
import numpy as np
from tuning import Choice, Dataset, Float, Int, Minimize, Study
from tuning.builders.mlp import build_model

def data():
    X = np.random.default_rng(0).normal(size=(200, 3))
    return Dataset(name="plane", X=X, y=X.sum(axis=1), task="regression")

STUDY = Study(name="plane", builder=build_model, data=data, objective=Minimize("val_rmse"),
    space={"n_hidden": Int(0, 1), "n_neurons": Int(2, 6),
           "optimizer": Choice("sgd", "adam"), "LR": MARK},
    epochs=2, trials=2)
'''


@pytest.fixture
def study_file(tmp_path):
    def write(name="lr", mark='"from_range_test"'):
        path = tmp_path / "plane.py"
        path.write_text(FILE.replace('"LR"', f'"{name}"').replace("MARK", mark))
        return str(path)

    return write


def engine_of(forkserver, source, overrides):
    child = forkserver.spawn("tuning.engines.remote:serve", (source, overrides))
    return RemoteEngine(child.wire), child


def described(forkserver, source, overrides=None):
    engine, child = engine_of(forkserver, source, overrides or {})
    try:
        return engine.describe()
    finally:
        engine.close()
        child.close()


def study_of(**changes) -> Study:
    fields = {
        "name": "a",
        "builder": lambda lr, n=1: None,
        "data": lambda: None,
        "objective": Minimize("val_loss"),
    }
    return Study(**{**fields, "space": {"lr": "from_range_test", "n": Int(1, 3)}, **changes})


def test_the_word_in_a_space_is_a_wide_log_range_until_it_is_measured():
    lr = study_of().space["lr"]
    assert (lr.low, lr.high, lr.log, lr.within) == (1e-5, 1.0, True, None)
    assert study_of().space.unmeasured == ("lr",)


def test_measured_bounds_replace_the_wide_ones_and_later_changes_keep_them():
    study = study_of().with_(intervals={"lr": [1e-3, 1e-1]}).with_(trials=3)
    assert (study.space["lr"].low, study.space["lr"].high, study.space["lr"].within) == (
        1e-3,
        1e-1,
        (1e-5, 1.0),
    )
    assert study.space.unmeasured == ()


def test_the_definition_tells_both_bounds_and_can_be_read_back():
    definition = json.loads(json.dumps(study_of(intervals={"lr": [1e-3, 1e-1]}).definition()))
    assert definition["from_range_test"] == {"lr": "1e-05 … 1.0"}
    assert space_of(definition)["lr"] == Float(1e-3, 1e-1, log=True)
    assert "from_range_test" not in study_of(space={"lr": Float(0.1, 1.0)}).definition()


def test_a_measured_rate_keeps_its_conditions():
    lr = Float.from_range_test(1e-4, 1e-1).when(n=2)
    assert Space({"n": Int(1, 3), "lr": lr}).narrowed({"lr": (1e-3, 1e-2)})["lr"].conditions == (
        ("n", (2,)),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intervals": {"n": [1, 2]}}, "intervals: 'n' is not from a range test in the space"),
        ({"intervals": {"lr": [1e-9, 1e-2]}}, "is outside 1e-05 … 1.0, where the range test looks"),
        ({"space": {"lr": Float.from_range_test(0.0, 1.0)}}, "a log range must start above 0"),
        ({"space": {"lr": "from_range"}}, "'lr' is 'from_range'; use Int, Float or Choice"),
    ],
)
def test_wrong_bounds_are_refused(changes, message):
    with pytest.raises(StudyError, match=message):
        study_of(**changes)


def test_the_interval_is_measured_in_a_worker_at_several_structures_and_reaches_the_engine(
    tmp_path, forkserver, study_file, monkeypatch
):
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    source = source_of(study_file())
    notices = []
    record = described(forkserver, source)
    lr_bounds = measure_lr_bounds(
        record, source, {}, tmp_path, devices="cpu", forkserver=forkserver, notice=notices.append
    )
    assert {test.label.split(",")[0] for test in lr_bounds.tests["lr"]} == {
        "n_hidden=0",
        "n_hidden=1",
    }
    low, high = lr_bounds.intervals["lr"]
    assert 1e-5 <= low < high <= 1.0
    assert min(test.interval[0] for test in lr_bounds.tests["lr"]) == low
    assert notices[-1] == f"lr is searched from {low:.3g} to {high:.3g}"
    narrow = described(forkserver, source, {"intervals": dict(lr_bounds.intervals)})
    assert (narrow.space["lr"].low, narrow.space["lr"].high) == (low, high)
    lr_bounds.keep(tmp_path)
    assert {path.name for path in (tmp_path / "artifacts").iterdir()} == {
        "lr_range_lr.json",
        "lr_range_lr.html",
        "lr_range_lr.png",
    }
    assert [test.to_json() for test in kept_tests(tmp_path)] == [
        test.to_json() for test in lr_bounds.tests["lr"]
    ]


def test_what_a_search_remembers_is_not_measured_again(tmp_path):
    write_json(
        tmp_path / "search.json",
        {"intervals": {"lr": [0.01, 0.1]}, "versions": [_record().definition]},
    )
    lr_bounds = measure_lr_bounds(_record(), "nowhere.py", {}, tmp_path, devices="no such device")
    assert lr_bounds == LRBounds({"lr": [0.01, 0.1]})


def test_bounds_measured_with_the_builder_as_it_was_are_kept_and_that_is_told(tmp_path):
    old = {**_record().definition, "builder": "another"}
    notices = []
    write_json(tmp_path / "search.json", {"intervals": {"lr": [0.01, 0.1]}, "versions": [old]})
    lr_bounds = measure_lr_bounds(
        _record(), "nowhere.py", {}, tmp_path, devices="no such device", notice=notices.append
    )
    assert lr_bounds == LRBounds({"lr": [0.01, 0.1]})
    assert notices == [
        "the learning rates' bounds are those of the builder as it was; --fresh measures them anew"
    ]


def test_what_was_measured_in_another_range_is_not_taken(tmp_path):
    old = {**_record().definition, "from_range_test": {"lr": "0.1 … 1.0"}}
    write_json(tmp_path / "search.json", {"intervals": {"lr": [0.01, 0.1]}, "versions": [old]})
    assert measure_lr_bounds(_record(), "nowhere.py", {}, tmp_path, again=False) == LRBounds()
    with pytest.raises(StudyError, match="no such device"):
        measure_lr_bounds(_record(), "nowhere.py", {}, tmp_path, devices="no such device")


def test_a_study_without_such_a_rate_costs_nothing(tmp_path):
    record = _record({"lr": Float(0.1, 1.0)})
    lr_bounds = measure_lr_bounds(record, "nowhere.py", {}, tmp_path, devices="none")
    assert lr_bounds == LRBounds()


def _record(space=None):
    from types import SimpleNamespace

    definition = {"from_range_test": {"lr": "1e-05 … 1.0"}, "builder": "b"}
    space = Space(space or {"lr": FromRangeTest(1e-5, 1.0, log=True)})
    return SimpleNamespace(space=space, name="a", definition=definition)


@pytest.mark.parametrize(
    "engine", ["optuna:random", "keras-tuner:random", "randomizedsearchcv", "optuna:grid"]
)
def test_every_kind_of_engine_stays_inside_the_measured_bounds(forkserver, study_file, engine):
    overrides = {"engine": engine, "intervals": {"lr": [0.01, 0.02]}}
    remote, child = engine_of(forkserver, source_of(study_file()), overrides)
    try:
        remote.describe()
        assert 0.01 <= remote.ask(0).params["lr"] <= 0.02
    finally:
        remote.close()
        child.close()


def test_a_test_that_took_too_much_memory_is_done_once_more_alone():
    ends = [Died("", "host_oom", "9 GB"), Finished("", "a test")]
    submitted = []

    class Executor:
        def submit(self, job):
            submitted.append(job)

        def events(self, timeout_s):
            return [replace(ends.pop(0), job=submitted[-1].id)]

    job = LRRangeJob(source="study.py", overrides={})
    looks = []
    assert run_tests(Executor(), [job], lambda: looks.append(1)) == ["a test"]
    assert [each.alone for each in submitted] == [False, True]
    assert len(looks) == 2


@pytest.mark.slow  # 22 s: five structures, three seeds each
def test_each_structure_gets_an_interval_of_its_own_where_that_is_asked_for(
    tmp_path, forkserver, study_file, monkeypatch
):
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    source = source_of(study_file(mark="Float.from_range_test(1e-4, 1.0, per_structure=True)"))
    record = described(forkserver, source)
    notices = []
    lr_bounds = measure_lr_bounds(
        record, source, {}, tmp_path, devices="cpu", forkserver=forkserver, notice=notices.append
    )
    assert [row[:2] for row in lr_bounds.intervals["lr"]] == [
        ["", None],
        ["n_hidden", 1],
        ["n_neurons", 2],
        ["n_neurons", 6],
        ["optimizer", "adam"],
    ]
    assert notices[-1].startswith("lr is searched in an interval for each structure, from ")
    remote, child = engine_of(forkserver, source, {"intervals": dict(lr_bounds.intervals)})
    try:
        assert remote.describe().space.positioned == ("lr",)
        params = remote.ask(0).params
        low, high = Intervals(remote.describe().space, "lr").of(params)
        assert low <= params["lr"] <= high
    finally:
        remote.close()
        child.close()


@pytest.fixture
def searched(tmp_path, monkeypatch):
    """The folder of a search whose two rates were tested."""
    for name in ("write_html", "write_png"):  # pictures take a second
        monkeypatch.setattr(bounds_of_rates, name, lambda *arguments: None)
    header = SearchHeader(
        study="plane",
        engine="optuna:tpe",
        objective=Minimize("val_rmse"),
        versions=({"seed": 1},),
    )
    folder = begin(tmp_path / "own", header, fresh=False, allow_change=False).folder
    tests = {
        name: [measured(interval)] for name, interval in (("lr", (0.1, 0.2)), ("lr_2", (3, 4)))
    }
    LRBounds({}, tests).keep(folder)
    return folder


def measured(interval):
    curve = np.array([1.0, 2.0])
    return PlottableLRRange(
        lrs=curve, losses=curve, low=curve, high=curve, suggestions={"steepest": 0.1}, reasons={},
        lr_min=0.1, lr_max=1.0, bounds=(0.1, 1.0), interval=interval, stable=(0.5,),
        batch_size=32, seeds=1, steps=2, diverged=False, study="plane",
    )  # fmt: skip


def test_tests_are_those_of_their_own_rate(searched, caplog):
    assert [test.interval for test in kept_tests(searched)] == [(0.1, 0.2), (3.0, 4.0)]
    artifacts = searched / "artifacts"
    shutil.copy(artifacts / "lr_range_lr_2.json", artifacts / "lr_range_lr.json")
    assert [test.interval for test in kept_tests(searched)] == [(3.0, 4.0)]
    assert "it is of another study or rate" in caplog.text


def test_tests_of_another_study_are_not_shown(searched, tmp_path):
    header = replace(SearchFiles(searched).header, versions=({"seed": 2},))
    other = begin(tmp_path / "other", header, fresh=False, allow_change=False).folder
    shutil.copytree(searched / "artifacts", other / "artifacts")
    assert kept_tests(other) == []


def test_tests_that_are_cut_off_are_not_shown_and_those_of_earlier_versions_are(searched):
    artifacts = searched / "artifacts"
    (stored,) = read_json(artifacts / "lr_range_lr.json")
    del stored["digest"]
    write_json(artifacts / "lr_range_lr.json", [stored])
    cut = artifacts / "lr_range_lr_2.json"
    cut.write_bytes(cut.read_bytes()[:-20])
    assert [test.interval for test in kept_tests(searched)] == [(0.1, 0.2)]


def test_tests_stay_those_of_a_search_that_is_gone_on_with_under_another_definition(searched):
    files = SearchFiles(searched)
    files.add_version(replace(files.header, versions=({"seed": 1, "epochs": 9},)))
    assert len(kept_tests(searched)) == 2


def test_what_was_measured_on_other_data_is_not_taken(tmp_path):
    record = _record()
    old = {**record.definition, "data_digest": "other"}
    write_json(tmp_path / "search.json", {"intervals": {"lr": [0.01, 0.1]}, "versions": [old]})
    record.definition["data_digest"] = "own"
    assert measure_lr_bounds(record, "nowhere.py", {}, tmp_path, again=False) == LRBounds()
