"""Whole searches with schedules and callbacks, against the plain program, and killed in between."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import cloudpickle
import keras
import pytest

from tests.search.callback_parts import FILE
from tests.trials.small_study import study
from tests.trials.test_fit_arguments import (
    OneCycle,
    decaying,
    job_seed,
    net,
    one_cycle,
    plain_program,
)
from tuning import Choice
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.storage.durable import read_json
from tuning.storage.home import tuning_home
from tuning.trial import TrialResult
from tuning.trials.worker_study import load_worker_study

ROOT = Path(__file__).parents[2]
DEVICES = "cpu"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("alone")]


def searched(defined, forkserver) -> TrialResult:
    """Return the only trial of a whole search, with its curve."""
    summary = run_study(defined, RunOptions(devices="cpu"), None, forkserver)
    assert summary.winner is not None
    (file,) = tuning_home(None).glob("ledger/*/*/trials/00000/result.json")
    return TrialResult.from_json(read_json(file))


def only_point(**changes):
    return study(
        space={"lr": Choice(0.05)}, engine="gridsearchcv", trials=None, top_k=1, seeds=1, **changes
    )


def test_an_exponential_decay_is_that_of_the_plain_program(traces, forkserver):
    defined = only_point(builder=decaying, epochs=5)
    result = searched(defined.with_(engine="optuna:grid"), forkserver)
    fold = load_worker_study(cloudpickle.dumps(defined), {}).fold(0)
    expected, rate = plain_program(defined, list, fold, decaying)
    assert rate < 0.02
    assert [row["val_rmse"] for row in result.curve] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("engine", ["optuna:grid", "gridsearchcv"])
def test_a_one_cycle_callback_is_that_of_the_plain_program(traces, forkserver, engine):
    defined = only_point(callbacks=one_cycle, epochs=4).with_(engine=engine)
    result = searched(defined, forkserver)
    fold = load_worker_study(cloudpickle.dumps(defined), {}).fold(0)
    keras.utils.set_random_seed(job_seed(defined))
    model = net(lr=0.05)
    cycle = OneCycle(0.05, 4 * -(-len(fold.train.y) // 16))
    # Its steps are Keras' own, and so is the order: the seed decides on it.
    keras.utils.set_random_seed(job_seed(defined))
    history = model.fit(
        fold.train.X, fold.train.y, batch_size=16, epochs=4, callbacks=[cycle], verbose=0
    )
    losses = [row["loss"] for row in result.curve]
    assert losses == pytest.approx(history.history["loss"], rel=1e-5)


def test_after_sigkill_a_trial_goes_on_with_what_its_callbacks_had_learnt(
    traces, forkserver, tmp_path, monkeypatch
):
    (traces / "gate").touch()
    driver = subprocess.Popen([sys.executable, "-m", "tests.search.callback_parts"], cwd=ROOT)
    until = time.monotonic() + 90
    while not (traces / "waits").exists():
        assert time.monotonic() < until
        time.sleep(0.05)
    driver.kill()
    driver.wait()
    (traces / "gate").unlink()

    killed = run_study(FILE, RunOptions(devices="cpu"), None, forkserver)
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "another"))
    whole = run_study(FILE, RunOptions(devices="cpu"), None, forkserver)
    assert [result.value for _, result in killed.trials] == [
        result.value for _, result in whole.trials
    ]
    notices = [result.notices for _, result in killed.trials]
    assert any("taken up at epoch 4" in each for each in notices), notices
