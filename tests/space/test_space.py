"""`Space`: parents first, faults in words, grids, draws and checks under conditions."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning.errors import StudyError
from tuning.space.space import Choice, Float, Int, Space

SGD = Space(
    {
        "nesterov": Choice(True, False).when(momentum=[0.5, 0.9]),
        "momentum": Choice(0.0, 0.5, 0.9).when(optimizer="sgd"),
        "optimizer": Choice("sgd", "adam"),
        "n_hidden": Int(0, 3),
        "lr": Float(1e-4, 1e-1, log=True),
    }
)


def faults(**domains):
    return list(Space(domains).faults())


def test_parents_stand_before_their_children_however_they_were_given():
    assert list(SGD) == ["optimizer", "n_hidden", "lr", "momentum", "nesterov"]


def test_a_space_is_read_like_a_mapping():
    assert (len(SGD), SGD["n_hidden"], "lr" in SGD, SGD.conditional) == (5, Int(0, 3), True, True)
    assert not Space({"a": Int(1, 2)}).conditional


def test_a_circle_is_told_with_its_members():
    domains = {"a": Int(1, 2).when(b=1), "b": Int(1, 2).when(a=1), "c": Int(1, 2)}
    with pytest.raises(StudyError, match=r"^space: a, b depend on each other in a circle$"):
        Space(domains)


def test_a_parameter_that_depends_on_itself_is_told():
    assert faults(a=Int(1, 2).when(a=1)) == ["space: 'a' depends on itself"]


def test_an_unknown_parent_is_told_with_the_nearest():
    assert faults(optimizer=Choice("sgd", "adam"), momentum=Float(0, 1).when(optimiser="sgd")) == [
        "space: 'momentum' depends on 'optimiser', which is not in the space. "
        "Did you mean 'optimizer'?"
    ]


@pytest.mark.parametrize(
    ("parent", "value", "words"),
    [(Choice("sgd", "adam"), "sdg", "Choice('sgd', 'adam')"), (Choice(0, 1), True, "Choice(0, 1)")],
)
def test_a_condition_that_never_holds_is_told(parent, value, words):
    sentences = faults(parent=parent, child=Int(1, 2).when(parent=value))
    assert sentences == [f"space: 'child' exists when parent is {value!r}, which {words} never is"]


def test_every_fault_of_every_parameter_is_told():
    sentences = faults(a=Int(3, 1), b=(1, 2), c=Choice(), d=Float(0.0, 1.0, log=True).when(e=1))
    assert [fault.split("'")[1] for fault in sentences] == ["a", "b", "c", "d", "d"]
    assert sentences[1] == "space: 'b' is (1, 2); use Int, Float or Choice, e.g. Choice(1, 2)"


def test_active_drops_the_children_of_what_is_absent():
    whole = {"optimizer": "adam", "momentum": 0.9, "nesterov": True, "lr": 0.1, "stranger": 1}
    assert SGD.active(whole) == {"optimizer": "adam", "lr": 0.1}
    assert list(SGD.active({"nesterov": True, "momentum": 0.9, "optimizer": "sgd"})) == [
        "optimizer",
        "momentum",
        "nesterov",
    ]


def test_a_grid_is_the_product_with_ends_exact_and_log_where_log():
    points = Space(
        {"n": Int(1, 100), "lr": Float(1e-4, 1e-2, log=True), "size": Choice(16, 32)}
    ).grid()
    assert len(points) == 18
    assert [sorted({p[n] for p in points}) for n in ("n", "size")] == [[1, 50, 100], [16, 32]]
    assert sorted({p["lr"] for p in points}) == [1e-4, pytest.approx(1e-3), 1e-2]


def test_a_grid_lists_points_that_differ_only_in_what_is_absent_once():
    space = Space({n: SGD[n] for n in ("optimizer", "momentum", "nesterov")})
    points = space.grid()
    assert len(points) == 6  # adam; sgd without momentum; two momenta with and without nesterov
    assert {"optimizer": "adam"} in points
    assert {"optimizer": "sgd", "momentum": 0.0} in points


def test_a_grid_keeps_true_and_one_apart():
    assert [p["a"] is True for p in Space({"a": Choice(1, True)}).grid()] == [False, True]


def test_a_grid_names_the_axes_it_has_cut():
    space = Space(
        {
            "few": Int(1, 3),
            "many": Int(1, 9),
            "steps": Int(1, 9, step=2),
            "lr": Float(0, 1),
            "c": Choice(1),
        }
    )
    assert space.cut_axes(3) == ("many", "lr")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_what_is_drawn_passes_the_check_repeats_by_seed_and_comes_back_from_json(seed):
    drawn = SGD.sample(np.random.default_rng(seed))
    SGD.check(drawn)
    assert drawn == SGD.sample(np.random.default_rng(seed)) == SGD.active(drawn)
    again = SGD.decode(json.loads(json.dumps(drawn)))
    assert (again, list(map(type, again.values()))) == (drawn, list(map(type, drawn.values())))


def test_a_condition_does_not_shift_the_later_draws():
    seeds = range(20)
    domains = {"a": Choice(0, 1), "b": Float(0, 1), "c": Float(0, 1)}
    free, bound = (
        Space(domains),
        Space({**domains, "b": Float(0, 1).when(a=1), "c": Float(0, 1).when(a=[0, 1])}),
    )
    pairs = [
        (free.sample(np.random.default_rng(s)), bound.sample(np.random.default_rng(s)))
        for s in seeds
    ]
    assert all(one["c"] == other["c"] for one, other in pairs)
    assert any("b" not in other for _, other in pairs)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"n_hiden": 1}, "'n_hiden' is no parameter of the space. Did you mean 'n_hidden'?"),
        ({"n_hidden": 4}, f"'n_hidden' is 4, outside {Int(0, 3)}"),
        ({"n_hidden": True}, f"'n_hidden' is True, outside {Int(0, 3)}"),
        ({"momentum": 0.0}, "'momentum' does not exist here: it needs optimizer in ['sgd']"),
        ({"optimizer": "sgd"}, "'momentum' is missing"),
    ],
)
def test_check_tells_what_is_no_point_of_the_space(change, fault):
    with pytest.raises(StudyError) as caught:
        SGD.check({"optimizer": "adam", "n_hidden": 1, "lr": 1e-2, **change})
    assert (caught.value.faults, caught.value.where) == ((fault,), "params")


def test_check_tells_every_fault_at_once():
    with pytest.raises(StudyError) as caught:
        SGD.check({"optimizer": "adam", "n_hidden": 9, "what": 1})
    assert len(caught.value.faults) == 3


def test_the_word_from_range_test_stands_for_a_learning_rate_to_be_measured():
    space = Space({"lr": "from_range_test", "n": Int(1, 2)})
    assert (list(space.measured), space.unmeasured, list(space.faults())) == (["lr"], ("lr",), [])
    narrow = space.narrowed({"lr": [1e-3, 1e-1]})
    assert (narrow.unmeasured, narrow["lr"].low, narrow["lr"].high) == ((), 1e-3, 1e-1)
    assert narrow.test_ranges == space.test_ranges == {"lr": "1e-05 … 1.0"}


def test_what_a_space_does_not_know_is_decoded_as_it_stands():
    space = Space({"shape": Choice((1, 2), (3,)), "batch_size": Choice(16, 32)})
    stored = {"batch_size": 8, "shape": [3], "old": [4, 5]}
    assert space.decode_known(stored) == {"batch_size": 8, "shape": (3,), "old": (4, 5)}
    assert list(space.decode_known(stored)) == list(stored)


def test_a_condition_tells_true_from_one():
    space = Space({"a": Choice(True, 1), "c": Int(1, 2).when(a=True)})
    space.check({"a": 1})
    space.check({"a": True, "c": 2})
    with pytest.raises(StudyError, match="'c'"):
        space.check({"a": 1, "c": 2})


RATE = Float.from_range_test(1e-5, 1.0)
RATE_PER_STRUCTURE = Float.from_range_test(1e-5, 1.0, per_structure=True)
ROWS = [["", None, 1e-3, 1e-1], ["shape", [3, [4, None]], 1e-2, 1e-1]]


@pytest.mark.parametrize(
    "space",
    [
        SGD,
        Space({"n": Int(2, 8, step=2), "m": Int(1, 64, log=True)}),
        Space({"x": Float(0, 1), "y": Float(-1.5, 2.5)}),
        Space({"mixed": Choice("1", 1, 1.5, True, None, (3, (4, None)), ("a",))}),
        Space({"odd": Choice(True, 0), "child": Int(1, 2).when(odd=[True])}),
        Space({"a": Int(1, 9), "b": Int(1, 2).when(a=[1, 2]).when(a=[2, 3])}),
        Space({"shape": Choice((1, 2), 1), "child": Int(1, 2).when(shape=[(1, 2)])}),
        Space({"lr": RATE}),
        Space({"lr": RATE}).narrowed({"lr": (1e-3, 1e-1)}),
        Space({"optimizer": Choice("sgd", "adam"), "lr": RATE.when(optimizer="sgd")}),
        Space({"shape": Choice((3, (4, None)), 2), "lr": RATE_PER_STRUCTURE}).narrowed(
            {"lr": ROWS}
        ),
    ],
)
def test_a_space_comes_through_a_file(space):
    restored = Space.from_json(json.loads(json.dumps(space.to_json())))
    assert restored == space
    assert list(restored) == list(space)
    # True equals 1 and 1 equals 1.0, but their texts differ; definitions are compared by them.
    assert repr(restored) == repr(space)


def test_a_domain_of_a_later_release_is_refused_with_its_name():
    with pytest.raises(StudyError, match=r"^space: cannot read 'x': {'kind': 'quaternion'}$"):
        Space.from_json({"x": {"kind": "quaternion"}})
