"""`make courses`: outer folds, the table, its place in its page."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import courses as room
from benchmarks.courses import (
    BEGIN,
    COURSES,
    END,
    Known,
    OuterFold,
    Row,
    courses,
    markdown,
    put_between,
    remember,
    remembered,
)
from tuning.data.parts import split
from tuning.data.toy import iris
from tuning.errors import MissingError, SearchFailed
from tuning.ledger.winner import Margin
from tuning.reports.summary import Summary
from tuning.study.objective import Maximize
from tuning.study.study import load_study


def summary(**test):
    scores = {name: dict.fromkeys(test, value) for name, value in (("linear", 0.8), ("dummy", 0.5))}
    return Summary(
        study="s",
        engine="e",
        search="i",
        status="completed",
        objective=Maximize("val_accuracy"),
        trials=(),
        test=test,
        total_s=12.3,
        margin=Margin(difference=0.1, standard_error=0.02),
        **scores,
    )


def test_outer_folds_test_each_row_once_and_keep_the_classes_even():
    parts = [split(OuterFold(iris, fold)(), seed=0) for fold in range(5)]
    assert sum(len(part.test) for part in parts) == 150
    assert all(np.bincount(part.test.y).tolist() == [10, 10, 10] for part in parts)
    assert all(len(part.train) + len(part.validation) == 120 for part in parts)


def test_a_line_shows_the_winner_beside_its_baselines(monkeypatch, tmp_path):
    monkeypatch.setattr(
        room, "run_study", lambda study, options, forkserver: summary(accuracy=0.912)
    )
    row = room.measured("blobs", COURSES["blobs"], tmp_path)
    words = COURSES["blobs"].words
    ahead = "+0.100 ± 0.020, better"
    assert row.cells == ("`blobs`", "accuracy", "**0.912**", "0.800", "0.500", ahead, words, "12")


def test_outer_folds_are_searched_one_by_one_and_averaged(monkeypatch, tmp_path):
    searched = []

    def run(study, options, forkserver):
        searched.append((study.name, study.data.fold, options.fresh))
        return summary(accuracy=0.90 + 0.02 * len(searched))

    monkeypatch.setattr(room, "run_study", run)
    row = room.measured("iris", COURSES["iris"], tmp_path)
    assert searched == [(f"iris-outer-{k}", k, True) for k in range(5)]
    assert (round(row.winner, 6), round(row.seconds, 1)) == (0.96, 61.5)
    assert (row.ahead, row.error) == (pytest.approx(0.1), pytest.approx(0.02 / 5**0.5))


@pytest.mark.parametrize(("status", "code"), [("interrupted", 130), ("terminated", 143)])
def test_a_signal_to_one_search_ends_all_of_them(monkeypatch, tmp_path, status, code):
    searched = []

    def run(study, options, forkserver):
        searched.append(study.name)
        return replace(summary(), status=status)

    monkeypatch.setattr(room, "run_study", run)
    with pytest.raises(SystemExit) as ended:
        room.measured("iris", COURSES["iris"], tmp_path)
    assert (ended.value.code, searched) == (code, ["iris-outer-0"])


def test_what_is_missing_is_skipped_and_what_fails_is_told(monkeypatch, tmp_path):
    errors = iter(
        [MissingError("the faces are not here: no way"), SearchFailed("no trial was completed")]
    )

    def run(study, options, forkserver):
        raise next(errors)

    monkeypatch.setattr(room, "run_study", run)
    assert (
        room.measured("faces", COURSES["faces"], tmp_path).cells[2]
        == "skipped: its data could not be fetched here"
    )
    assert (
        room.measured("blobs", COURSES["blobs"], tmp_path).cells[2]
        == "failed: no trial was completed"
    )


def row_of(known, winner=0.9, ahead=0.1, error=0.02):
    return Row(
        study="digits",
        known=known,
        winner=winner,
        linear=0.8,
        dummy=0.5,
        ahead=ahead,
        error=error,
        seconds=3.0,
    )


def blobs_row():
    return replace(row_of(COURSES["blobs"]), study="blobs")


def test_a_missed_target_is_marked_and_smaller_is_better_for_rmse():
    known = Known(metric="rmse", words="≤ 0.56", bound=0.56)
    assert known.reached(0.55)
    assert row_of(known, winner=0.57).cells[2] == "**0.570** **missed**"
    assert (
        row_of(Known(metric="accuracy", words="", bound=0.95), winner=0.96).cells[2] == "**0.960**"
    )


@pytest.mark.parametrize(
    ("ahead", "error", "verdict"),
    [
        (0.05, 0.02, "better"),
        (0.04, 0.02, "as good"),
        (-0.04, 0.02, "as good"),
        (-0.05, 0.02, "worse"),
        (0.0, 0.0, "as good"),
        (float("nan"), 0.1, "worse"),
    ],
)
def test_two_standard_errors_tell_a_winner_from_the_line(ahead, error, verdict):
    assert row_of(COURSES["blobs"], ahead=ahead, error=error).verdict == verdict


def test_a_worse_winner_is_a_fault_and_where_a_line_is_not_enough_one_as_good_too():
    assert row_of(Known(metric="accuracy", words=""), ahead=0.0).faults == ()
    assert row_of(Known(metric="accuracy", words=""), ahead=-0.1).faults == (
        "worse, not better or as good",
    )
    assert row_of(Known(metric="accuracy", words="", bends=True), ahead=0.0).faults == (
        "as good, not better",
    )


@pytest.mark.parametrize("name", COURSES)
def test_what_is_shown_of_a_study_is_its_objective(name):
    assert load_study(name).objective.name == COURSES[name].metric


def test_figures_are_kept_until_the_study_its_budget_or_the_code_changes(monkeypatch, tmp_path):
    row = blobs_row()
    assert remembered("blobs", COURSES["blobs"], tmp_path) is None
    remember(row, tmp_path)
    assert remembered("blobs", COURSES["blobs"], tmp_path) == row
    changed = load_study("blobs").with_(epochs=7)
    for different in (changed, load_study("blobs").with_(seeds=9)):
        monkeypatch.setattr(room, "load_study", lambda name, study=different: study)
        assert remembered("blobs", COURSES["blobs"], tmp_path) is None
    monkeypatch.undo()
    monkeypatch.setattr(room, "git_commit", lambda: "another")
    assert remembered("blobs", COURSES["blobs"], tmp_path) is None


def test_what_was_skipped_or_failed_is_tried_again(tmp_path):
    remember(Row(study="faces", known=COURSES["faces"], skipped="no data"), tmp_path)
    assert remembered("faces", COURSES["faces"], tmp_path) is None


def test_the_table_replaces_what_stands_between_the_markers_and_nothing_else():
    table = markdown([blobs_row()])
    written = put_between(f"before\n{BEGIN}\nold\n{END}\nafter\n", table)
    assert written == f"before\n{BEGIN}\n{table}\n{END}\nafter\n"
    assert put_between(written, table) == written
    assert put_between("no place", table) is None
    assert table.splitlines()[1] == "| --- | --- | --- | --- | --- | --- | --- | --: |"


class NoServer:
    """Stands in for a forkserver that nobody asks for anything."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


@pytest.fixture
def two_studies(monkeypatch, tmp_path):
    """`make courses` of two studies without searches; what was measured, and a page."""
    done = []

    def measured(name, known, home, forkserver):
        done.append(name)
        return replace(row_of(known, winner=1.0), study=name)

    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(room, "measured", measured)
    monkeypatch.setattr(room, "ForkServer", NoServer)
    monkeypatch.setattr(room, "COURSES", {name: COURSES[name] for name in ("blobs", "moons")})
    page = tmp_path / "courses.md"
    page.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    return done, page


def test_the_page_is_written_by_a_whole_run_alone(two_studies):
    _, page = two_studies
    CliRunner().invoke(courses, ["moons", "--page", str(page)])
    assert "moons" not in page.read_text(encoding="utf-8")
    CliRunner().invoke(courses, ["--page", str(page)])
    assert "| `moons` |" in page.read_text(encoding="utf-8")


def test_an_interrupted_run_goes_on_with_what_is_missing(two_studies):
    done, page = two_studies
    CliRunner().invoke(courses, ["moons"])
    CliRunner().invoke(courses, ["--page", str(page)])
    assert done == ["moons", "blobs"]
    CliRunner().invoke(courses, ["blobs", "--again"])
    assert done == ["moons", "blobs", "blobs"]
