"""What tests of several rooms share."""

import pytest

from tuning.executors.forkserver import ForkServer


@pytest.fixture(scope="session")
def forkserver():
    """One forkserver with TensorFlow for the whole session: its imports take 5 s."""
    with ForkServer() as server:
        yield server
