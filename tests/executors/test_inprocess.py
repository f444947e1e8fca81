import pytest

from tests.executors.contract import ExecutorContract
from tuning.executors.inprocess import InProcessExecutor


class TestInProcessExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self):
        executor = InProcessExecutor()
        yield executor
        executor.close()
