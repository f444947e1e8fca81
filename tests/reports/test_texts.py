from __future__ import annotations

import pytest

from tuning.reports.texts import (
    FailureGroup,
    clock_text,
    failure_groups,
    failure_lines,
    figure,
    first_line,
    one_line,
    params_text,
    score,
    seconds_text,
)
from tuning.storage.secrets import without_secrets
from tuning.trial import Proposal, Status, TrialResult


def failed(number, error, status=Status.FAILED):
    return Proposal(number, {}, 1), TrialResult(number, status, error=error)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://me:canary@db:5432/x", "postgresql://***@db:5432/x"),
        ("postgresql+psycopg2://me:canary/with@at@db/x", "postgresql+psycopg2://***@db/x"),
        ("https://canary@host/path", "https://***@host/path"),
        ("host=db password=canary user=me", "host=db password=*** user=me"),
        ("https://host/?api_key=canary&x=1", "https://host/?api_key=***&x=1"),
        ("sqlite:////home/me/mlruns/mlflow.db", "sqlite:////home/me/mlruns/mlflow.db"),
        ("n_tokens=8 tokenizer=bpe", "n_tokens=8 tokenizer=bpe"),
        (
            "AWS_SECRET_ACCESS_KEY=canary access_tokens: canary",
            "AWS_SECRET_ACCESS_KEY=*** access_tokens: ***",
        ),
    ],
)
def test_secrets_are_masked_and_nothing_else(text, expected):
    assert without_secrets(text) == expected


def test_control_characters_never_reach_the_terminal():
    assert one_line("a\x1b[31mred\x07\nb") == "a [31mred b"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.5531, "0.5531"),
        (0.56, "0.5600"),
        (1.153, "1.153"),
        (-0.0003, "-0.0003"),
        (12345.67, "12345.7"),
        (0.0, "0"),
        (None, "–"),
        (float("nan"), "nan"),
        (3e9, "3e+09"),
        (100.0, "100.0"),
        (999.99999, "1000"),
    ],
)
def test_scores_have_four_digits(value, text):
    assert score(value) == text


def test_params_are_written_as_name_and_value():
    params = {"n_hidden": 2, "lr": 0.0123456, "shape": None}
    assert params_text(params) == "n_hidden=2 lr=0.0123 shape=None"


@pytest.mark.parametrize(
    ("seconds", "text"), [(42, "0:42"), (725, "12:05"), (11045, "3:04:05"), (-1, "0:00")]
)
def test_durations_read_as_a_clock(seconds, text):
    assert clock_text(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.04 s"), (4.2, "4.2 s"), (71.4, "71 s"), (700, "11:40")]
)
def test_durations_read_as_seconds_up_to_ten_minutes(seconds, text):
    assert seconds_text(seconds) == text


def test_errors_that_differ_only_in_numbers_are_one_group():
    trials = [
        failed(2, "ValueError: need 3 units, got 1.5e-3"),
        failed(5, "ValueError: need 9 units, got 2"),
    ]
    (group,) = failure_groups(trials)
    assert group == FailureGroup("failed: ValueError: need 3 units, got 1.5e-3", [2, 5])


def test_a_failure_without_an_error_is_put_into_words():
    trials = [failed(1, "", Status.DIVERGED), failed(2, "", Status.INFEASIBLE), failed(3, "")]
    assert [group.text for group in failure_groups(trials)] == [
        "diverged: the loss or the objective was not finite",
        "infeasible: out of memory",
        "failed: no error was recorded",
    ]


def test_failures_take_at_most_five_lines_the_most_frequent_first():
    trials = [
        failed(0, "A: x"),
        *(failed(n, f"{letter}: x") for n, letter in enumerate("BBCDEFG", start=1)),
    ]
    assert failure_lines(trials) == [
        "2 × failed: B: x (trials 1, 2)",
        "1 × failed: A: x (trial 0)",
        "1 × failed: C: x (trial 3)",
        "1 × failed: D: x (trial 4)",
        "… and 3 more in 3 other ways; see the report",
    ]


def test_only_the_first_line_of_an_error_is_shown_and_cut():
    assert first_line("ValueError: no\nTraceback …") == "ValueError: no"
    assert first_line("x" * 200) == "x" * 159 + "…"


def test_parameters_are_counted_in_whole_numbers():
    assert figure("n_parameters", 129.0) == "129"
    assert figure("n_parameters", 81025.0) == "81,025"
    assert figure("val_auc", 0.9) == score(0.9)
    assert figure("n_parameters", None) == score(None)
