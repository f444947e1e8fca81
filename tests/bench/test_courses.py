"""`make courses`: outer folds, the table, its place in the README."""

import numpy as np
from click.testing import CliRunner

from tuning.bench import courses as room
from tuning.bench.courses import BEGIN, COURSES, END, Known, OuterFold, Row, courses, markdown, put_between
from tuning.data.parts import split
from tuning.data.toy import iris
from tuning.errors import MissingError, SearchFailed
from tuning.reports.summary import Summary
from tuning.study import Maximize


def summary(**test):
    scores = {name: dict.fromkeys(test, value) for name, value in (("linear", 0.8), ("dummy", 0.5))}
    return Summary(
        study="s", engine="e", search="i", status="completed", objective=Maximize("val_accuracy"), trials=(),
        test=test, total_s=12.3, **scores,
    )  # fmt: skip


def test_outer_folds_test_each_row_once_and_keep_the_classes_even():
    parts = [split(OuterFold(iris, fold)(), seed=0) for fold in range(5)]
    assert sum(len(part.test) for part in parts) == 150
    assert all(np.bincount(part.test.y).tolist() == [10, 10, 10] for part in parts)
    assert all(len(part.train) + len(part.validation) == 120 for part in parts)


def test_a_line_shows_the_winner_beside_its_baselines(monkeypatch, tmp_path):
    monkeypatch.setattr(room, "run_study", lambda study, options: summary(accuracy=0.912))
    row = room.measured("blobs", COURSES["blobs"], tmp_path)
    said = COURSES["blobs"].said
    assert row.cells == ("`blobs`", "accuracy", "**0.912**", "0.800", "0.500", said, "12")


def test_outer_folds_are_searched_one_by_one_and_averaged(monkeypatch, tmp_path):
    asked = []

    def run(study, options):
        asked.append((study.name, study.data.fold, options.fresh))
        return summary(accuracy=0.90 + 0.02 * len(asked))

    monkeypatch.setattr(room, "run_study", run)
    row = room.measured("iris", COURSES["iris"], tmp_path)
    assert asked == [(f"iris-outer-{k}", k, True) for k in range(5)]
    assert (round(row.winner, 6), round(row.seconds, 1)) == (0.96, 61.5)


def test_what_is_missing_is_skipped_and_what_fails_is_told(monkeypatch, tmp_path):
    errors = iter([MissingError("the faces are not here: no way"), SearchFailed("no trial was completed")])

    def run(study, options):
        raise next(errors)

    monkeypatch.setattr(room, "run_study", run)
    assert room.measured("faces", COURSES["faces"], tmp_path).cells[2] == "skipped: its data could not be fetched here"
    assert room.measured("blobs", COURSES["blobs"], tmp_path).cells[2] == "failed: no trial was completed"


def test_a_missed_target_is_marked_and_smaller_is_better_for_rmse():
    known = Known("rmse", "≤ 0.56", 0.56)
    assert known.reached(0.55)
    assert Row("housing", known, winner=0.57).cells[2] == "**0.570** **missed**"
    assert Row("digits", Known("accuracy", "", 0.95), winner=0.96).cells[2] == "**0.960**"


def test_the_table_replaces_what_stands_between_the_markers_and_nothing_else():
    table = markdown([Row("blobs", COURSES["blobs"], 0.9, 0.8, 0.5, 3.0)])
    written = put_between(f"before\n{BEGIN}\nold\n{END}\nafter\n", table)
    assert written == f"before\n{BEGIN}\n{table}\n{END}\nafter\n"
    assert put_between(written, table) == written
    assert put_between("no place", table) is None
    assert table.splitlines()[1] == "| --- | --- | --- | --- | --- | --- | --: |"


def test_the_readme_is_written_by_a_whole_run_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(room, "measured", lambda name, known, home: Row(name, known, 1.0, 0.8, 0.5, 3.0))
    monkeypatch.setattr(room, "COURSES", {name: COURSES[name] for name in ("blobs", "moons")})
    readme = tmp_path / "README.md"
    readme.write_text(f"{BEGIN}\n{END}\n", encoding="utf-8")
    CliRunner().invoke(courses, ["moons", "--readme", str(readme)])
    assert "moons" not in readme.read_text(encoding="utf-8")
    CliRunner().invoke(courses, ["--readme", str(readme)])
    assert "| `moons` |" in readme.read_text(encoding="utf-8")
