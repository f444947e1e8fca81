"""The moving picture of a terminal: short, and of nobody's machine."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

pytest.importorskip("pyte", reason="needs the extra docs")

from scripts.moving_terminal import LONGEST_S, SHORTEST_S, Moment, drawn, hurried

PICTURE = Path(__file__).parents[2] / "docs" / "search.svg"


def moment(at: float, line: str = "1 of 4 done · 2 running") -> Moment:
    return Moment(at, (f"<text>{line}</text>",))


def test_a_long_pause_is_shortened_and_a_short_one_is_kept():
    times = [each.at for each in hurried([moment(0), moment(0.5), moment(60)])]
    assert times == [0.0, 0.5, 0.5 + LONGEST_S]


def test_all_of_it_is_within_the_time_it_may_take():
    moments = hurried([moment(float(at)) for at in range(200)], whole_s=10)
    assert moments[-1].at == pytest.approx(10, abs=SHORTEST_S)
    assert len(moments) <= 41


def test_the_wait_for_tensorflow_is_two_seconds_at_most():
    moments = [moment(float(at), "starting TensorFlow") for at in range(100)]
    assert hurried([*moments, moment(100.0)])[-1].at < 3


def test_the_last_moment_stays():
    moments = [moment(0.01 * at, f"{at} of 99 done · ") for at in range(100)]
    assert hurried(moments)[-1].lines == moments[-1].lines


def test_a_picture_shows_each_moment_in_its_turn():
    svg = drawn([moment(0), moment(1)], "a <search>")
    ElementTree.fromstring(svg)
    assert svg.count('class="m"') == 2
    assert "a &lt;search&gt;" in svg


def test_the_picture_of_the_docs_asks_for_nothing_and_names_no_path_of_a_machine():
    svg = PICTURE.read_text(encoding="utf-8")
    ElementTree.fromstring(svg)
    assert re.findall(r"(?:href|src)=|url\(|<script", svg) == []
    assert re.findall(r">[^<]*/(?:home|root|tmp|work|Users)/", svg) == []
    assert "Winner" in svg
