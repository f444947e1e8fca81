"""What a worker does in the moment its driver dies."""

import subprocess
import sys
from textwrap import dedent
from types import SimpleNamespace

import pytest

from tuning.executors.base import Job
from tuning.executors.worker import Limits, WorkerContext
from tuning.trial import Answer


def test_a_report_to_a_driver_that_is_gone_ends_the_worker_and_is_no_error_of_the_job(tmp_path):
    program = """
        import os
        from types import SimpleNamespace
        from tuning.executors.base import Job
        from tuning.executors.worker import WorkerContext

        def send(message):
            raise BrokenPipeError("the other end of the wire is gone")

        inbox = SimpleNamespace(wire=SimpleNamespace(send=send))
        try:
            WorkerContext(Job("1-1", "f"), "cpu:0", inbox).report(None)
        except BaseException:
            os._exit(7)  # a trial would be written down as failed
        os._exit(8)
    """
    done = subprocess.run([sys.executable, "-c", dedent(program)], check=False, timeout=20)
    assert done.returncode == 0


def test_limits_are_reached_by_jobs_or_by_growth():
    assert not Limits().reached(1000, 1e6)
    assert Limits(jobs=2).reached(2, 0.0)
    assert not Limits(jobs=2, growth_mb=10.0).reached(1, 10.0)
    assert Limits(growth_mb=10.0).reached(1, 10.1)


class KeptWire:
    """Notes how words leave."""

    def __init__(self):
        self.sent = []
        self.held = []

    def send(self, message):
        self.sent.append(message.report)

    def hold(self, message):
        self.held.append(message.report)


@pytest.mark.parametrize(("wants_answer", "sent"), [(False, [1]), (True, [1, 2, 3])])
def test_epochs_that_nobody_waits_for_are_told_together(wants_answer, sent):
    wire = KeptWire()
    inbox = SimpleNamespace(wire=wire, answer=lambda *, wait: Answer.CONTINUE)
    context = WorkerContext(Job("1-1", "f", wants_answer=wants_answer), "cpu:0", inbox)
    for report in (1, 2, 3):
        assert context.report(report) is Answer.CONTINUE
    assert wire.sent == sent
    assert sorted(wire.sent + wire.held) == [1, 2, 3]
