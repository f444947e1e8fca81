"""What a search has used: whoever shows it says the same."""

from __future__ import annotations

import json
import re

import pytest
from mlflow.tracking import MlflowClient

from tests.search.run_parts import FILE
from tuning.cli.main import main
from tuning.reports.texts import seconds_text
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.storage.durable import read_json

_STUDY = """
from tests.search.run_parts import STUDY
from tuning import Choice, Float

STUDY = STUDY.with_(
    name="used",
    space={"n": Choice(2, 3, 4), "lr": Float.from_range_test(1e-4, 1.0)},
    trials=3,
)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TUNING_DEVICES", "GPU-a")
    monkeypatch.chdir(FILE.parents[2])
    return tmp_path / "home"


@pytest.fixture
def run(home, forkserver):
    def run(study, **budget):
        options = RunOptions(devices="gpu/2", budget=budget)
        return json.loads(json.dumps(run_study(study, options, None, forkserver).to_json()))

    return run


def in_mlflow(home, summary):
    place = summary["mlflow"]
    client = MlflowClient(place["tracking_uri"])
    metrics = client.get_run(place["run_id"]).data.metrics
    return {"cpu": metrics["time/total_cpu_s"], "gpu": metrics["time/total_gpu_s"]}


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_summary_report_comparison_and_mlflow_say_the_same(run, home, tmp_path, capsys):
    study = tmp_path / "used.py"
    study.write_text(_STUDY)
    other = run(FILE, trials=1)["search"]
    for trials in (3, 6, 6):  # begun, gone on with, ended
        summary = run(study, trials=trials)
        used = {name: summary["seconds"][name] for name in ("cpu", "gpu")}
        assert in_mlflow(home, summary) == pytest.approx(used)

        assert main(["compare", summary["search"], other, "--json"]) == 0
        compared, _ = json.loads(capsys.readouterr().out.splitlines()[-1])["searches"]
        assert {name: compared["seconds"][name] for name in used} == pytest.approx(used)

        with open(summary["report"]) as page:
            chips = re.findall(r'class="chip"><b>([^<]*)</b> ([^<]*)<', page.read())
        shown = {text: figure for figure, text in chips}
        assert shown["of processor time"] == seconds_text(used["cpu"])
        assert shown["on GPUs"] == seconds_text(used["gpu"])

    (header,) = home.glob("ledger/used/*/search.json")
    folder = header.parent
    results = [read_json(path) for path in folder.glob("trials/*/result.json")]
    finals = [read_json(path) for path in folder.glob("finalists/*/*.json")]
    tests = read_json(folder / "artifacts" / "lr_range_lr.json")
    winner = read_json(folder / "winner.json")
    for name in ("cpu", "gpu"):
        parts = [part[f"{name}_s"] for part in [*results, *finals, *tests, winner["used"]]]
        assert min(parts) > 0
        assert sum(parts) == pytest.approx(used[name])
    # Two slots share the only GPU: it is never used for longer than there was time.
    wall_s = sum(each["seconds"] for each in [*results, *finals, *tests])
    assert sum(each["gpu_s"] for each in [*results, *finals, *tests]) < 0.75 * wall_s
