from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from tuning.errors import StorageError
from tuning.ledger.records import SearchHeader
from tuning.ledger.winner import Evaluation, Standing, WinnerRecord
from tuning.reports.html import write_report
from tuning.reports.summary import Summary, Winner
from tuning.space.space import Choice, Float, Int, Space
from tuning.study.info import DatasetFacts
from tuning.study.objective import Minimize
from tuning.trial import Finding

SCRIPT = "</script><script>alert('canary')</script>"
SPACE = Space(
    {
        "n_hidden": Int(0, 3),
        "n_neurons": Int(1, 100),
        "lr": Float(3e-4, 3e-2, log=True),
        "batch_size": Choice(16, 32, 64),
    }
)
HEADER = SearchHeader(
    id="housing-optuna-tpe-1a2b3c4d",
    study="housing",
    engine="optuna:tpe",
    objective=Minimize("val_rmse"),
    data=DatasetFacts(name="california", digest="ab12", unit="100,000 USD"),
    versions_of={"keras": "3.15.1"},
    versions=(
        {"seed": 41},
        {"seed": 42, "space": {"lr": "Float(…)"}, "fixed": {"activation": "'relu'"}},
    ),
)


class Page(HTMLParser):
    """Elements, what they load, and the text a reader sees."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[tuple[str, str]] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.scripts: list[str] = []
        self.feed(text)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [
            (tag, value or "") for name, value in attrs if name in ("src", "href", "srcset")
        ]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        inside = self.tags[-1] if self.tags else ""
        if inside == "script" and self.cdata_elem == "script":
            self.scripts.append(data)
        elif inside != "style" or self.cdata_elem is None:
            self.words.append(data)


def winner_of(winner: Winner, evaluation: Evaluation) -> WinnerRecord:
    standing = Standing(
        number=winner.number,
        params=winner.params,
        epochs=30,
        seeds=winner.seeds,
        weights=(None,) * len(winner.seeds),
        values=winner.values,
    )
    return WinnerRecord(
        standing=standing,
        finalists=(standing,),
        evaluation=evaluation,
        seed=winner.seeds[0],
        at=0.0,
    )


def written(folder: Path, summary: Summary, **changes: Any) -> Page:
    winner = None
    if summary.winner is not None:
        baseline = {"dummy": summary.dummy, "linear": {**summary.linear, "r2": math.nan}}
        winner = winner_of(summary.winner, Evaluation(test=summary.test, baseline=baseline))
    arguments = {
        "header": HEADER,
        "trials": summary.trials,
        "winner": winner,
        "space": SPACE,
        **changes,
    }
    path = write_report(folder, objective=Minimize("val_rmse"), **arguments)
    return Page(path.read_text(encoding="utf-8"))


def figure(page: Page, name: str) -> dict[str, Any]:
    script = next(s for s in page.scripts if f'Plotly.newPlot("{name}"' in s)
    _, _, rest = script.partition("const f = ")
    plot, _, _ = rest.partition("; Plotly.newPlot")
    drawn: dict[str, Any] = json.loads(plot)
    return drawn


@pytest.fixture
def page(tmp_path, summary):
    return written(tmp_path, summary)


def test_the_report_is_one_file_named_after_the_search_that_only_its_owner_reads(tmp_path, summary):
    written(tmp_path / "reports", summary)
    path = tmp_path / "reports" / "housing-optuna-tpe-1a2b3c4d.html"
    assert list(path.parent.iterdir()) == [path]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(("completed", "loaded"), [(9, False), (10, True)])
def test_importances_are_imported_ahead_of_the_report_that_will_show_them(completed, loaded):
    code = (
        "import sys; from tuning.reports.html import load_libraries; "
        f"load_libraries({completed}).join(); "
        "print(*(name in sys.modules for name in ('plotly.subplots', 'optuna.importance')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"True {loaded}\n"


def test_the_report_loads_nothing(page):
    assert page.loaded == []
    assert "link" not in page.tags
    assert "img" not in page.tags


def test_the_winner_stands_beside_the_baselines(page):
    assert "Winner: trial 0 n_hidden = " in page.text
    assert "winner, validation 0.5540 ± 0.0036" in page.text
    assert "winner, test 0.5531 0.3712 0.7712" in page.text
    assert "linear baseline, test 0.7301 0.5300 nan" in page.text
    assert "dummy baseline, test 1.153 0.9100 -0.0003" in page.text
    assert "3 fresh seeds (11: 0.5530, 12: 0.5510, 13: 0.5580)" in page.text
    assert "One unit of the target is 100,000 USD." in page.text


def test_a_search_without_a_winner_says_so(tmp_path, summary):
    assert "None was chosen" in written(tmp_path, replace(summary, winner=None)).text


def test_failures_are_grouped(page):
    assert "2 × failed: ValueError: Dense needs 7 units trials 7, 16" in page.text


def test_the_diagnosis_of_the_winner_and_the_best_stands_with_its_words(tmp_path, summary):
    late = Finding("epochs_too_few", "note", "still < falling")
    jumps = Finding("lr_too_high", "warning", "jumps by 3")
    findings = {0: (late,), 3: (jumps,), 19: (jumps,)}  # trial 19 is not among the best
    trials = [(p, replace(r, diagnosis=findings.get(r.number, ()))) for p, r in summary.trials]
    text = written(tmp_path, replace(summary, trials=trials)).text
    assert "Of all 20 trials: lr_too_high 2, epochs_too_few 1." in text
    assert "0 epochs_too_few still < falling 3 lr_too_high jumps by 3 Best so far" in text
    # In the counts, in the words on trial 3, and in the rows of trials 3 and 19.
    assert text.count("lr_too_high") == 1 + 1 + 2


def test_without_a_finding_the_diagnosis_says_so(page):
    assert "Diagnosis No trial has a finding. Best so far" in page.text


def test_the_last_definition_is_shown_with_the_space_in_words(page):
    assert "seed 42" in page.text
    assert "space.lr 0.0003 … 0.03, log" in page.text
    assert "fixed.activation 'relu'" in page.text
    assert "data.name california" in page.text
    assert "data.digest ab12" in page.text
    assert "versions_of.keras 3.15.1" in page.text
    assert "fresh seeds 11, 12, 13 versions 2; the last is shown" in page.text


def test_every_trial_has_a_row(page, summary):
    assert page.tags.count("tr") > len(summary.trials)
    for status in ("pruned", "failed", "diverged", "infeasible"):
        assert status in page.text


def test_best_so_far_falls_in_steps_and_leaves_out_pruned_trials(tmp_path, summary):
    page = written(tmp_path, replace(summary, trials=summary.trials[1:6] + summary.trials[18:]))
    traces = figure(page, "history")["data"]
    line = next(trace for trace in traces if trace["name"] == "best so far")
    assert line["x"] == [1, 2, 3, 4, 5, 19]
    assert line["y"] == pytest.approx([0.57, 0.57, 0.51, 0.51, 0.51, 0.51])


def test_learning_curves_are_log_and_name_the_best_five(page):
    curves = figure(page, "curves")
    assert curves["layout"]["yaxis"]["type"] == "log"
    assert [trace["name"] for trace in curves["data"]] == [
        "others",
        *(f"trial {n}" for n in (0, 3, 6, 9, 12)),
    ]


def test_log_parameters_have_log_axes(page):
    layout = figure(page, "slices")["layout"]
    types = [layout[f"xaxis{n}"]["type"] for n in ("", 2, 3, 4)]
    assert types == ["linear", "linear", "log", "linear"]


def test_importance_needs_ten_completed_trials(tmp_path, page, summary):
    assert {*figure(page, "importance")["data"][0]["y"]} == {*SPACE}
    few = written(tmp_path, replace(summary, trials=summary.trials[:9]))
    assert "Shown from 10 completed trials on." in few.text
    assert not any('newPlot("importance"' in script for script in few.scripts)


def test_no_trial_at_all_gives_a_report_too(tmp_path, summary):
    page = written(tmp_path, summary, trials=[], winner=None)
    assert "There is nothing to draw yet." in page.text


def test_a_far_outlier_is_told_and_left_out_of_the_picture(tmp_path, summary):
    trials = [(p, replace(r, value=900.0) if r.number == 5 else r) for p, r in summary.trials]
    page = written(tmp_path, replace(summary, trials=trials))
    assert re.search(r"1 trial beyond [\d.]+ out of the picture\.", page.text)
    assert figure(page, "history")["layout"]["yaxis"]["range"][1] < 1


def test_no_user_text_becomes_an_element_or_ends_a_script(tmp_path, make_trials, summary):
    space = Space(
        {SCRIPT: Choice(SCRIPT, None), "lr": Float(1e-4, 1e-1, log=True).when(**{SCRIPT: SCRIPT})}
    )
    trials = [
        (p, replace(r, error=r.error and f"E: {SCRIPT}", notices=(SCRIPT,), slot=SCRIPT))
        for p, r in make_trials(20, space)
    ]
    header = replace(
        HEADER,
        study=SCRIPT,
        engine=SCRIPT,
        versions=({"name": SCRIPT, "fixed": {SCRIPT: SCRIPT}},),
        data=DatasetFacts(name=SCRIPT, unit=SCRIPT),
    )
    winner = winner_of(Winner(0, {SCRIPT: SCRIPT}, (1,), (1.0,)), Evaluation(test={SCRIPT: 1.0}))
    changes: dict[str, Any] = {"header": header, "trials": trials, "space": space, "winner": winner}
    page = written(tmp_path, summary, **changes)
    plain = written(tmp_path, summary)
    assert page.tags.count("script") == plain.tags.count("script")
    assert page.handlers == []
    assert SCRIPT in page.text  # shown as it is
    assert figure(page, "parallel")["layout"]["xaxis"]["ticktext"][0].startswith("&lt;/script&gt;")


def test_secrets_stay_out(tmp_path, summary):
    trials = [
        (p, replace(r, error="E: cannot reach postgresql://me:canary@db/x"))
        for p, r in summary.trials
    ]
    header = replace(HEADER, versions=({"storage": "postgresql://me:canary@db/x"},))
    path = write_report(
        tmp_path,
        header=header,
        trials=trials,
        winner=None,
        space=SPACE,
        objective=Minimize("val_rmse"),
    )
    assert "canary" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["../outside", "a/b", ".hidden", "", "<script>"])
def test_a_search_id_cannot_leave_the_folder(tmp_path, summary, name):
    with pytest.raises(StorageError, match="cannot be the name of a report"):
        written(tmp_path / "reports", summary, header=replace(HEADER, id=name))


def test_the_report_needs_neither_tensorflow_nor_mlflow():
    code = (
        "import sys; from tuning.reports import html, tables, progress, plots; print(*sys.modules)"
    )
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )
    assert not {"tensorflow", "keras", "mlflow", "optuna", "plotly", "sklearn"} & {
        *done.stdout.split()
    }


def test_a_winner_without_scores_says_why(tmp_path, summary):
    evaluation = Evaluation(test={}, not_scored="its evaluation failed: ValueError: <no>")
    page = written(tmp_path, summary, winner=winner_of(summary.winner, evaluation))
    assert "Not scored: its evaluation failed: ValueError: <no>" in " ".join(page.words)
