"""What attempts have used: kept in their folders, summed for the trial."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tracking.writer import searches
from tuning.ledger.deaths import keep_death
from tuning.ledger.digests import range_tests_digest
from tuning.ledger.records import Death, write_record
from tuning.ledger.usage import (
    AttemptUsage,
    Usage,
    devices_of,
    gpus_of,
    keep_usage,
    usage_file,
    used_before,
    used_by_finalists,
    used_by_search,
)
from tuning.ledger.winner import Evaluation, FinalistOutcome
from tuning.storage.durable import read_json, write_json


def usage(attempt, cpu_s, gpu_s=0.0, digest=""):
    return AttemptUsage(
        attempt=attempt, seconds=9.0, cpu_s=cpu_s, gpu_s=gpu_s, proposal_digest=digest
    )


@pytest.mark.parametrize(
    ("slot", "devices"),
    [
        ("cpu:0", []),
        ("cpu:0#1", []),
        ("ray:10.0.0.3:7", []),
        ("", []),
        ("GPU-a", ["GPU-a"]),
        ("GPU-a+MIG-b", ["GPU-a", "MIG-b"]),
        ("GPU-a#1", ["GPU-a"]),
        ("GPU-a#1/4", ["GPU-a"]),
        ("MIG-GPU-a/1/0", ["MIG-GPU-a/1/0"]),
        ("MIG-GPU-a/1/0#0/2", ["MIG-GPU-a/1/0"]),
    ],
)
def test_devices_of_names_the_gpus_of_a_slot(slot, devices):
    assert devices_of(slot) == devices


@pytest.mark.parametrize(
    ("slot", "share"),
    [
        ("cpu:0#1", 0),
        ("GPU-a+MIG-b", 2),
        ("MIG-GPU-a/1/0", 1),
        ("GPU-a#1", 1),  # of a version that did not say how many share it
        ("GPU-a#0/4", 0.25),
        ("MIG-GPU-a/1/0#1/2", 0.5),
        ("GPU-a#1/0", 1),
    ],
)
def test_a_slot_that_shares_a_gpu_holds_its_share(slot, share):
    assert gpus_of(slot) == share


def test_slots_that_share_a_gpu_use_it_once_together():
    slots = [f"GPU-a#{place}/3" for place in range(3)]
    assert sum(map(gpus_of, slots)) == pytest.approx(1)


def test_used_before_sums_the_attempts_that_came_before(tmp_path):
    for attempt, cpu_s in ((1, 3.0), (2, 4.0), (3, 50.0)):
        keep_usage(tmp_path, usage(attempt, cpu_s, gpu_s=2 * cpu_s))
    assert used_before(tmp_path, 3) == Usage(cpu_s=7.0, gpu_s=14.0)


def test_used_before_counts_a_gpu_until_its_worker_died(tmp_path):
    keep_usage(tmp_path, usage(1, 3.0, gpu_s=10.0))
    keep_death(tmp_path, 1, Death(cause="killed", slot="GPU-a+GPU-b", seconds=7.5))
    assert used_before(tmp_path, 2) == Usage(cpu_s=3.0, gpu_s=15.0)


def test_used_before_counts_nothing_of_another_attempt(tmp_path):
    write_record(usage_file(tmp_path, 1), usage(2, 3.0))
    assert used_before(tmp_path, 2) == Usage()


def test_used_before_counts_nothing_of_a_torn_file(tmp_path):
    keep_usage(tmp_path, usage(1, 3.0))
    usage_file(tmp_path, 1).write_text('{"attempt": 1')
    assert used_before(tmp_path, 2) == Usage()


@pytest.fixture
def files(tmp_path):
    """A search of which nothing but its trials has used anything."""
    return searches.search(tmp_path)


def keep_range_tests(files, *tests):
    write_json(files.folder / "artifacts" / "lr_range_lr.json", list(tests))


def keep_winner(files, **used):
    winner = searches.winner()
    files.write_winner(replace(winner, evaluation=replace(winner.evaluation, **used)))


def test_a_search_has_used_what_its_trials_tests_finals_and_evaluation_have(files):
    header = files.require_header()
    digest = range_tests_digest(header.study, header.definition, "lr")
    keep_range_tests(files, {"cpu_s": 2.0, "gpu_s": 20.0, "digest": digest}, {"cpu_s": 3.0})
    outcome = FinalistOutcome(number=4, index=0, seed=1, value=0.5, epochs=3, cpu_s=5.0, gpu_s=50.0)
    write_record(files.folder / "finalists" / "00004" / "0.json", outcome)
    keep_winner(files, cpu_s=7.0, gpu_s=70.0)

    used = used_by_search(files.folder, Usage(cpu_s=1.0, gpu_s=10.0))
    assert used.range_tests == Usage(cpu_s=5.0, gpu_s=20.0)
    assert used.finals == Usage(cpu_s=5.0, gpu_s=50.0)
    assert used.evaluation == Usage(cpu_s=7.0, gpu_s=70.0)
    assert used.total == Usage(cpu_s=18.0, gpu_s=150.0)


def test_what_another_search_has_used_does_not_count(files):
    keep_range_tests(files, {"cpu_s": 2.0, "digest": "f" * 32})
    keep_winner(files, cpu_s=7.0)
    path = files.folder / "winner.json"
    write_json(path, {**read_json(path), "search": "another"})
    assert used_by_search(files.folder, Usage()).total == Usage()


@pytest.mark.parametrize("text", ["", "{}", "[3]", '[{"cpu_s": "x"}]', '[{"cpu_s": null}]'])
def test_damaged_range_tests_have_used_nothing(files, text):
    (files.folder / "artifacts").mkdir()
    (files.folder / "artifacts" / "lr_range_lr.json").write_text(text)
    assert used_by_search(files.folder, Usage()).total == Usage()


def test_the_evaluation_of_a_later_winner_has_used_what_those_before_have():
    first = Evaluation(test={}, cpu_s=1.0, gpu_s=2.0)
    second = Evaluation(test={}, cpu_s=10.0, gpu_s=20.0).after(first)
    read = Evaluation.from_json(second.to_json())
    assert (read.cpu_s, read.gpu_s) == (11.0, 22.0)
    assert "used" not in Evaluation(test={}).to_json()


def test_used_by_finalists_counts_each_fold_once(tmp_path):
    def keep(name, cpu_s):
        path = tmp_path / "finalists" / "00004" / name
        outcome = FinalistOutcome(number=4, index=0, seed=1, value=0.5, epochs=3, cpu_s=cpu_s)
        write_record(path, outcome)

    keep("0.json", 5.0)  # the mean of the two folds below has their sum
    keep("0/fold-0.json", 2.0)
    keep("0/fold-1.json", 3.0)
    keep("0/all-rows.json", 4.0)
    keep("1/fold-0.json", 7.0)  # its other fold is still trained
    assert used_by_finalists(tmp_path).cpu_s == 16.0
