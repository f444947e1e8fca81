"""`Int`, `Float`, `Choice`: what they refuse, contain, cut, draw and read back."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tuning.space.domains import Choice, Float, Int

QUICK = settings(max_examples=40, deadline=None)
BOUNDS = st.tuples(st.integers(-1000, 1000), st.integers(0, 1000)).map(
    lambda b: (b[0], b[0] + b[1])
)
REALS = st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)).map(sorted)
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-99, 99)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
VALUES = st.lists(
    st.recursive(PLAIN, lambda inner: st.lists(inner, max_size=2).map(tuple), max_leaves=3),
    min_size=1,
)
INTS = st.builds(lambda b, step: Int(*b, step=step), BOUNDS, st.integers(1, 50)) | st.builds(
    lambda low, more: Int(low, low + more, log=True), st.integers(1, 1000), st.integers(0, 1000)
)
FLOATS = st.builds(lambda b: Float(*b), REALS) | st.builds(
    lambda low, ratio: Float(low, low * ratio, log=True), st.floats(1e-9, 1e3), st.floats(1.0, 1e6)
)
CHOICES = VALUES.map(lambda values: Choice(*values)).filter(
    lambda choice: not list(choice.faults())
)
DOMAINS = INTS | FLOATS | CHOICES


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(
    ("domain", "fault"),
    [
        (Int(9, 1), "low 9 is above high 1; swap them"),
        (Int(1, 9, step=0), "step must be at least 1, got 0"),
        (Int(1, 9, step=2, log=True), "step and log exclude each other; drop one of them"),
        (Int(0, 9, log=True), "a log range must start above 0, got 0"),
        (Float(0.9, 0.1), "low 0.9 is above high 0.1; swap them"),
        (Float(0.0, 0.1, log=True), "a log range must start above 0, got 0.0"),
        (Float(-1.0, 0.1, log=True), "a log range must start above 0, got -1.0"),
        (Choice("a", "b", "a"), None),
        (Choice(1, 1.0), None),
    ],
)
def test_each_fault_names_the_domain_and_what_to_do(domain, fault):
    expected = f"{domain}: {fault}" if fault else f"{domain} names a value twice"
    assert list(domain.faults()) == [expected]


@pytest.mark.parametrize(
    ("domain", "text"),
    [
        (Int(9, 1), "Int(9, 1)"),
        (Int(0, 9, step=3), "Int(0, 9, step=3)"),
        (Float(0.0, 1.0), "Float(0.0, 1.0)"),
        (Float(0.1, 1.0, log=True).when(n=1), "Float(0.1, 1.0, log=True)"),
        (Float.from_range_test(), "Float.from_range_test(1e-05, 1.0)"),
        (Choice(1, "a"), "Choice(1, 'a')"),
    ],
)
def test_a_domain_is_written_in_errors_as_a_study_file_has_it(domain, text):
    assert str(domain) == text


@pytest.mark.parametrize("bad", [True, 1.5, "9", None])
def test_int_refuses_what_is_no_whole_number(bad):
    for domain in (Int(bad, 9), Int(0, bad), Int(0, 9, step=bad)):
        assert list(domain.faults()) == [f"{domain} needs whole numbers; for real ones use Float"]


@pytest.mark.parametrize("bad", [True, math.nan, math.inf, "0.1", None])
def test_float_refuses_what_is_no_finite_number(bad):
    for domain in (Float(bad, 2.0), Float(0.0, bad)):
        assert list(domain.faults()) == [f"{domain} needs finite numbers"]


def test_two_faults_of_one_range_are_both_told():
    assert len(list(Int(0, -1, step=0).faults())) == 2


@pytest.mark.parametrize("bad", [{1.5: 1}, {"a": 1, 2: 3}, len, math.nan, math.inf, ("a", {1})])
def test_choice_refuses_what_json_would_not_bring_back(bad):
    sentences = list(Choice("a", bad).faults())
    assert len(sentences) == 1
    assert sentences[0].endswith(
        f"is a {type(bad).__name__}; use strings, finite numbers, None, "
        "or tuples or mappings of these"
    )


def test_an_empty_choice_is_refused():
    assert list(Choice().faults()) == ["Choice() has no values"]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (("relu", None), ("relu", "None")),
        ((1, True, "1"), ("1", "True", "'1'")),
        ((None, "None"), ("None", "'None'")),
        (((64, 32), (64,)), ("(64, 32)", "(64,)")),
        ((16, 0.5), ("16", "0.5")),
    ],
)
def test_labels_are_short_where_they_differ_and_quoted_where_they_would_not(values, labels):
    choice = Choice(*values)
    assert choice.labels == (
        labels if len(set(map(str, values))) == len(values) else tuple(map(repr, values))
    )
    assert len(set(choice.labels)) == len(values)
    assert [choice.value_of(choice.label_of(v)) for v in values] == list(values)


def test_lists_given_as_values_become_tuples():
    assert Choice([64, 32], [64]).values == ((64, 32), (64,))


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (Int(1, 9, step=4), (1, 5, 9, np.int64(5)), (0, 2, 13, True, 5.0, "5", None)),
        (Float(0.0, 1.0), (0, 1, 0.5, np.float32(0.5)), (-0.1, 1.1, True, math.nan, "0.5", None)),
        (Choice(1, None, (2, 3)), (1, None, (2, 3)), (True, "None", 2, (2,))),
        (Choice((True, 2)), ((True, 2),), ((1, 2),)),
    ],
)
def test_a_domain_contains_its_values_and_nothing_that_only_looks_alike(domain, inside, outside):
    assert [v for v in inside if not domain.contains(v)] == []
    assert [v for v in outside if domain.contains(v)] == []


@pytest.mark.parametrize(
    ("domain", "points", "cut"),
    [
        (Int(0, 3), 3, [0, 2, 3]),
        (Int(1, 100), 3, [1, 50, 100]),
        (Int(1, 100, log=True), 3, [1, 10, 100]),
        (Int(16, 64, step=16), 3, [16, 32, 48, 64]),
        (Int(1, 3), 5, [1, 2, 3]),
        (Int(1, 4), None, [1, 2, 3, 4]),
        (Int(1, 9), 1, [1]),
        (Float(0.0, 1.0), 3, [0.0, 0.5, 1.0]),
        (Float(1.0, 1.0), 3, [1.0]),
        (Choice("a", "b", None, 4), 2, ["a", "b", None, 4]),
    ],
)
def test_a_cut_goes_from_low_to_high(domain, points, cut):
    assert domain.cut(points) == cut


def test_a_log_range_is_cut_in_equal_ratios_with_exact_ends():
    low, middle, high = Float(3e-4, 3e-2, log=True).cut(3)
    assert (low, middle, high) == (3e-4, pytest.approx(3e-3), 3e-2)


@QUICK
@given(domain=DOMAINS, points=st.integers(1, 7))
@example(domain=Float(11.0, 11.000000000000002, log=True), points=3)
def test_every_point_of_a_cut_lies_inside_and_is_there_once(domain, points):
    cut = domain.cut(points)
    assert all(map(domain.contains, cut))
    if isinstance(domain, Int):
        assert len(set(cut)) == len(cut)


@QUICK
@given(domain=DOMAINS, seed=st.integers(0, 2**32))
def test_what_is_drawn_lies_inside_and_is_fixed_by_the_seed(domain, seed):
    drawn = [domain.sample(rng(seed)) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert domain.contains(drawn[0])


@QUICK
@given(domain=DOMAINS, seed=st.integers(0, 2**32))
def test_a_value_comes_back_from_json_as_itself(domain, seed):
    value = domain.sample(rng(seed))
    again = domain.decode(json.loads(json.dumps(value)))
    assert (again, type(again)) == (value, type(value))


@pytest.mark.parametrize(
    "domain", [Int(1, 5), Int(0, 8, step=2), Int(1, 5, log=True), Choice(1, 2, 3, 4, 5)]
)
def test_five_values_are_all_drawn(domain):
    drawn = rng()
    assert len({domain.sample(drawn) for _ in range(200)}) == 5


def test_a_log_range_is_drawn_in_equal_ratios():
    drawn, domain = rng(), Float(1e-4, 1.0, log=True)
    below = sum(domain.sample(drawn) < 1e-2 for _ in range(400))
    assert 150 < below < 250


def test_nested_tuples_come_back_from_json():
    assert Choice(((3, 2), None), "x").decode([[3, 2], None]) == ((3, 2), None)


@pytest.mark.parametrize(
    "domain", [Int(1, 8), Float(0.0, 0.99), Choice("a", "b"), Float.from_range_test()]
)
def test_when_gives_a_copy_of_the_same_kind_that_exists_under_every_condition(domain):
    under = domain.when(optimizer="sgd").when(shape=["constant", "pyramid"])
    assert (type(under), domain.conditions) == (type(domain), ())
    assert under.exists_under({"optimizer": "sgd", "shape": "pyramid"})
    assert not under.exists_under({"optimizer": "adam", "shape": "pyramid"})
    assert not under.exists_under({"optimizer": "sgd"})


def test_a_range_test_narrows_once_more_within_what_it_looked_at_first():
    wide = Float.from_range_test(1e-5, 1.0)
    narrow = wide.narrowed((1e-3, 1e-1)).narrowed((1e-4, 1e-2))
    assert (narrow.low, narrow.high, narrow.within, narrow.log) == (1e-4, 1e-2, (1e-5, 1.0), True)
    assert (repr(wide), repr(narrow)) == (
        "Float.from_range_test(1e-05, 1.0)",
        repr(Float(1e-4, 1e-2, log=True)),
    )


def test_bounds_outside_of_where_the_range_test_looks_are_refused():
    sentences = list(Float.from_range_test(1e-5, 1.0).narrowed((1e-3, 2.0)).faults())
    assert [
        fault.endswith("is outside 1e-05 … 1.0, where the range test looks") for fault in sentences
    ] == [True]
