"""What tests of several rooms share."""

import gc
import os
import signal

import pytest

from tests.quick_fit import make_fit_quick
from tuning.executors.forkserver import ForkServer

# A shell has its background jobs ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Files of half a minute and more, the longest first: begun late, one would keep a test process
# when the others rest.
LONGEST = (
    "trainer/test_train",
    "search/test_run",
    "trainer/test_elastic",
    "writer/test_writer",
    "trainer/test_compiled",
    "trials/test_trial",
    "studies/test_studies",
    "estimators/test_wrappers",
    "engines/test_scikit_fit",
    "bench/test_run",
    "lr_range/test_sweep",
    "simulation/test_run",
    "executors/test_local",
    "cli/test_bench",
    "diagnosis/test_rules",
    "lr_range/test_callback",
    "bench/test_worker",
    "engines/test_remote",
    "data/test_cache",
    "estimators/test_checks",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Sort the files, each in the random order it has been given."""
    rank = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(f"{item.path.parent.name}/{item.path.stem}", len(rank)))


def pytest_collection_finish():
    """Keep the garbage collector from TensorFlow's million objects.

    Each look through them takes 0.2 s.
    """
    gc.collect()
    gc.freeze()
    make_fit_quick()


@pytest.fixture(scope="session", autouse=True)
def own_leases(tmp_path_factory):
    """Give each test process devices of its own.

    It waits neither for the other one nor for a search of the user's.
    """
    os.environ["TUNING_LEASES"] = str(tmp_path_factory.mktemp("leases"))
    yield
    del os.environ["TUNING_LEASES"]


@pytest.fixture(scope="session")
def forkserver():
    """One forkserver with TensorFlow for the whole session: its imports take 5 s."""
    with ForkServer() as server:
        yield server
