"""A KerasTuner engine that is given another's memory proposes what that one would have."""

from __future__ import annotations

import keras_tuner
import pytest

from tests.engines.contract import CONDITIONAL, FLAT, LABELS, NUMBERS, SMALL, make_study, result_of
from tuning.engines.catalog import make_engine
from tuning.engines.memory import keras_tuner_internals as internals
from tuning.engines.memory.memory import memory_of, restore
from tuning.trial import Pause, Proposal, Status

HINT = f"KerasTuner {keras_tuner.__version__}; checked with {internals.CHECKED_WITH}"


class Search:
    """Asks and tells with some trials open; hands over to a fresh engine when told."""

    def __init__(self, study, hand_over_at=(), open_at_once=3):
        self.study = study
        self.engine = make_engine(study, dict)
        self.proposed = []
        self._hand_over_at = hand_over_at
        self._open_at_once = open_at_once
        self._entries = {}

    def run(self, n_trials):
        running = []
        while len(self.proposed) < n_trials or running:
            answer = Pause.WAIT
            if len(running) < self._open_at_once and len(self.proposed) < n_trials:
                answer = self.engine.ask(len(self.proposed))
                self._entries.update(memory_of(self.engine))
            if isinstance(answer, Proposal):
                self.proposed.append((dict(answer.params), answer.epochs, answer.parent))
                running.append(answer)
            elif running:
                self._end(running.pop(len(self.proposed) % len(running)))
            else:
                break
        return self.proposed

    def _end(self, proposal):
        if proposal.number in self._hand_over_at:
            self.engine = make_engine(self.study, dict)
            restore(self.engine, self._entries)
        status = Status.FAILED if proposal.number % 7 == 6 else Status.COMPLETED
        self.engine.tell(result_of(proposal, status))
        self._entries.update(memory_of(self.engine))


STUDIES = {
    "random": make_study("keras-tuner:random", LABELS),
    "random, conditions": make_study("keras-tuner:random", CONDITIONAL),
    "random, few points": make_study("keras-tuner:random", SMALL),
    "random, points first": make_study("keras-tuner:random", FLAT, initial=4),
    "bayesian": make_study("keras-tuner:bayesian", NUMBERS, trials=14),
    "hyperband": make_study("keras-tuner:hyperband", FLAT, epochs=9, trials=None),
}


@pytest.mark.parametrize("name", STUDIES)
def test_an_engine_that_goes_on_from_the_memory_proposes_what_the_first_would_have(name):
    n_trials = 10 if name == "bayesian" else 22
    undisturbed = Search(STUDIES[name]).run(n_trials)
    disturbed = Search(STUDIES[name], hand_over_at=(0, 1, 5, 7, 8)).run(n_trials)
    assert disturbed == undisturbed, HINT


def test_a_point_that_was_taken_from_an_earlier_run_counts_as_tried_later_too():
    study = STUDIES["random, few points"]
    first = make_engine(study, dict)
    proposal = first.ask(0)
    other = make_engine(study, dict).ask(0).params | {"b": 4 - proposal.params["b"]}
    adopted = Proposal(0, other, proposal.epochs)
    assert first.adopt(adopted)
    entries = dict(memory_of(first))
    second = make_engine(study, dict)
    restore(second, entries)
    for engine in (first, second):
        engine.tell(result_of(adopted))
    assert [first.ask(n).params for n in (1, 2, 3)] == [second.ask(n).params for n in (1, 2, 3)]


def test_a_grid_has_no_memory():
    engine = make_engine(make_study("keras-tuner:grid", SMALL, trials=None), dict)
    assert memory_of(engine) is None
