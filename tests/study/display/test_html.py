"""The HTML of notebooks: what users wrote is text, and secrets are masked."""

from __future__ import annotations

import pytest

from tuning import Choice, Float, Int, Secret
from tuning.study.display.domain_words import domain_rows
from tuning.study.display.html import block, facts, table


def test_what_a_user_wrote_is_no_element():
    page = block("<b>", facts([("a", "<script>")]), table(("<i>",), [("&",)]), note="<u>")
    for text in ("&lt;b&gt;", "&lt;script&gt;", "&lt;i&gt;", "&amp;", "&lt;u&gt;"):
        assert text in page


def test_a_secret_is_masked():
    Secret("correct-horse-battery")
    assert "correct-horse-battery" not in facts([("store", "://me:correct-horse-battery@host")])


def test_facts_without_a_value_are_left_out_and_zero_is_one():
    page = facts([("none", None), ("empty", ""), ("seed", 0)])
    assert "none" not in page
    assert "empty" not in page
    assert ">0<" in page


def test_numbers_stand_to_the_right_and_words_to_the_left():
    rows = [("lr", "0.5"), ("x", -3), ("y", "0.50 ± 0.01"), ("z", "–"), ("n", "1 … 3")]
    page = table(("name", "value"), rows)
    assert page.count("text-align:right") == 3


@pytest.mark.parametrize(
    ("domain", "words"),
    [
        (Int(1, 3), "1 … 3"),
        (Int(0, 100, step=10), "0 … 100, steps of 10"),
        (Float(3e-4, 1e-2, log=True), "0.0003 … 0.01, log"),
        (Choice(32, 64), "32, 64"),
    ],
)
def test_a_parameter_in_words(domain, words):
    assert list(domain_rows("x", domain)) == [("x", words, "")]


def test_a_condition_in_words():
    momentum = Float(0, 0.9).when(optimizer="sgd")
    assert list(domain_rows("momentum", momentum)) == [("momentum", "0 … 0.9", "optimizer is sgd")]
