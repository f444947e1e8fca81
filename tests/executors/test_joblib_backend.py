"""`joblib.parallel_config("tuning")` on real workers."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.datasets import make_regression
from sklearn.model_selection import GridSearchCV, GroupKFold

import tuning.executors.joblib_backend as backend
from tuning.executors.devices.leases import Leases
from tuning.executors.devices.slots import parse_devices
from tuning.executors.executor_spec import LOCAL
from tuning.executors.pool import Pool


@pytest.fixture(scope="module")
def leases(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUNING_LEASES", str(tmp_path_factory.mktemp("leases")))
        yield


@pytest.fixture(scope="module")
def pool(forkserver, leases):
    backend.register()
    pool = Pool("cpu:2", forkserver)
    backend._pools["cpu:2", LOCAL] = pool
    yield pool
    del backend._pools["cpu:2", LOCAL]
    pool.close()


@pytest.fixture
def parallel(pool):
    with joblib.parallel_config("tuning", devices="cpu:2"):
        yield joblib.Parallel


def calls(function, *argument_lists):
    function.__module__ = "__main__"  # as in a notebook: the worker cannot import it
    return [joblib.delayed(function)(*arguments) for arguments in argument_lists]


def test_tasks_run_on_leased_workers_and_not_here(parallel, tmp_path):
    def where(folder):
        import os
        import time

        open(f"{folder}/{os.getpid()}", "w").close()
        until = time.monotonic() + 20
        while len(os.listdir(folder)) < 2 and time.monotonic() < until:
            time.sleep(0.01)
        return os.getpid(), tuple(os.sched_getaffinity(0))

    places = parallel()(calls(where, *[(str(tmp_path),)] * 4))
    assert os.getpid() not in {pid for pid, _ in places}
    assert len({cores for _, cores in places}) == 2


def test_one_call_after_another_uses_the_same_workers(parallel):
    def pid():
        import os

        return os.getpid()

    first = parallel()(calls(pid, *[()] * 6))
    second = parallel()(calls(pid, *[()] * 6))
    assert len({*first, *second}) <= 2


def test_an_exception_of_a_task_is_raised_here_with_the_workers_traceback(parallel):
    def fail():
        raise LookupError("no such thing")

    with pytest.raises(LookupError, match="no such thing") as caught:
        parallel()(calls(fail, (), ()))
    assert "in fail" in "".join(caught.value.__notes__)


def test_an_exception_that_cannot_be_unpickled_is_told_and_nobody_waits_for_ever(parallel):
    def fail():
        class Own(Exception):
            def __init__(self, what, code):
                super().__init__(f"{what} {code}")

        raise Own("no such thing", 7)

    with pytest.raises(backend.TuningError, match="no such thing 7"):
        parallel()(calls(fail, (), ()))
    assert parallel()(calls(lambda n: n + 1, (0,), (1,))) == [1, 2]


def test_a_worker_that_dies_is_told_and_the_next_call_works(parallel):
    def die(number):
        import os

        if number == 0:
            os._exit(7)
        return number

    with pytest.raises(backend.TuningError, match="a worker was lost"):
        parallel()(calls(die, (0,), (1,)))
    assert parallel()(calls(die, (1,), (2,))) == [1, 2]


def test_a_task_whose_worker_was_lost_is_run_once_more(parallel, tmp_path):
    def die_once(mark):
        import os
        from pathlib import Path

        if not Path(mark).exists():
            Path(mark).touch()
            os._exit(7)
        return "done"

    assert parallel()(calls(die_once, (str(tmp_path / "mark"),), (str(tmp_path),))) == ["done"] * 2


def test_a_big_array_is_written_once_and_read_without_pickle(parallel, pool):
    big = np.arange(20_000, dtype=float)
    before = set(pool.spool.glob("*.npy"))

    def total(array):
        return type(array).__name__, float(array.sum()), array.flags.writeable

    totals = parallel()(calls(total, *[(big,)] * 5))
    assert set(totals) == {("memmap", float(big.sum()), False)}
    assert len(set(pool.spool.glob("*.npy")) - before) == 1


def test_an_array_that_was_changed_in_place_is_sent_again(parallel):
    big = np.zeros(20_000)

    def total(array):
        return float(array.sum())

    assert parallel()(calls(total, (big,), (big,))) == [0.0, 0.0]
    big += 1
    assert parallel()(calls(total, (big,), (big,))) == [20_000.0, 20_000.0]


def test_parallelism_inside_a_worker_is_sequential(parallel):
    def nested():
        import os

        import joblib

        return os.getpid(), set(
            joblib.Parallel(n_jobs=2)(joblib.delayed(os.getpid)() for _ in range(3))
        )

    for pid, inner in parallel()(calls(nested, (), ())):
        assert inner == {pid}


def test_a_resting_pool_gives_its_slots_back(parallel, pool):
    parallel()([joblib.delayed(int)(), joblib.delayed(int)()])
    slot = parse_devices("cpu:2")[0].name
    others = Leases()
    pool.rest()
    until = time.monotonic() + 10
    while (lease := others.try_acquire(slot)) is None:
        assert time.monotonic() < until
        time.sleep(0.02)
    lease.release()
    others.close()


def test_an_idle_pool_gives_its_slots_to_somebody_who_waits(parallel, pool):
    parallel()([joblib.delayed(int)(), joblib.delayed(int)()])
    slot = parse_devices("cpu:2")[0].name
    others = Leases()
    until = time.monotonic() + 10
    with others.queue([slot]):
        while (lease := others.try_acquire(slot)) is None:
            assert time.monotonic() < until
            time.sleep(0.02)
    lease.release()
    others.close()


def test_a_grid_search_over_keras_agrees_with_the_sequential_one(parallel):
    from tuning import KerasRegressor

    X, y = make_regression(80, 4, random_state=0)

    def net(lr=0.01, input_shape=(4,)):
        import keras

        model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(lr), "mse")
        return model

    net.__module__ = "__main__"
    search = GridSearchCV(KerasRegressor(net, epochs=1, random_state=0), {"lr": [0.1, 0.01]}, cv=2)
    here = search.set_params(n_jobs=1).fit(X, y).cv_results_["mean_test_score"]
    there = search.set_params(n_jobs=-1).fit(X, y).cv_results_["mean_test_score"]
    np.testing.assert_allclose(here, there, rtol=1e-5)


def test_groups_given_to_a_grid_search_reach_its_splitter(parallel):
    from tuning import KerasRegressor

    X, y = make_regression(80, 4, random_state=0)
    groups = np.arange(80) // 8

    def net(lr=0.01, input_shape=(4,)):
        import keras

        model = keras.Sequential([keras.Input(input_shape), keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(lr), "mse")
        return model

    net.__module__ = "__main__"
    estimator = KerasRegressor(net, epochs=1, random_state=0)
    search = GridSearchCV(estimator, {"lr": [0.1]}, cv=GroupKFold(3), n_jobs=-1, refit=False)
    search.fit(X, y, groups=groups)
    folds = list(GroupKFold(3).split(X, y, groups))
    given = GridSearchCV(estimator, {"lr": [0.1]}, cv=folds, n_jobs=1, refit=False).fit(X, y)
    for fold in range(3):
        name = f"split{fold}_test_score"
        np.testing.assert_allclose(search.cv_results_[name], given.cv_results_[name], rtol=1e-5)


def test_joblib_knows_the_name_once_an_estimator_was_taken_from_tuning():
    from tuning import KerasClassifier

    assert KerasClassifier is not None
    assert "tuning" in joblib.parallel.EXTERNAL_BACKENDS


SCRIPT = """
    import os
    import joblib
    import tuning.executors.joblib_backend

    class Square:
        def __call__(self, x):
            return x * x, os.getpid()

    tuning.executors.joblib_backend.register()
    with joblib.parallel_config("tuning", devices="cpu:2"):
        results = joblib.Parallel()(joblib.delayed(Square())(x) for x in range(4))
    print([x for x, _ in results], os.getpid() in {pid for _, pid in results})
"""


@pytest.mark.slow
def test_an_unguarded_script_with_its_own_classes_works_and_ends(tmp_path):
    script = tmp_path / "search.py"
    script.write_text(textwrap.dedent(SCRIPT))
    environment = {
        **os.environ,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "TUNING_LEASES": str(tmp_path / "leases"),
    }
    done = subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, timeout=110
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout == "[0, 1, 4, 9] False\n"
