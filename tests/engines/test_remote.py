"""The engine process, with real processes forked from a real forkserver."""

from __future__ import annotations

import pickle
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import pytest

from tests.engines import remote_study
from tests.engines.contract import result_of
from tests.patience import SOON_S
from tuning.engines.optuna import OptunaEngine
from tuning.engines.remote import RemoteEngine
from tuning.errors import MissingError, StudyError, TuningError
from tuning.study.objective import Maximize
from tuning.study.study import load_study
from tuning.trial import EpochReport, Pause

ROOT = Path(__file__).parents[2]
STUDY_FILE = str(Path(remote_study.__file__))


@pytest.fixture
def start(forkserver):
    """Start an engine process; return the driver's side and the child."""
    children = []

    def start(source=STUDY_FILE, **overrides):
        child = forkserver.spawn("tuning.engines.remote:serve", (source, overrides))
        children.append(child)
        return RemoteEngine(child.wire), child

    yield start
    for child in children:
        child.wire.close()
        assert child.join(SOON_S) == 0 or child.exitcode < 0
        child.close()


def test_a_study_is_described_without_its_functions(start):
    engine, _ = start(epochs=7, seed=3)
    record = engine.describe()
    study = load_study(STUDY_FILE).with_(epochs=7, seed=3)
    assert (record.name, record.epochs, record.seed, record.hash) == ("remote", 7, 3, study.hash)
    assert record.study_file == STUDY_FILE
    assert record.space == study.space
    data = record.data
    assert (data.rows, data.train, data.validation, data.test) == (80, 45, 15, 20)
    assert pickle.loads(pickle.dumps(record)) == record  # noqa: S301
    assert engine.describe() is record


def test_the_remote_engine_proposes_what_the_engine_itself_does(start):
    engine, _ = start()
    local = OptunaEngine(load_study(STUDY_FILE))
    for number in range(8):
        proposal = engine.ask(number)
        assert proposal == local.ask(number)
        for epoch in (1, 2, 3):
            report = EpochReport(number, epoch, float(number), {}, 0.1)
            assert engine.report(report) is local.report(report)
        for side in (engine, local):
            side.tell(result_of(proposal))
    assert engine.artifacts() == {}
    engine.close()


def test_remarks_and_the_end_of_a_grid_cross_the_wire(start):
    engine, _ = start(engine="keras-tuner:grid", pruner="none", trials=None)
    record = engine.describe()
    assert record.notices == engine.notices
    assert record.notices[0] == "grid: 18 points"
    for number in range(18):
        engine.tell(result_of(engine.ask(number)))
    assert engine.ask(18) is Pause.EXHAUSTED


def test_a_study_made_in_a_notebook_is_taken_as_its_pickle(start):
    cloudpickle.register_pickle_by_value(remote_study)  # as everything typed in a notebook is
    try:
        source = cloudpickle.dumps(remote_study.STUDY.with_(name="notebook"))
    finally:
        cloudpickle.unregister_pickle_by_value(remote_study)
    engine, _ = start(source)
    record = engine.describe()
    assert (record.name, record.study_file) == ("notebook", "")
    engine.close()


def _study_with(tmp_path, line):
    path = tmp_path / "broken.py"
    path.write_text(Path(STUDY_FILE).read_text() + f"\n{line}\n")
    return str(path)


@pytest.mark.parametrize(
    "overrides", [{"epochs": 0}, {"engin": "optuna:tpe"}, {"engine": "optuna:tpee"}]
)
def test_a_wrong_study_is_the_same_error_with_the_same_text_in_the_driver(start, overrides):
    with pytest.raises(StudyError) as here:
        load_study(STUDY_FILE).with_(**overrides)
    engine, child = start(**overrides)
    with pytest.raises(StudyError) as there:
        engine.describe()
    assert str(there.value) == str(here.value)
    assert there.value.faults == here.value.faults
    assert child.join(SOON_S) == 0


def test_a_data_function_that_fails_is_told_with_file_and_line(start, tmp_path):
    path = _study_with(tmp_path, "STUDY = STUDY.with_(data=no_data)")
    line = (
        Path(path).read_text().split("\n").index('    raise RuntimeError("the server is down")') + 1
    )
    with pytest.raises(StudyError) as caught:
        start(path)[0].describe()
    assert str(caught.value) == f"{path}:{line}: RuntimeError: the server is down"


def test_a_study_file_that_exits_is_told_with_file_and_line(start, tmp_path):
    path = _study_with(tmp_path, "STUDY = STUDY.with_(data=lambda: exit(3))")
    line = len(Path(path).read_text().splitlines())
    with pytest.raises(StudyError) as caught:
        start(path)[0].describe()
    assert str(caught.value) == f"{path}:{line}: SystemExit: 3"


def test_a_data_function_that_returns_something_else_is_told(start, tmp_path):
    engine, _ = start(_study_with(tmp_path, "STUDY = STUDY.with_(data=not_a_dataset)"))
    with pytest.raises(StudyError) as caught:
        engine.describe()
    assert str(caught.value) == "study 'remote': not_a_dataset() must return a Dataset, got a int"


def test_a_builder_that_does_not_fit_the_data_is_told_before_anything_is_trained(start, tmp_path):
    path = tmp_path / "wide.py"
    path.write_text(
        Path(STUDY_FILE).read_text().replace("keras.layers.Dense(1)", "keras.layers.Dense(3)")
    )
    with pytest.raises(StudyError, match="the last layer"):
        start(str(path))[0].describe()


def test_a_builder_is_tried_on_the_rows_of_the_window_that_is_searched(start, tmp_path):
    path = _study_with(
        tmp_path,
        "def build_wide(n_hidden=1, input_shape=(4,)):\n"
        "    import keras\n"
        "    model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1)])\n"
        "    model.compile(loss='mse')\n"
        "    return model\n"
        "def windows(window: int = 4):\n"
        "    X = np.random.default_rng(0).normal(size=(80, window))\n"
        "    return Dataset('windows', X, X.sum(axis=1), 'regression')\n"
        "SPACE = {'window': Choice(2, 4), 'n_hidden': Int(0, 2)}\n"
        "STUDY = STUDY.with_(builder=build_wide, data=windows, space=SPACE)",
    )
    assert start(path)[0].describe().name == "remote"


def test_too_many_folds_are_told_before_anything_is_trained(start):
    with pytest.raises(StudyError, match="60 rows cannot make 61 folds"):
        start(cv=61)[0].describe()


def test_a_missing_package_keeps_its_class_and_exit_code(start):
    with pytest.raises(MissingError) as caught:
        start(engine="optuna:gp", pruner="none")[0].describe()
    assert caught.value.exit_code == 3


def test_a_failure_of_ours_is_told_with_its_traceback_and_the_engine_lives_on(start):
    engine, _ = start()
    with pytest.raises(
        TuningError, match=r"(?s)the engine failed:.*optuna.py.*expected trial 0, got 5"
    ):
        engine.ask(5)
    assert engine.ask(0).number == 0


def test_the_death_of_the_engine_process_is_told_as_such(start):
    engine, child = start()
    engine.ask(0)
    _kill(child)
    for call in (lambda: engine.ask(1), lambda: engine.report(EpochReport(0, 1, 1.0, {}, 0.1))):
        with pytest.raises(
            TuningError, match="the engine process has ended, with all the engine knew"
        ):
            call()
    engine.close()


def test_the_engine_process_ends_when_the_driver_hangs_up(start):
    engine, child = start()
    engine.describe()
    child.wire.close()
    assert child.join(SOON_S) == 0


def test_closing_ends_the_engine_process_also_after_an_interrupted_ask(start):
    engine, child = start()
    engine.describe()
    child.wire.send(("ask", 0))  # an interrupt came before its answer was read
    engine.close()
    assert child.join(SOON_S) == 0


def _kill(child):
    while child.pid is None and child.poll() is None:  # it has still to be forked
        time.sleep(0.01)
    child.signal(signal.SIGKILL)
    assert child.join(SOON_S) == -signal.SIGKILL


def test_closing_does_not_wait_for_a_study_that_is_still_loading(start, tmp_path):
    slow = "import time\nSTUDY = STUDY.with_(data=lambda: time.sleep(60))"
    engine, child = start(_study_with(tmp_path, slow))
    began = time.monotonic()
    engine.close()
    assert time.monotonic() - began < SOON_S
    _kill(child)


def test_the_engine_process_sees_no_gpu(start, monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    engine, _ = start(_study_with(tmp_path, "STUDY = STUDY.with_(data=devices)"))
    assert engine.describe().data.unit == "-1"


def test_a_metric_that_does_not_fit_the_data_is_told_before_anything_is_trained(start):
    engine, _ = start(objective=Maximize("val_accuracy"))
    with pytest.raises(StudyError, match="objective 'val_accuracy' does not fit regression data"):
        engine.describe()


def test_the_driver_needs_neither_tensorflow_nor_an_engines_library():
    heavy = ("tensorflow", "keras", "optuna", "keras_tuner", "sklearn", "pandas")
    code = (
        "import sys, tuning.engines.remote;"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, text=True, cwd=ROOT
    )
    assert done.stdout == "[]\n"


def test_a_report_takes_less_than_a_third_of_a_millisecond(start):
    engine, _ = start(pruner="none", engine="optuna:random")
    engine.ask(0)
    metrics = dict.fromkeys(("loss", "val_loss", "rmse", "val_rmse", "val_mae", "val_r2"), 0.5)
    seconds = []
    for epoch in range(1, 301):
        began = time.perf_counter()
        engine.report(EpochReport(0, epoch, 0.5, metrics, 0.1))
        seconds.append(time.perf_counter() - began)
    assert statistics.median(seconds) < 3e-4
