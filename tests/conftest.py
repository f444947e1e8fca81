"""What tests of several rooms share."""

import gc
import os
import signal

import pytest
from hypothesis import settings

from tests.patience import SLOW_S, UNHURRIED
from tests.quick_fit import make_fit_quick
from tuning.executors.forkserver import ForkServer

# A shell has its background jobs ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("unhurried", deadline=None, suppress_health_check=UNHURRIED)
settings.load_profile("unhurried")

# Files of ten seconds and more, the longest first: begun late, one would keep a test process
# when the others rest.
LONGEST = (
    "trainer/test_train",
    "search/test_run",
    "trainer/test_native_steps",
    "trainer/test_compiled",
    "engines/test_catalog",
    "writer/test_writer",
    "ended/test_rerun",
    "bench/test_run",
    "executors/test_local",
    "executors/test_ray",
    "trials/test_trial",
    "trials/test_own_fit",
    "trainer/test_nested",
    "lr_range/test_callback",
    "trials/test_any_data",
    "trials/test_winner_scores",
    "trainer/test_elastic",
    "trainer/test_streams",
    "lr_range/test_sweep",
    "trials/test_kinds",
    "simulation/test_run",
    "engines/test_remote",
    "cli/test_sync",
    "data/test_cache",
    "trials/test_fit_arguments",
)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Sort the files, each in the random order it has been given; give slow tests time."""
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_S))
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
