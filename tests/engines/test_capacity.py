"""The capacity engine: the contract, how it grows and sweeps, when it stops, what it refuses."""

from __future__ import annotations

import math

import pytest

from tests.engines.contract import (
    LABELS,
    make_study,
    maximize,
)
from tuning.engines.capacity import CapacityEngine, compare
from tuning.errors import StudyError
from tuning.space.domains import Choice, Float, Int
from tuning.space.space import Space
from tuning.study.objective import Minimize
from tuning.study.study import Study
from tuning.trial import FoldResult, Pause, Status, TrialResult
from tuning.trials.functions import no_data

PLAIN = Space({"n_hidden": Int(1, 4), "n_neurons": Int(5, 100), "lr": Float(1e-4, 1e-1, log=True)})
GROWABLE = Space({**LABELS.domains, "n_neurons": Int(1, 64)})
METRIC = "val_rmse"


def make(space=PLAIN, **changes):
    return CapacityEngine(make_study("capacity", space, **changes))


def ended(number, value, status=Status.COMPLETED, curve=(), folds=()):
    rows = tuple({"epoch": float(i + 1), METRIC: v} for i, v in enumerate(curve))
    fits = tuple(
        FoldResult(i, v, {}, rows, best_epoch=1, seconds=0.1, seed=0)
        for i, v in enumerate(folds or [value or 0.0])
    )
    return TrialResult(number, status, value, folds=fits)


def search(engine, score, slots=1, most=200):
    """Run to the end; `score` gives a value, or None for a trial that fails."""
    asked, running = [], []
    while True:
        answer = engine.ask(len(asked)) if len(running) < slots else Pause.WAIT
        if answer is Pause.EXHAUSTED and not running:
            return asked
        if answer in (Pause.WAIT, Pause.EXHAUSTED):
            done = running.pop()
            value = score(**done.params)
            engine.tell(
                ended(done.number, value, Status.FAILED if value is None else Status.COMPLETED)
            )
        else:
            asked.append(answer)
            running.append(answer)
        assert len(asked) < most


def needs(layers, neurons, lr=10**-2.5):
    """Return a score that no longer improves above so many layers and neurons, best at a learning
    rate.
    """

    def score(n_hidden, n_neurons, **rest):
        missing = max(layers - n_hidden, 0) + max(math.log2(neurons / n_neurons), 0)
        return 1 + missing + abs(math.log10(rest.get("lr", lr) / lr))

    return score


def sizes(proposals):
    return [(p.params["n_hidden"], p.params["n_neurons"]) for p in proposals]


def best(proposals, score):
    return min(proposals, key=lambda p: score(**p.params)).params


def test_it_begins_with_the_smallest_network_and_the_middle_of_what_it_keeps():
    space = Space(
        {
            **PLAIN.domains,
            "dropout": Float(0.0, 0.4),
            "width": Int(1, 100, log=True),
            "batch_size": Choice(16, 32),
        }
    )
    first = make(space).ask(0)
    assert first.params == {
        "n_hidden": 1,
        "n_neurons": 5,
        "lr": pytest.approx(10**-2.5),
        "dropout": 0.2,
        "width": 10,
        "batch_size": 16,
    }


def test_a_layer_more_and_twice_the_neurons_are_proposed_at_once():
    engine = make()
    assert sizes([engine.ask(i) for i in range(3)]) == [(1, 5), (2, 5), (1, 10)]
    assert engine.ask(3) is Pause.WAIT


def test_it_grows_to_the_size_that_is_needed_and_not_far_beyond():
    score = needs(2, 40)
    proposals = search(make(), score)
    assert (best(proposals, score)["n_hidden"], best(proposals, score)["n_neurons"]) == (2, 40)
    assert max(n for _, n in sizes(proposals)) <= 100
    assert (
        max(h for h, _ in sizes(proposals)) == 3
    )  # of two equal steps up the one with fewer layers is looked beyond


def test_it_ends_where_the_space_ends():
    proposals = search(make(Space({"n_neurons": Int(5, 100)})), lambda n_neurons: 1 / n_neurons)
    assert [p.params["n_neurons"] for p in proposals] == [5, 10, 20, 40, 80, 100]


def test_after_the_end_it_stays_ended():
    engine = make()
    count = len(search(engine, needs(1, 5)))
    assert engine.ask(count) is Pause.EXHAUSTED
    assert engine.ask(count) is Pause.EXHAUSTED


@pytest.mark.parametrize("slots", [2, 5])
def test_the_proposals_do_not_depend_on_the_number_of_slots(slots):
    assert search(make(), needs(3, 30, 1e-3), slots) == search(make(), needs(3, 30, 1e-3))


def test_one_step_without_improvement_is_looked_beyond():
    """From no layer to one of two neurons the score gets worse, then better with more."""
    space = Space({"n_hidden": Int(0, 1), "n_neurons": Int(2, 8)})

    def score(n_hidden, n_neurons):
        return 1.0 if n_hidden == 0 else {2: 1.2, 4: 0.7}.get(n_neurons, 0.5)

    assert best(search(make(space), score), score) == {"n_hidden": 1, "n_neurons": 8}


def test_without_a_hidden_layer_other_numbers_of_neurons_are_not_tried():
    space = Space({"n_hidden": Int(0, 2), "n_neurons": Int(2, 8)})
    assert (0, 4) not in sizes(search(make(space), needs(0, 2)))


def test_the_learning_rate_is_swept_when_growth_has_ended_and_growth_is_tried_again():
    score = needs(2, 10, lr=3e-4)
    proposals = search(make(), score)
    rates = [p.params["lr"] for p in proposals]
    first = next(i for i, rate in enumerate(rates) if rate != rates[0])
    assert best(proposals, score)["lr"] == pytest.approx(10**-3.5)
    assert {round(math.log10(rate), 6) for rate in rates} == {-2.0, -2.5, -3.0, -3.5, -4.0}
    assert any(p.params["n_neurons"] > 10 for p in proposals[first:])


def test_learning_rates_farther_away_are_tried_while_nothing_trains():
    space = Space({"n_hidden": Int(1, 2), "lr": Float(1e-4, 1e-1, log=True)})
    proposals = search(make(space), lambda n_hidden, lr: None if lr > 2e-4 else 1 / n_hidden)
    assert {"n_hidden": 2, "lr": pytest.approx(1e-4)} in [p.params for p in proposals]


def test_a_size_that_fails_is_not_grown_from():
    proposals = search(
        make(), lambda n_hidden, n_neurons, lr: None if n_hidden > 1 else 1 / n_neurons
    )
    assert max(h for h, _ in sizes(proposals)) == 2
    assert (
        best(proposals, lambda n_hidden, n_neurons, lr: (n_hidden, -n_neurons))["n_neurons"] == 100
    )


def test_what_exists_only_for_some_sizes_is_left_out_for_others():
    space = Space({"n_hidden": Int(0, 2), "n_neurons": Int(4, 8).when(n_hidden=[1, 2])})
    proposals = search(make(space), lambda n_hidden, n_neurons=0: 3 - n_hidden)
    assert proposals[0].params == {"n_hidden": 0}
    assert proposals[1].params == {"n_hidden": 1, "n_neurons": 4}


def test_every_decision_is_kept_with_its_figures():
    engine = make(Space({"n_neurons": Int(5, 20)}))
    search(engine, lambda n_neurons: {5: 2.0, 10: 1.0}.get(n_neurons, 0.995))
    assert engine.artifacts()["capacity.csv"].splitlines() == [
        "from_trial,to_trial,gain,needed,decision",
        "0,1,1,0.02,taken",
        "1,2,0.005,0.01,no improvement",
    ]


def test_the_user_is_told_what_grows_and_what_is_kept():
    engine = make(Space({**PLAIN.domains, "batch_size": Choice(16, 32)}))
    assert engine.notices == (
        "capacity: begins small and grows n_hidden 1, 2, 3, 4 and n_neurons 5, 10, 20, 40, 80, "
        "100, while the "
        "validation score improves by more than its noise and 1% of the error",
        "capacity: lr begins at 0.00316; when growth has ended, "
        "a rate a factor of √10 away is tried",
        "capacity: not searched, kept at batch_size = 16",
    )


def test_a_gain_must_exceed_one_percent_of_the_error():
    gain, needed = compare(ended(0, 2.0), ended(1, 1.97), Minimize(METRIC))
    assert (gain, needed) == (pytest.approx(0.03), pytest.approx(0.02))
    gain, needed = compare(ended(0, 0.9), ended(1, 0.92), maximize())
    assert (gain, needed) == (pytest.approx(0.02), pytest.approx(0.001))


def test_a_gain_must_exceed_the_scatter_of_the_last_epochs_but_not_their_trend():
    noisy, falling = (1.0, 1.2, 1.0, 1.2, 1.0, 1.2), (1.5, 1.4, 1.3, 1.2, 1.1, 1.0)
    before = ended(0, 1.0, curve=noisy)
    assert compare(before, ended(1, 0.9, curve=noisy), Minimize(METRIC))[1] > 0.1
    assert (
        compare(ended(0, 1.0, curve=falling), ended(1, 0.9, curve=falling), Minimize(METRIC))[1]
        < 0.02
    )


def test_with_folds_the_noise_is_that_of_the_difference_fold_by_fold():
    before, after = ended(0, 2.0, folds=(1.0, 3.0)), ended(1, 1.85, folds=(0.8, 2.9))
    assert compare(before, after, Minimize(METRIC))[1] == pytest.approx(0.05)  # gains 0.2 and 0.1


def test_a_space_without_capacity_is_refused():
    with pytest.raises(StudyError) as refused:
        make(Space({"units": Int(1, 9), "lr": Float(0.1, 0.2)}))
    assert str(refused.value) == (
        "capacity: it grows 'n_hidden' and 'n_neurons', and the space has neither (units, lr); "
        "call the builder's "
        "arguments so, or take another engine"
    )


def test_capacity_that_has_no_order_is_refused():
    with pytest.raises(
        StudyError,
        match=r"'n_neurons' is Choice\(\(30,\), \(300, 100\)\), which has no order of size",
    ):
        make(Space({"n_neurons": Choice((30,), (300, 100))}))


def test_capacity_that_does_not_exist_at_the_values_kept_is_refused():
    space = Space({"kind": Choice("linear", "mlp"), "n_neurons": Int(1, 9).when(kind="mlp")})
    with pytest.raises(
        StudyError, match=r"'n_neurons' does not exist at the values kept \(kind='linear'\)"
    ):
        make(space)


def asked(builder):
    return Study(
        name="asked",
        builder=builder,
        data=no_data,
        objective=Minimize("val_rmse"),
        engine="capacity",
        trainer="function",
    )


def test_a_builder_that_asks_for_its_capacity_is_grown():
    engine = CapacityEngine(asked(lambda hp: hp.Int("n_hidden", 1, 3) * hp.Int("width", 4, 8)))
    assert [engine.ask(0).params, engine.ask(1).params["n_hidden"]] == [
        {"n_hidden": 1, "width": 6},
        2,
    ]


def test_a_builder_that_asks_for_no_capacity_is_refused_by_the_names_that_it_asks_for():
    with pytest.raises(StudyError, match=r"the space has neither \(layers, units_0\)"):
        CapacityEngine(asked(lambda hp: hp.Int("layers", 1, 2) * hp.Int("units_0", 4, 8)))
