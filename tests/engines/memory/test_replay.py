"""Many asks of an earlier run in one message."""

from __future__ import annotations

from tuning.engines.memory import replay as module
from tuning.engines.memory.replay import Step, Told, replay
from tuning.trial import EpochReport, Pause, Proposal, Status, TrialResult


class Scripted:
    """Proposes x = 0, 1, 2 …; keeps what it hears."""

    def __init__(self, wrong_at=-1, ends_at=99):
        self.heard = []
        self._wrong_at = wrong_at
        self._ends_at = ends_at

    def ask(self, number):
        self.heard.append(("ask", number))
        if number >= self._ends_at:
            return Pause.EXHAUSTED
        x = -1.0 if number == self._wrong_at else float(number) * (1 + 1e-12)
        return Proposal(number, {"x": x}, 1)

    def report(self, report):
        self.heard.append(("report", report.number, report.epoch))
        return False

    def tell(self, result):
        self.heard.append(("tell", result.number))


def step(number, *told):
    return Step(told, Proposal(number, {"x": float(number)}, 1))


def ended(number, *epochs):
    reports = tuple(EpochReport(number, epoch, 1.0, {}, 0.0) for epoch in epochs)
    return Told(TrialResult(number, Status.COMPLETED, 1.0), reports)


def test_an_engine_hears_all_in_the_order_of_the_earlier_run():
    engine = Scripted()
    answers = replay(engine, [step(0), step(1), step(2, ended(1, 1, 2), ended(0))])
    assert [answer.number for answer in answers] == [0, 1, 2]
    assert engine.heard == [
        ("ask", 0),
        ("ask", 1),
        ("report", 1, 1),
        ("report", 1, 2),
        ("tell", 1),
        ("tell", 0),
        ("ask", 2),
    ]


def test_nothing_is_asked_after_a_proposal_that_is_another_one():
    engine = Scripted(wrong_at=1)
    answers = replay(engine, [step(0), step(1), step(2)])
    assert [answer.params["x"] for answer in answers] == [0.0, -1.0]


def test_an_engine_that_has_no_more_to_propose_is_not_asked_on():
    assert replay(Scripted(ends_at=1), [step(0), step(1), step(2)])[1:] == [Pause.EXHAUSTED]


def test_a_slow_engine_answers_before_it_has_taken_all_steps(monkeypatch):
    monkeypatch.setattr(module, "MOST_S", 0.0)
    assert len(replay(Scripted(), [step(0), step(1), step(2)])) == 1
