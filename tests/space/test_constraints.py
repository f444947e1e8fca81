"""Constraints: how they are read, how far they are broken, and what is refused."""

from __future__ import annotations

import math

import pytest

from tuning.space.constraints import broken, constraint_faults, constraint_of, violations


@pytest.mark.parametrize(
    ("text", "figure", "sign", "limit"),
    [
        ("n_parameters <= 50_000", "n_parameters", "<=", 50_000.0),
        (" size_kb<200.5 ", "size_kb", "<", 200.5),
        ("val_recall >= 0.8", "val_recall", ">=", 0.8),
        ("val_r2 > -1", "val_r2", ">", -1.0),
        ("latency_ms <= 2e0", "latency_ms", "<=", 2.0),
    ],
)
def test_a_name_a_comparison_and_a_number_are_read(text, figure, sign, limit):
    constraint = constraint_of(text)
    assert (constraint.figure, constraint.sign, constraint.limit) == (figure, sign, limit)
    assert constraint.text == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "n_parameters",
        "5 <= n_parameters",
        "n_parameters == 5",
        "1 <= n_parameters <= 5",
        "n_parameters <= 5 <= 6",
        "n_parameters <= five",
        "n_parameters <= True",
        "n_parameters <= 5j",
        "n_parameters <= 1e999",
        "n_parameters <= 5 * 2",
        "__import__('os') <= 5",
        "n_parameters <= 5; import os",
        "loss <= 1",
        "\0",
    ],
)
def test_anything_else_is_one_fault_that_says_what_was_given(text):
    (fault,) = constraint_faults([text])
    assert repr(text) in fault


def test_a_misspelt_figure_is_told_the_nearest():
    (fault,) = constraint_faults(["n_parameter <= 5"])
    assert fault == (
        "constraint 'n_parameter <= 5': 'n_parameter' is no figure of a model and no validation "
        "metric. Did you mean 'n_parameters'? There are: n_parameters, size_kb, latency_ms, and "
        "metrics by their name, e.g. val_loss"
    )


def test_one_text_in_place_of_a_list_and_the_same_twice_are_faults():
    assert len(list(constraint_faults("n_parameters <= 5"))) == 1
    assert len(list(constraint_faults(["size_kb <= 5", "size_kb <= 5"]))) == 1


@pytest.mark.parametrize("sign", ["<=", "<", ">=", ">"])
@pytest.mark.parametrize("limit", [-3.0, 0.0, 0.8])
@pytest.mark.parametrize("value", [-4.0, -3.0, 0.0, 0.8, 0.9])
def test_a_violation_is_above_0_exactly_where_the_constraint_does_not_hold(sign, limit, value):
    constraint = constraint_of(f"val_x {sign} {limit}")
    assert (constraint.violation(value) > 0) == (not constraint.holds(value))


def test_violations_are_shares_of_the_limit():
    limits = [constraint_of("n_parameters <= 50_000"), constraint_of("val_recall >= 0.8")]
    shares = violations(limits, {"n_parameters": 75_000, "val_recall": 0.6})
    assert shares["n_parameters <= 50_000"] == 0.5
    assert math.isclose(shares["val_recall >= 0.8"], 0.25)


def test_what_is_broken_is_said_with_its_figures():
    limits = [constraint_of("n_parameters <= 50_000"), constraint_of("latency_ms < 2")]
    figures = {"n_parameters": 81_025.0, "latency_ms": 2.0}
    assert broken(limits, figures) == "n_parameters 81,025 > 50,000; latency_ms 2 >= 2"
    assert broken(limits, {"n_parameters": 50_000.0}) == ""


def test_figures_that_differ_in_their_last_digits_are_written_whole():
    limit = constraint_of("val_recall >= 0.8")
    assert limit.broken_by(0.79999999) == "val_recall 0.79999999 < 0.8"
