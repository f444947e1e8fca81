"""One forkserver without TensorFlow for the whole session: it starts in 0.1 s and forks like the
real one.
"""

import pytest

from tuning.executors.devices.leases import Leases
from tuning.executors.forkserver import ForkServer


@pytest.fixture(scope="session")
def light_forkserver():
    with ForkServer(["tuning.executors.worker"]) as server:
        server.wait_ready()
        yield server


@pytest.fixture
def leases(tmp_path):
    leases = Leases(tmp_path / "leases")
    yield leases
    leases.close()
