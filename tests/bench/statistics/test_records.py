"""The record that benchmarks and their statistics share."""

from __future__ import annotations

import json
import math
from dataclasses import replace

from tuning.bench.statistics.records import AnytimeRun
from tuning.storage.durable import read_json, write_json

RUN = AnytimeRun(
    study="housing",
    engine="optuna:tpe",
    seed=3,
    direction="minimize",
    metric="val_rmse",
    epochs=(5, 10, 15),
    seconds=(0.5, 1.1, 1.9),
    values=(None, 0.7, 0.6),
    tests=(None, 0.72, None),
    asked_s=(0.001, 0.002, 0.001),
)


def test_a_run_comes_back_from_json_as_it_was():
    assert AnytimeRun.from_json(json.loads(json.dumps(RUN.to_json()))) == RUN


def test_a_run_without_times_of_proposals_has_none():
    stored = {key: value for key, value in RUN.to_json().items() if key != "asked_s"}
    assert AnytimeRun.from_json({**stored, "asked_s": []}).asked_s == ()


def test_scores_that_our_files_hold_as_text_are_numbers_again(tmp_path):
    write_json(tmp_path / "run.json", replace(RUN, values=(None, math.inf, 0.6)).to_json())
    assert AnytimeRun.from_json(read_json(tmp_path / "run.json")).values == (None, math.inf, 0.6)
