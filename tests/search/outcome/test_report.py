"""The report of a search: written where there is something to show, kept while it holds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.search.scripted import RECORD
from tuning.ledger.begin import begin
from tuning.ledger.records import SearchHeader
from tuning.ledger.search import PARETO_FILE
from tuning.search.outcome import report as outcome_report
from tuning.search.outcome.report import SearchReport
from tuning.storage.durable import read_json
from tuning.study.objective import Minimize
from tuning.trial import Proposal, Status, TrialResult

HEADER = SearchHeader(
    study=RECORD.name,
    engine=RECORD.engine,
    objective=RECORD.objective,
    versions=(RECORD.definition,),
)


@pytest.fixture
def files(tmp_path):
    files = begin(tmp_path / "key", HEADER, fresh=False, allow_change=False)
    files.write_spec(Proposal(0, {"x": 1}, 2))
    files.write_result(TrialResult(0, Status.COMPLETED, 0.5))
    return files


@pytest.fixture
def drawn(monkeypatch):
    """Return what is drawn, by study; drawing itself takes a second."""
    drawn = []

    def write_report(folder: Path, **shown) -> Path:
        drawn.append(shown)
        folder.mkdir(exist_ok=True)
        path = folder / "search.html"
        path.write_text("drawn")
        return path

    monkeypatch.setattr(outcome_report, "write_report", write_report)
    return drawn


def trials_of(files):
    return [(files.proposal(0, RECORD.space), files.result(0))]


def test_a_report_is_kept_until_a_file_that_it_shows_is_another_one(files, drawn, tmp_path):
    report = SearchReport(files, RECORD, tmp_path / "reports")
    assert report.kept() is None
    path = report.write(trials_of(files), None, "<cards>")
    assert report.kept() == path
    assert [shown["range_tests"] for shown in drawn] == ["<cards>"]

    (files.trial_folder(0) / "result.json").unlink()
    files.write_result(TrialResult(0, Status.COMPLETED, 0.25))
    assert report.kept() is None


def test_without_a_trial_there_is_nothing_to_show(files, drawn, tmp_path):
    assert SearchReport(files, RECORD, tmp_path / "reports").write([], None) is None
    assert drawn == []


def test_the_front_of_several_objectives_is_kept_for_mlflow(files, drawn, tmp_path):
    objectives = (Minimize("val_loss"), Minimize("val_mae"))
    study = replace(RECORD, objectives=objectives)
    asked = files.write_spec(Proposal(1, {"x": 2}, 2))
    result = files.write_result(TrialResult(1, Status.COMPLETED, 0.5, values=(0.5, 0.25)))
    SearchReport(files, study, tmp_path / "reports").write([(asked, result)], None)
    front = read_json(files.folder / "artifacts" / PARETO_FILE)
    assert [trial["number"] for trial in front["front"]] == [1]
