"""The files of a search as records: old ones are read, ours come back, newer ones are refused."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from tuning.errors import DamagedFileError, NewerFileError
from tuning.ledger.records import (
    Death,
    LRIntervals,
    SearchHeader,
    SearchStatus,
    counts,
    read_record,
    write_record,
)
from tuning.ledger.results import read_result
from tuning.ledger.search import SearchFiles
from tuning.ledger.winner import Evaluation, FinalistOutcome, Margin, Standing, WinnerRecord
from tuning.schema import SCHEMA
from tuning.space.space import Choice, Float, Space
from tuning.storage.durable import read_json, write_json
from tuning.study.info import DatasetFacts
from tuning.study.objective import Maximize
from tuning.trial import Proposal, Status, TrialResult

RELEASE_0_1 = Path(__file__).parents[1] / "release_0_1" / "mlruns"
SPACE = Space({"lr": Float(1e-4, 1e-1, log=True), "shape": Choice((8, 8), None)})
SPACE_JSON = json.loads(json.dumps(SPACE.to_json()))
STANDING = Standing(
    number=3,
    params={"lr": 0.01},
    epochs=9,
    seeds=(11, 12, 13),
    weights=("0.npz", None, "2.npz"),
    values=(0.5, 0.25, 0.75),
)
EVALUATION = Evaluation(
    test={"rmse": 0.5, "r2": math.inf},
    baseline={"dummy": {"rmse": 1.5}, "linear": {"rmse": 0.75}},
    margin=Margin(difference=0.25, standard_error=0.125),
    model="winner.keras",
    sha256="ab" * 32,
    parameters=11,
    reload_error=0.0,
)
RECORDS = [
    SearchHeader(
        study="toy",
        engine="optuna:tpe",
        objective=Maximize("val_accuracy"),
        versions=({"epochs": 3}, {"epochs": 5}),
        pruner="asha",
        id="toy-optuna-tpe-1a2b3c4d",
        created_at=1.5,
        begins=(0, 7),
        variant={"epochs": 5},
        study_hash="0123",
        spaces_json=(SPACE_JSON, SPACE_JSON),
        data=DatasetFacts(name="toy", task="binary", classes=("no", "yes")),
        seed=7,
        trials=None,
        study_file="studies/toy.py",
        git_commit="c0ffee",
        versions_of={"keras": "3.15.1"},
        intervals={"lr": [0.001, 0.1]},
        recovered=True,
    ),
    Death(cause="killed", detail="signal 9", slot="cpu:0"),
    FinalistOutcome(
        number=3,
        index=1,
        seed=12,
        value=None,
        epochs=9,
        weights="1.npz",
        training_s=1.5,
        seconds=2.5,
        slot="cpu:0",
        started_at=3.0,
        ended_at=5.5,
    ),
    EVALUATION,
    Evaluation(test={"value": 0.5}),
    Evaluation(test={"value": 0.5}, model="winner.weights.h5", file_fault="Keras cannot"),
    WinnerRecord(
        standing=STANDING,
        finalists=(STANDING,),
        evaluation=EVALUATION,
        seed=11,
        at=2.5,
    ),
    SearchStatus(status="failed", at=1.5, counts={"completed": 3}, error="no"),
    LRIntervals(intervals={"lr": [0.001, 0.1]}, definition={"epochs": 3}),
]
NAMES = [type(record).__name__ for record in RECORDS]


def old_files(pattern: str) -> list[Path]:
    files = sorted(RELEASE_0_1.glob(pattern))
    assert files, f"no fixture {pattern}"
    return files


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_a_record_comes_back_from_its_file_as_it_was(tmp_path, record):
    path = tmp_path / "record.json"
    write_record(path, record)
    assert read_json(path)["schema"] == SCHEMA
    assert read_record(type(record), path) == record


@pytest.mark.parametrize("record", RECORDS, ids=NAMES)
def test_a_file_of_a_later_release_is_refused_and_left_as_it_is(tmp_path, record):
    path = tmp_path / "record.json"
    write_json(path, {**record.to_json(), "schema": SCHEMA + 1, "more": "than we know"})
    before = path.read_bytes()
    with pytest.raises(NewerFileError) as error:
        read_record(type(record), path)
    assert str(error.value) == (
        f"{path}: it was written by a newer release (schema 3, this one reads up to 2); update "
        "tuning to read it. Nothing was changed."
    )
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["spec.json", "result.json"])
def test_a_trial_of_a_later_release_is_refused(tmp_path, name):
    files = SearchFiles(tmp_path)
    files.write_spec(Proposal(0, {"lr": 0.1, "shape": None}, 3))
    files.write_result(TrialResult(0, Status.COMPLETED, 0.5))
    path = files.trial_folder(0) / name
    write_json(path, {**read_json(path), "schema": SCHEMA + 1})
    with pytest.raises(NewerFileError, match="written by a newer release"):
        (files.proposal(0, SPACE), files.result(0))


@pytest.mark.parametrize("torn", [b"", b'{"schema": 2, "sta', b"\0" * 64])
def test_a_torn_file_counts_as_none(tmp_path, torn):
    path = tmp_path / "status.json"
    path.write_bytes(torn)
    assert read_record(SearchStatus, path) is None


def test_a_file_that_lacks_something_counts_as_none_and_is_told(tmp_path):
    path = tmp_path / "died.json"
    write_json(path, {"detail": "signal 9"})
    told = []
    assert read_record(Death, path, on_damage=told.append) is None
    assert [str(error) for error in told] == [
        f"{path} is damaged (it lacks 'cause'); put it back from a copy"
    ]


@pytest.mark.parametrize("content", [{}, [], {"number": 0, "params": {"lr": 0.1}}])
def test_a_trial_that_lacks_something_is_told(tmp_path, content):
    told = []
    files = SearchFiles(tmp_path, told.append)
    files.write_spec(Proposal(0, {"lr": 0.1, "shape": None}, 3))
    write_json(files.trial_folder(0) / "result.json", content)
    assert files.result(0) is None
    write_json(files.trial_folder(0) / "spec.json", content)
    with pytest.raises(DamagedFileError) as caught:
        files.proposal(0, SPACE)
    assert [error.path.name for error in (*told, caught.value)] == ["result.json", "spec.json"]


@pytest.mark.parametrize(
    ("kind", "pattern", "needed"),
    [
        (SearchHeader, "ledger/*/*/search.json", {"study", "engine", "id", "versions"}),
        (
            FinalistOutcome,
            "ledger/*/*/finalists/*/*.json",
            {"number", "index", "seed", "value", "epochs", "weights"},
        ),
        (SearchStatus, "ledger/*/*/status.json", set()),
        (
            TrialResult,
            "ledger/*/*/trials/*/result.json",
            {"number", "status", "value", "metrics", "folds"},
        ),
    ],
)
def test_what_release_0_1_could_do_without_may_be_missing(kind, pattern, needed):
    stored = read_json(old_files(pattern)[0])
    whole = kind.from_json(stored)
    for name in stored.keys() - needed:
        rest = {other: value for other, value in stored.items() if other != name}
        assert type(kind.from_json(rest)) is type(whole)


def test_the_objective_of_a_header_without_one_is_that_of_its_definition():
    stored = read_json(old_files("ledger/old_study/optuna-tpe/search.json")[0])
    objective = SearchHeader.from_json(stored).objective
    del stored["objective"]
    assert SearchHeader.from_json(stored).objective == objective


@pytest.mark.parametrize(
    ("kind", "pattern"),
    [
        (SearchHeader, "ledger/*/*/search.json"),
        (SearchHeader, "bench/*/*/*/search.json"),
        (SearchHeader, "recordings/*/*/*/search.json"),
        (LRIntervals, "bench/*/*/search.json"),
        (FinalistOutcome, "ledger/*/*/finalists/*/*.json"),
        (FinalistOutcome, "ledger/*/*/finalists/*/*/*.json"),
        (Evaluation, "ledger/*/*/evaluation.json"),
        (WinnerRecord, "ledger/*/*/winner.json"),
        (SearchStatus, "ledger/*/*/status.json"),
    ],
)
def test_the_files_of_release_0_1_are_read_and_nothing_is_lost(kind, pattern):
    for path in old_files(pattern):
        stored = json.loads(path.read_text(encoding="utf-8"))
        again = read_record(kind, path).to_json()
        assert {name: again[name] for name in stored} == stored


def test_the_trials_of_release_0_1_are_read_and_nothing_is_lost(tmp_path):
    for path in old_files("**/trials/*/result.json"):
        stored = read_json(path)
        write_json(tmp_path / "again.json", read_result(path.parent).to_json())
        again = read_json(tmp_path / "again.json")
        assert again["notices"] == stored.pop("notes")
        assert {name: again[name] for name in stored} == stored


def test_the_asks_of_release_0_1_are_read_in_the_space_of_their_header():
    for path in old_files("**/search.json"):
        if path.parent.parent.parent.name == "bench":  # no search: the bounds of a benchmark
            continue
        files = SearchFiles(path.parent)
        space = files.require_header().space
        specs = sorted(path.parent.glob("trials/*/spec.json"))
        proposals = list(files.proposals(space))
        assert len(proposals) == len(specs)
        for proposal, spec in zip(proposals, specs, strict=True):
            stored = json.loads(spec.read_text(encoding="utf-8"))
            assert proposal.params == stored["params"]
            assert list(proposal.tells) == stored["tells"]


def test_notes_of_release_0_1_are_notices():
    stored = TrialResult(0, Status.COMPLETED, 0.5, notices=("half batch",)).to_json()
    stored["notes"] = stored.pop("notices")
    del stored["schema"]
    assert TrialResult.from_json(stored).notices == ("half batch",)


def test_a_space_is_kept_with_its_types_for_each_version():
    (header, *_) = RECORDS
    again = SearchHeader.from_json(json.loads(json.dumps(header.to_json())))
    assert again.spaces == (SPACE, SPACE)
    assert again.space["shape"].values == ((8, 8), None)


def test_a_search_of_release_0_1_goes_on_with_the_spaces_of_both_versions():
    old = read_record(SearchHeader, old_files("ledger/old_study/optuna-tpe/search.json")[0])
    new = SearchHeader(
        study="old_study",
        engine="optuna:tpe",
        objective=old.objective,
        versions=({"epochs": 9},),
        spaces_json=(SPACE.to_json(),),
    )
    changed = old.gone_on_as(new, first_trial=3)
    assert changed.spaces == (old.space, SPACE)
    assert (changed.id, changed.begins) == (old.id, (0, 3))


def test_diverged_trials_are_counted_as_failed():
    ends = [Status.COMPLETED, Status.DIVERGED, Status.FAILED, Status.PRUNED, Status.INFEASIBLE]
    assert counts(ends) == {"completed": 1, "pruned": 1, "failed": 2, "infeasible": 1}
