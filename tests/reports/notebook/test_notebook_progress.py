"""The live view in a notebook's cell."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from tuning.reports.notebook.notebook_progress import NotebookProgress, default_progress
from tuning.reports.progress import SilentProgress
from tuning.trial import EpochReport, Status, TrialResult


class Cell:
    """Stands in for the output of a cell."""

    def __init__(self):
        self.shown = []

    def update(self, html):
        self.shown.append(html)


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def cell():
    return Cell()


@pytest.fixture
def clock():
    return Clock()


def finished(number):
    return TrialResult(number, Status.COMPLETED, 0.5, {"val_rmse": 0.5}, epochs=3, seconds=1.0)


def test_the_lines_of_a_terminal_stand_in_the_cell_and_vanish_at_the_end(cell, clock):
    progress = NotebookProgress(cell, clock)
    progress.start("housing · optuna:tpe", 4, metric="val_rmse")
    clock.now = 1.0
    progress.finished(finished(0), finished(0))
    assert "housing · optuna:tpe" in cell.shown[0]
    assert "1 of 4 done" in cell.shown[-1]
    progress.stop()
    progress.stop()
    assert cell.shown[-1] == ""
    assert cell.shown.count("") == 1


def test_it_is_drawn_twice_a_second_at_most(cell, clock):
    progress = NotebookProgress(cell, clock)
    progress.start("housing", 100)
    for epoch in range(100):
        clock.now += 0.01
        progress.epoch("cpu:0", EpochReport(0, epoch + 1, 0.5, {}, 1.0))
    assert len(cell.shown) <= 3


def test_what_a_user_wrote_is_no_element(cell, clock):
    NotebookProgress(cell, clock).start("<script>", 4)
    assert "<script>" not in cell.shown[0]


def test_nothing_is_shown_before_the_first_word_and_after_the_last(cell, clock):
    progress = NotebookProgress(cell, clock)
    progress.stop()
    progress.phase("searching")
    assert cell.shown == []


def test_outside_of_a_notebook_nothing_is_shown(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert type(default_progress()) is SilentProgress
    terminal = SimpleNamespace(get_ipython=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "IPython", terminal)
    assert type(default_progress()) is SilentProgress


def test_in_a_notebook_the_view_is_shown_and_drawn_again(monkeypatch):
    shown = []
    handle = SimpleNamespace(update=lambda html: shown.append(("again", html)))

    def display(html, display_id):
        shown.append(("first", html))
        return handle

    kernel = SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=object()))
    monkeypatch.setitem(sys.modules, "IPython", kernel)
    module = SimpleNamespace(HTML=str, display=display)
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    progress = default_progress()
    progress.start("housing", 4)
    progress.stop()
    assert [how for how, _ in shown] == ["first", "again"]
