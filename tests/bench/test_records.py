"""The record that benchmarks and their statistics share."""

from __future__ import annotations

import json

from tuning.bench.records import AnytimeRun

RUN = AnytimeRun(
    "housing", "optuna:tpe", 3, "minimize", "val_rmse",
    (5, 10, 15), (0.5, 1.1, 1.9), (None, 0.7, 0.6), (None, 0.72, None), (0.001, 0.002, 0.001),
)  # fmt: skip


def test_a_run_comes_back_from_json_as_it_was():
    assert AnytimeRun.from_json(json.loads(json.dumps(RUN.to_json()))) == RUN


def test_a_run_without_times_of_proposals_has_none():
    stored = {key: value for key, value in RUN.to_json().items() if key != "asked_s"}
    assert AnytimeRun.from_json({**stored, "asked_s": []}).asked_s == ()
