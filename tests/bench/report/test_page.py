"""What a reader of the report finds, and what the object of `--json` holds."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from tests.search.scripted import RECORD
from tuning.bench.budget import Budget
from tuning.bench.plan import BenchPlan, CheckedStudy, Search, folder_of, parse_choices
from tuning.bench.report.page import Written, write_bench_report
from tuning.bench.report.publish import as_json
from tuning.bench.run import BenchedStudy
from tuning.bench.runs import BenchRun, Incumbent, TrialCounts
from tuning.bench.statistics.overview import analyse
from tuning.bench.statistics.records import AnytimeRun
from tuning.ledger.search import SearchFiles
from tuning.study.info import DatasetFacts
from tuning.trial import Proposal, Status, TrialResult

ENGINES = "optuna:tpe,optuna:tpe+asha,gridsearchcv"


def plan_of(seeds):
    return BenchPlan(
        sources=(), choices=parse_choices(ENGINES), seeds=seeds, budget=Budget("epochs", 40)
    )


def benched(folder, plan, study="scripted", gap=1.0):
    """Searches of three trials each; the later engines are worse by `gap`."""
    chance = random.Random(study)
    searches = []
    runs = []
    for seed in range(plan.seeds):
        for rank, choice in enumerate(plan.choices):
            home = folder_of(folder / study, choice, seed)
            searches.append(
                Search(
                    study=study,
                    source="study.py",
                    overrides={},
                    choice=choice,
                    seed=seed,
                    folder=home,
                    pinned="pinned",
                )
            )

            values = [9 - i / 2 + gap * rank + chance.random() for i in range(3)]
            for number, value in enumerate(values):
                _write(SearchFiles(home), number, value)
            runs.append(_run(study, choice.name, seed, values))

    facts = DatasetFacts(name="line", digest="0a" * 32, train=6, validation=2, test=2)
    checked = CheckedStudy(
        info=replace(RECORD, name=study, data=facts),
        searches=tuple(searches),
        notices={"gridsearchcv": ("grid: 4 points",)},
        folder=folder / study,
    )
    return BenchedStudy(checked, tuple(runs))


def _write(files, number, value):
    files.write_spec(Proposal(number, {"x": number * 900 + int(value)}, 4))
    files.write_result(TrialResult(number, Status.COMPLETED, value, epochs=4))


def _run(study, engine, seed, values):
    best = [min(values[: i + 1]) for i in range(len(values))]
    curve = AnytimeRun(
        study=study,
        engine=engine,
        seed=seed,
        direction="minimize",
        metric="val_loss",
        epochs=(4, 8, 40),
        seconds=(0.5, 1.0, 1.5),
        values=tuple(best),
        tests=tuple(value + 0.1 for value in best),
        asked_s=(0.01, 0.02, 0.01),
    )
    return BenchRun(
        curve=curve,
        search=f"{study}-{engine}-{seed}",
        pinned="pinned",
        ended="budget",
        counts=TrialCounts(completed=3),
        best=Incumbent(number=2, params={"x": 1}, value=best[-1], test=best[-1] + 0.1),
        at=1000.0,
    )


def text_of(page):
    """The page without Plotly's own code."""
    whole = page.read_text(encoding="utf-8")
    return whole[whole.index("<main>") :]


def test_the_report_of_one_study_needs_no_network_and_holds_every_part(tmp_path):
    plan = plan_of(12)
    study = benched(tmp_path, plan)
    statistics = analyse([run.curve for run in study.runs], resamples=99)
    written = write_bench_report(tmp_path / "reports", [study], plan, statistics)
    assert written.page == tmp_path / "reports" / "bench-scripted-epochs-40.html"

    page = text_of(written.page)
    assert "http" not in page.replace("http://www.w3.org", "")
    for title in (
        "Which engine?",
        "What is supported",
        "Standing",
        "Validation, over epochs",
        "Test, over epochs",
        "Validation, over seconds",
        "Test, over seconds",
        "Each two engines",
        "Time per proposal",
        "Importance of the parameters",
        "All parameters at once",
        "Searches",
        "How it was counted",
    ):
        assert f">{title}" in page
    assert "There is nothing to draw yet" not in page
    assert "Ranks over the studies" not in page
    assert page.count('class="tag completed">supported') == 3

    assert [path.name for path in written.pictures] == [
        "bench-scripted-epochs-40-scripted-epochs.png",
        "bench-scripted-epochs-40-scripted-seconds.png",
    ]
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in written.pictures)


def test_several_studies_are_ranked_in_one_report(tmp_path):
    plan = plan_of(2)
    studies = [benched(tmp_path, plan, name) for name in ("a", "b", "c")]
    statistics = analyse([run.curve for each in studies for run in each.runs], resamples=99)
    written = write_bench_report(tmp_path / "reports", studies, plan, statistics)
    assert written.page.name == "bench-a-b-c-epochs-40.html"
    assert ">Ranks over the studies" in text_of(written.page)
    assert written.pictures[-1].name == "bench-a-b-c-epochs-40-ranks.png"


def test_what_users_wrote_is_escaped(tmp_path):
    plan = plan_of(1)
    study = benched(tmp_path, plan)
    failed = BenchRun(
        curve=study.runs[0].curve,
        search="s",
        pinned="pinned",
        ended="failed",
        error="ValueError: </script><b>no</b>",
    )
    statistics = analyse([run.curve for run in study.runs], resamples=99)
    changed = BenchedStudy(study.study, (failed, *study.runs[1:]))
    written = write_bench_report(tmp_path, [changed], plan, statistics)
    assert "failed: ValueError: &lt;/script&gt;&lt;b&gt;no" in text_of(written.page)


def test_json_says_who_is_better_by_study_and_where_the_report_is(tmp_path):
    plan = plan_of(3)
    study = benched(tmp_path, plan)
    statistics = analyse([run.curve for run in study.runs], resamples=99)
    printed = as_json([study], plan, statistics, Written(tmp_path / "r.html", ()), [])
    assert json.loads(json.dumps(printed, allow_nan=False)) == printed
    assert (printed["study"], printed["seeds"], printed["budget"]) == ("scripted", 3, "epochs=40")
    assert printed["engines"] == ENGINES.split(",")
    medians = printed["medians"]["scripted"]
    assert medians["optuna:tpe"]["validation"] < medians["gridsearchcv"]["validation"]
    assert medians["optuna:tpe"]["test"] == pytest.approx(medians["optuna:tpe"]["validation"] + 0.1)
    assert len(printed["comparisons"]["scripted"]) == 3
    assert printed["report"] == str(tmp_path / "r.html")
