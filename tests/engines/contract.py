"""What every engine must do; test_catalog.py has a subclass of `EngineContract` for each row.

A subclass sets `engine` and the few facts in which engines differ that no row holds.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from tuning.data.dataset import Dataset
from tuning.data.parts import Parts, split
from tuning.engines.base import Engine
from tuning.engines.catalog import make_engine
from tuning.errors import MissingError, StudyError
from tuning.space.domains import Choice, Float, Int
from tuning.space.space import Space
from tuning.study.engine_spec import engine_spec
from tuning.study.objective import Minimize, Objective
from tuning.study.study import Study
from tuning.study.unit_cube import initial_points
from tuning.trial import EpochReport, FoldResult, Pause, Proposal, Status, TrialResult

FLAT = Space(
    {
        "n_hidden": Int(0, 3),
        "n_neurons": Int(8, 64, step=8),
        "width": Int(1, 1000, log=True),
        "lr": Float(1e-4, 1e-1, log=True),
        "dropout": Float(0.0, 0.5),
        "batch_size": Choice(16, 32, 64),
    }
)
CONDITIONAL = Space(
    {
        "momentum": Float(0.0, 0.99).when(optimizer="sgd"),
        "optimizer": Choice("sgd", "adam", "rmsprop"),
        "nesterov": Choice(True, False).when(optimizer="sgd", momentum_on=True),
        "momentum_on": Choice(True, False),
        "n_hidden": Int(0, 3),
        "last": Int(1, 9).when(n_hidden=[2, 3]),
        "lr": Float(1e-4, 1e-1, log=True),
    }
)
LABELS = Space(
    {
        "activation": Choice(None, "relu", "None of these"),
        "shape": Choice((32, 32), (64,), ()),
        "mixed": Choice(True, 1.5, "1.5", None, 7),
        "lr": Float(1e-4, 1e-1, log=True),
    }
)
NUMBERS = Space({"n_neurons": Int(1, 64), "lr": Float(1e-4, 1e-1, log=True)})
SMALL = Space(
    {"a": Choice("x", "y"), "b": Int(1, 3), "c": Choice(None, 1).when(a="y"), "lr": Float(0.1, 0.3)}
)
SMALL_POINTS = (
    3 * 3 + 3 * 3 * 2
)  # b and lr have three values each; c exists under one of two values of a
SPACES = {"flat": FLAT, "conditional": CONDITIONAL, "labels": LABELS, "numbers": NUMBERS}


def anything(**_: Any) -> None:
    """A builder that takes every parameter; no engine ever calls it."""


def make_study(engine: str, space: Space, **changes: Any) -> Study:
    """Return a study for `engine`; its builder and data are never used."""
    values = {"objective": Minimize("val_rmse"), "trials": 60, "epochs": 9, **changes}
    return Study(
        name="contract", builder=anything, data=anything, space=space, engine=engine, **values
    )


@functools.cache
def make_parts() -> Parts:
    """Return the parts of a small table, which scikit-learn's engines alone look at."""
    rng = np.random.default_rng(0)
    data = Dataset("numbers", rng.normal(size=(40, 3)), rng.normal(size=40), "regression")
    return split(data, seed=0)


def value_of(proposal: Proposal) -> float:
    """Return a smooth value without chance, smallest at lr = 0.01, a little better with more
    epochs.
    """
    lr = proposal.params.get("lr", 0.1)
    return abs(math.log10(lr) + 2) + 0.1 * len(proposal.params) + 1 / (1 + proposal.epochs)


def result_of(proposal: Proposal, status: Status = Status.COMPLETED) -> TrialResult:
    """Return how a trial of `proposal` ended, with one row of curve for each epoch."""
    value = value_of(proposal) if status in (Status.COMPLETED, Status.PRUNED) else None
    curve = tuple({"epoch": float(e), "val_rmse": 1.0 / e} for e in range(1, proposal.epochs + 1))
    fold = FoldResult(
        0,
        value or 0.0,
        {"rmse": value or 0.0},
        curve,
        best_epoch=proposal.epochs,
        seconds=0.1,
        seed=0,
    )
    folds = (fold,) if value is not None else ()
    return TrialResult(
        proposal.number, status, value, folds=folds, epochs=proposal.epochs, seconds=0.1
    )


def all_completed(number: int) -> Status:
    """Every trial ends well."""
    return Status.COMPLETED


def run(
    engine: Engine, trials: int, status: Callable[[int], Status] = all_completed, slots: int = 1
) -> list[Proposal]:
    """Ask and tell until `trials` proposals or the end; `slots` are open at once and the newest is
    told first.
    """
    proposals: list[Proposal] = []
    running: list[Proposal] = []
    while True:
        answer: Proposal | Pause = Pause.WAIT
        if len(running) < slots and len(proposals) < trials:
            answer = engine.ask(len(proposals))
        if isinstance(answer, Proposal):
            proposals.append(answer)
            running.append(answer)
        elif running:
            done = running.pop()
            engine.tell(result_of(done, status(done.number)))
        else:
            assert answer is Pause.EXHAUSTED or len(proposals) >= trials, (
                "told everything, and still WAIT"
            )
            return proposals


class EngineContract:
    """Inherit, set `engine`."""

    engine: str
    trials = 14  # enough to leave the random start
    seeded = True  # another seed gives other proposals
    parallel = 4  # how many of four trials may be open at once
    adopts: bool | None = False  # takes what an earlier run has trained; None: not known

    def make(self, space: Space = FLAT, **changes: Any) -> Engine:
        """Return a fresh engine, closed after the test; skip where its extra is missing."""
        study = make_study(self.engine, space, **changes)
        try:
            engine = make_engine(study, make_parts)
        except MissingError as error:
            pytest.skip(str(error))
        self.engines.append(engine)
        return engine

    @pytest.fixture(autouse=True)
    def nothing_on_disk(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        self.engines: list[Engine] = []
        yield
        for engine in self.engines:
            engine.close()
        assert os.listdir(tmp_path) == [], "an engine wrote into the working directory"

    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_proposals_lie_inside_the_space_and_obey_its_conditions(self, space):
        proposals = run(self.make(space), self.trials)
        assert [p.number for p in proposals] == list(range(len(proposals)))
        for proposal in proposals:
            space.check(proposal.params)

    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_it_begins_with_the_initial_points_or_they_are_refused(self, space):
        if not engine_spec(self.engine).takes_initial:
            with pytest.raises(
                StudyError, match=f"initial: {self.engine} chooses its own first points"
            ):
                make_study(self.engine, space, initial=3)
            return
        proposals = [proposal.params for proposal in run(self.make(space, initial=3), 5, slots=2)]
        assert proposals[:3] == initial_points(make_study(self.engine, space, initial=3))
        assert all(later not in proposals[:3] for later in proposals[3:])

    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_the_same_seed_and_events_give_the_same_proposals(self, space):
        first, second = (run(self.make(space, seed=3), self.trials, slots=2) for _ in range(2))
        assert first == second

    def test_another_seed_gives_other_proposals(self):
        if not self.seeded:
            pytest.skip("this engine goes through the grid in order")
        assert run(self.make(seed=1), 5) != run(self.make(seed=2), 5)

    def test_choices_come_back_as_the_values_themselves(self):
        for proposal in run(self.make(LABELS), self.trials):
            for name in ("activation", "shape", "mixed"):
                kinds = {repr(value) for value in LABELS[name].values}
                assert repr(proposal.params[name]) in kinds

    def test_failed_diverged_and_infeasible_trials_do_not_end_the_search(self):
        proposals = run(self.make(CONDITIONAL), self.trials, self.status)
        assert len(proposals) == self.trials

    def test_only_failures_do_not_end_the_search_in_an_error(self):
        proposals = run(self.make(), 6, lambda number: Status.FAILED)
        assert len(proposals) == 6

    @pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
    def test_what_an_earlier_run_has_trained_is_taken_for_what_is_proposed_now(self, space):
        """Another CPU computes other proposals; the search goes on with its own trials."""
        known, engine = run(self.make(space, seed=1), 6), self.make(space, seed=2)
        for number, before in enumerate(known[:3]):
            asked = engine.ask(number)
            assert isinstance(asked, Proposal)
            if asked != before:
                adopted = engine.adopt(before)
                assert self.adopts is None or adopted is self.adopts
            if not self.adopts:
                return
            engine.tell(result_of(before))
        later = engine.ask(3)
        assert later.number == 3
        space.check(later.params)
        assert self.knows(engine, known[0].params)

    def knows(self, engine: Engine, params: Mapping[str, Any]) -> bool:
        """Whether the library itself has a trial of these parameters."""
        raise NotImplementedError

    def test_several_trials_are_open_at_once(self):
        engine = self.make()
        answers = [engine.ask(0)]
        while len(answers) < 4 and answers[-1] is not Pause.WAIT:
            answers.append(engine.ask(len(answers)))
        proposals = [a for a in answers if isinstance(a, Proposal)]
        assert len(proposals) == self.parallel
        assert len({repr(p.params) for p in proposals}) == len(proposals)

    def test_a_replay_of_recorded_events_gives_the_same_proposals(self):
        """As the driver does after a crash: asks and tells in the recorded order, curves reported
        whole first.
        """
        proposals, events = self.recorded(slots=3)
        engine = self.make(CONDITIONAL, seed=5)
        for kind, number in events:
            if kind == "ask":
                assert engine.ask(number) == proposals[number]
                continue
            result = result_of(proposals[number], self.status(number))
            for row in result.curve:
                engine.report(EpochReport(number, int(row["epoch"]), row["val_rmse"], {}, 0.1))
            engine.tell(result)

    def recorded(self, slots: int) -> tuple[list[Proposal], list[tuple[str, int]]]:
        """Run once with epochs of open trials interleaved; return the proposals and the order of
        asks and tells.
        """
        engine, events, proposals = self.make(CONDITIONAL, seed=5), [], []
        running: list[Proposal] = []
        while len(proposals) < self.trials or running:
            answer = (
                engine.ask(len(proposals))
                if len(running) < slots and len(proposals) < self.trials
                else None
            )
            if isinstance(answer, Proposal):
                events.append(("ask", answer.number))
                proposals.append(answer)
                running.append(answer)
                continue
            if not running:
                break
            self.report_in_turns(engine, running)
            done = running.pop(len(events) % len(running))
            events.append(("tell", done.number))
            engine.tell(result_of(done, self.status(done.number)))
        return proposals, events

    @staticmethod
    def report_in_turns(engine: Engine, running: list[Proposal]) -> None:
        rows = [result_of(proposal).curve for proposal in running]
        for epoch in range(max(map(len, rows))):
            for proposal, curve in zip(running, rows, strict=True):
                if epoch < len(curve):
                    value = curve[epoch]["val_rmse"]
                    engine.report(EpochReport(proposal.number, epoch + 1, value, {}, 0.1))

    @staticmethod
    def status(number: int) -> Status:
        return {0: Status.FAILED, 3: Status.INFEASIBLE, 5: Status.DIVERGED}.get(
            number % 8, Status.COMPLETED
        )

    def test_it_can_be_closed_and_keeps_texts_only(self):
        engine = self.make()
        run(engine, 2)
        assert all(isinstance(text, str) for text in engine.artifacts().values())
        assert all(isinstance(notice, str) for notice in engine.notices)
        engine.close()


class GridContract(EngineContract):
    """For engines that go through a grid."""

    adopts = False

    def test_it_ends_after_exactly_the_points_of_the_grid(self):
        engine = self.make(SMALL, trials=None)
        proposals = run(engine, 1000)
        assert len(proposals) == SMALL_POINTS
        assert sorted(repr(sorted(p.params.items())) for p in proposals) == sorted(
            repr(sorted(point.items())) for point in SMALL.grid()
        )
        assert engine.ask(SMALL_POINTS) is Pause.EXHAUSTED

    def test_fewer_trials_than_points_give_a_seeded_sample(self):
        def sample(seed: int) -> list[str]:
            return [repr(p.params) for p in run(self.make(SMALL, trials=6, seed=seed), 1000)]

        assert len(set(sample(1))) == 6
        assert sample(1) == sample(1)
        assert set(sample(1)) != set(sample(2))
        assert set(sample(1)) <= {repr(point) for point in SMALL.grid()}


def maximize(metric: str = "val_accuracy") -> Objective:
    """Return the other direction."""
    return Objective(metric, "maximize")
