"""The stores of a run: waited for once, for so long as there is time."""

from __future__ import annotations

import pytest

from tuning.reports.progress import SilentProgress
from tuning.search.outcome.projections import Projections


class Writer:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.folder = None
        self.waited_s: list[float] = []

    def begin(self, folder):
        self.folder = folder

    def finish(self, timeout_s, *, hurried):
        self.waited_s.append(timeout_s)
        return [f"3 trials are not written, hurried: {hurried()}"]


class Told(SilentProgress):
    """Keeps the notices."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text):
        self.notices.append(text)


@pytest.fixture
def writer():
    return Writer()


def test_the_writer_is_waited_for_once_and_what_it_lacks_is_told(writer, tmp_path):
    progress = Told()
    projections = Projections(writer, progress, lambda: False)
    projections.begin(tmp_path)
    projections.warnings.append("the engine's own files are missing")
    projections.catch_up()
    projections.catch_up()
    assert writer.waited_s == [30.0]
    assert progress.notices == projections.warnings
    assert projections.warnings == [
        "the engine's own files are missing",
        "3 trials are not written, hurried: False",
    ]


def test_in_a_hurry_the_writer_is_left_to_itself_soon(writer, tmp_path):
    projections = Projections(writer, SilentProgress(), lambda: True)
    projections.begin(tmp_path)
    projections.catch_up()
    assert writer.waited_s == [5.0]
    assert projections.warnings == ["3 trials are not written, hurried: True"]


def test_a_run_that_ends_before_it_has_a_search_waits_for_nothing(writer):
    Projections(writer, SilentProgress(), lambda: False).catch_up()
    assert writer.waited_s == []


def test_a_ctrl_c_while_the_writer_is_waited_for_does_not_have_it_waited_for_again(
    writer, tmp_path, monkeypatch
):
    def interrupted(timeout_s, **_):
        writer.waited_s.append(timeout_s)
        raise KeyboardInterrupt

    monkeypatch.setattr(writer, "finish", interrupted)
    projections = Projections(writer, SilentProgress(), lambda: False)
    projections.begin(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        projections.catch_up()
    projections.catch_up()
    assert writer.waited_s == [30.0]
