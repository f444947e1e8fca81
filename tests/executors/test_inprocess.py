import pytest

from tests.executors.contract import ExecutorContract
from tuning.errors import StudyError
from tuning.executors.inprocess import InProcessExecutor


class TestInProcessExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self):
        executor = InProcessExecutor()
        yield executor
        executor.close()


def test_it_refuses_other_slots_in_words():
    with pytest.raises(StudyError, match="one slot for good; run with --executor local"):
        InProcessExecutor().resize([])
