"""An Optuna engine that is given another's memory proposes what that one would have."""

from __future__ import annotations

import optuna
import pytest

from tests.engines.contract import CONDITIONAL, FLAT, LABELS, NUMBERS, SMALL, make_study, result_of
from tests.engines.test_inner_names import data, objective
from tuning.engines.catalog import make_engine
from tuning.engines.memory.memory import memory_of, restore
from tuning.engines.memory.optuna_internals import random_states
from tuning.engines.memory.optuna_memory import OptunaMemory
from tuning.study.objective import Minimize
from tuning.study.study import Study
from tuning.trial import EpochReport, Proposal, Status


class Search:
    """Asks, reports and tells with three trials open; hands over to a fresh engine when told."""

    def __init__(self, study, hand_over_at=()):
        study.check()
        self.study = study
        self.engine = make_engine(study, dict)
        self.proposed = []
        self.answers = []
        self._hand_over_at = hand_over_at
        self._entries = {}

    def run(self, n_trials):
        running = []
        while len(self.proposed) < n_trials or running:
            if len(running) < 3 and len(self.proposed) < n_trials:
                proposal = self.engine.ask(len(self.proposed))
                self._remember()
                self.proposed.append(dict(proposal.params))
                running.append(proposal)
            else:
                self._end(running.pop(len(self.proposed) % 2))
        return self.proposed, self.answers

    def _end(self, proposal):
        reports = [
            EpochReport(proposal.number, epoch, (1 + proposal.number % 5) / epoch, {}, 0.0)
            for epoch in range(1, proposal.epochs + 1)
        ]
        pruned = [self.engine.report(report) for report in reports]
        self.answers.append(pruned)
        if proposal.number in self._hand_over_at:
            self.engine = make_engine(self.study, dict)
            restore(self.engine, self._entries)
            for report in reports:  # what was reported since the last entries
                self.engine.report(report)
        self.engine.tell(result_of(proposal, _status(proposal.number, any(pruned))))
        self._remember()

    def _remember(self):
        self._entries.update(memory_of(self.engine))


def _status(number, is_pruned):
    if number % 7 == 6:
        return Status.FAILED
    if number % 11 == 10:
        return Status.INFEASIBLE
    return Status.PRUNED if is_pruned else Status.COMPLETED


STUDIES = {
    "tpe": make_study("optuna:tpe", FLAT),
    "tpe, conditions, asha": make_study("optuna:tpe", CONDITIONAL, pruner="asha", epochs=27),
    "tpe, hyperband": make_study("optuna:tpe", NUMBERS, pruner="hyperband"),
    "tpe, labels, points first": make_study("optuna:tpe", LABELS, initial=4),
    "cmaes": make_study("optuna:cmaes", FLAT),
    "nsga2": make_study("optuna:nsga2", FLAT, engine_options={"population_size": 6}),
    "nsga2, median": make_study("optuna:nsga2", CONDITIONAL, pruner="median", trials=20),
    "random": make_study("optuna:random", LABELS),
    "qmc": make_study("optuna:qmc", NUMBERS),
    "qmc, conditions": make_study("optuna:qmc", CONDITIONAL),
    "grid": make_study("optuna:grid", SMALL, trials=None),
    "alternatives": Study(
        name="contract",
        builder=objective,
        data=data,
        objective=Minimize("val_y"),
        engine="optuna:tpe",
        trials=60,
        epochs=9,
        trainer="function",
    ),
}


@pytest.mark.parametrize("name", STUDIES)
def test_an_engine_that_goes_on_from_the_memory_proposes_what_the_first_would_have(name):
    undisturbed = Search(STUDIES[name]).run(24)
    disturbed = Search(STUDIES[name], hand_over_at=(0, 1, 9, 13, 14)).run(24)
    assert disturbed == undisturbed


def test_an_ask_that_is_remembered_may_be_adopted_by_another_engine():
    study = STUDIES["tpe"]
    engines = []
    for hands_over in (False, True):
        engine = make_engine(study, dict)
        proposal = engine.ask(0)
        if hands_over:
            entries = memory_of(engine)
            engine = make_engine(study, dict)
            restore(engine, entries)
        other = Proposal(0, {**proposal.params, "n_hidden": 3, "width": 77}, proposal.epochs)
        assert engine.adopt(other)
        engine.tell(result_of(other))
        engines.append(engine)
    assert [engine.ask(1).params for engine in engines[:1]] == [engines[1].ask(1).params]


def test_a_sampler_that_keeps_more_than_its_trials_tell_has_no_memory():
    engine = make_engine(make_study("optuna:tpe", FLAT, engine_options={"group": True}), dict)
    assert memory_of(engine) is None


def test_what_has_not_moved_is_not_sent_and_a_normal_number_in_reserve_is():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    memory = OptunaMemory(study)
    (random,) = random_states(study.sampler)
    assert {"random 0", "table 0"} <= memory.changes().keys()
    assert memory.changes() == {}
    random.normal()  # makes two, and keeps one
    assert "random 0" in memory.changes()
    random.normal()
    entry = memory.changes()["random 0"]

    other = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=2))
    again = OptunaMemory(other)
    again.restore_random({"random 0": entry, "table 0": random.get_state()[1].tobytes()})
    assert random_states(other.sampler)[0].normal() == random.normal()
