"""Finalists on fresh seeds and the winner, on an executor that obeys the test."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.scripted import RECORD, files_in, result_of
from tuning.errors import SearchFailed, StorageError, TuningError
from tuning.executors.base import Died, Finished, Raised, Reported, Started
from tuning.executors.devices.slot import Slot
from tuning.ledger.model_file import sha256_of
from tuning.ledger.records import write_record
from tuning.ledger.winner import Evaluation, FinalistOutcome
from tuning.reports.progress import SilentProgress
from tuning.search.finals import Finals, kept_winner
from tuning.search.stop_request import StopRequest
from tuning.search.trial_index import TrialIndex
from tuning.simulation.replay import MemoryFiles
from tuning.storage.durable import read_json
from tuning.trial import EpochReport, Proposal, Status, TrialResult
from tuning.trials.jobs import ALL_ROWS, FinalistJob, weights_owner


class ObedientExecutor:
    """Runs each job at once.

    `values`: the objective by (trial, seed), `folds`: by fold; `script`: what happens instead, once
    each.
    """

    slots = (Slot("cpu:0"),)
    room = 2

    def __init__(self, values=None, script=None, on_start=lambda job: None, folds=None):
        self.values = values or {}
        self.script = script or {}
        self.on_start = on_start
        self.folds = folds or {}
        self.jobs = []
        self.done = []
        self.cancelled = []
        self.evaluated = []

    def submit(self, job):
        self.jobs.append(job)

    def events(self, timeout_s):
        if not self.jobs:
            return []
        job = self.jobs.pop(0)
        self.on_start(job)
        report = Reported(job.id, EpochReport(0, 1, 1.0, {}, 0.0))
        return [Started(job.id, "cpu:0", 1), report, self._end(job, job.args[0])]

    def cancel(self, job):
        self.cancelled.append(job)
        self.jobs = [waiting for waiting in self.jobs if waiting.id != job]

    def answer(self, job, verdict):
        raise AssertionError("an answer that nobody waits for")

    def close(self):
        pass

    def _end(self, job, task):
        self.done.append(job.id)
        happens = self.script.get(job.id)
        if happens:
            return replace(happens.pop(0), job=job.id)
        if isinstance(task, FinalistJob):
            value = self.values.get((task.number, task.index), float(task.params["x"]))
            if task.fold is not None:
                value = self.folds.get(task.fold, value)
            trained = task.fold in (None, ALL_ROWS)
            outcome = FinalistOutcome(
                number=task.number,
                index=task.index,
                seed=100 + task.index,
                value=value,
                epochs=task.epochs,
                weights=task.file.with_suffix(".npz").name if trained else None,
                training_s=1.0,
                seconds=2.0,
                started_at=3.0,
                ended_at=5.0,
                digest=task.digest,
            )
        else:
            self.evaluated.append(task)
            task.saved.write_text("model")
            outcome = Evaluation(test={"rmse": 1.0}, model=str(task.saved), digest=task.digest)
        write_record(task.file, outcome)
        return Finished(job.id, outcome)


def trial_index_of(*values, batch_size=None):
    files = MemoryFiles()
    trial_index = TrialIndex(RECORD.objective, files, RECORD.space)
    for number, x in enumerate(values):
        proposal = Proposal(number, {"x": x}, 1)
        files.write_spec(proposal)
        trial_index.take(proposal)
        status = Status.COMPLETED if x is not None else Status.FAILED
        result = replace(result_of(proposal, status), batch_size=batch_size)
        trial_index.enter(files.write_result(result))
    return trial_index


def finals(folder, executor, record=RECORD, stop_request=None, progress=None, **options):
    return Finals(
        **options,
        study=record,
        source="study.py",
        overrides={},
        executor=executor,
        files=files_in(folder),
        progress=progress or SilentProgress(),
        stop_request=stop_request or StopRequest(),
    )


def test_the_winner_has_the_best_mean_over_fresh_seeds_not_the_best_trial(tmp_path):
    executor = ObedientExecutor(values={(1, 0): 9.0, (1, 1): 8.0})
    winner = finals(tmp_path, executor).run(trial_index_of(5, 2, 7))
    assert winner.number == 0
    assert [standing.number for standing in winner.finalists] == [1, 0]
    standing = winner.standing
    assert (standing.mean, standing.std, standing.values) == (5.0, 0.0, (5.0, 5.0))


def test_finals_stop_where_the_disk_is_full_and_what_is_trained_is_not_trained_again(tmp_path):
    executor = ObedientExecutor()

    def look_at_space():
        if len(executor.done) == 3:
            raise StorageError("the disk is full")

    with pytest.raises(StorageError, match="the disk is full"):
        finals(tmp_path, executor, on_tick=look_at_space).run(trial_index_of(5, 2))
    assert len(executor.done) == 3
    again = ObedientExecutor()
    assert finals(tmp_path, again).run(trial_index_of(5, 2)).number == 1
    assert len(again.done) == 2  # one finalist on one seed, and the evaluation


def test_finalists_are_trained_for_all_the_epochs_whatever_rung_they_come_from(tmp_path):
    winner = finals(tmp_path, ObedientExecutor(), replace(RECORD, epochs=27)).run(trial_index_of(5))
    assert winner.standing.epochs == 27
    assert files_in(tmp_path).finalist(0, 1).epochs == 27


def test_a_finalist_is_trained_with_the_batch_that_memory_has_left_its_trial(tmp_path):
    trained = []
    executor = ObedientExecutor(on_start=lambda job: trained.append(job.args[0].params))
    winner = finals(tmp_path, executor).run(trial_index_of(5, batch_size=8))
    assert winner.params == {"x": 5, "batch_size": 8}
    assert trained[0] == {"x": 5, "batch_size": 8}


def test_the_model_of_the_median_seed_is_evaluated(tmp_path):
    executor = ObedientExecutor(values={(0, 0): 9.0, (0, 1): 1.0, (0, 2): 5.0})
    winner = finals(tmp_path, executor, replace(RECORD, seeds=3, top_k=1)).run(trial_index_of(5))
    assert str(executor.evaluated[0].weights).endswith("finalists/00000/2.npz")
    assert winner.seed == 102


def test_a_second_time_nothing_is_trained_nor_evaluated(tmp_path):
    first = finals(tmp_path, ObedientExecutor()).run(trial_index_of(5, 2))
    executor = ObedientExecutor()
    assert finals(tmp_path, executor).run(trial_index_of(5, 2)) == first
    assert executor.done == []


def test_more_seeds_train_only_the_new_ones(tmp_path):
    finals(tmp_path, ObedientExecutor()).run(trial_index_of(5))
    executor = ObedientExecutor()
    finals(tmp_path, executor, replace(RECORD, seeds=3)).run(trial_index_of(5))
    assert executor.done == ["final-0-2", "evaluate"]


def test_a_winner_whose_model_is_gone_is_evaluated_again(tmp_path):
    finals(tmp_path, ObedientExecutor()).run(trial_index_of(5))
    (files_in(tmp_path).folder / "winner.keras").unlink()
    executor = ObedientExecutor()
    finals(tmp_path, executor).run(trial_index_of(5))
    assert executor.done == ["evaluate"]


def test_a_winner_whose_model_is_another_file_is_put_aside_and_evaluated_again(tmp_path):
    finals(tmp_path, ObedientExecutor()).run(trial_index_of(5))
    files = files_in(tmp_path)
    model = files.folder / "winner.keras"
    digest = sha256_of(model)
    files.write_winner(
        replace(files.winner, evaluation=replace(files.winner.evaluation, sha256=digest))
    )
    executor = ObedientExecutor()
    finals(tmp_path, executor).run(trial_index_of(5))
    assert executor.done == []

    model.write_bytes(b"garbage")
    notices = []
    assert kept_winner(files, notices.append) is None
    assert "winner.keras is not the model that was evaluated" in notices[0]
    assert (files.folder / "winner.keras.damaged").read_bytes() == b"garbage"
    finals(tmp_path, executor).run(trial_index_of(5))
    assert executor.done == ["evaluate"]


def test_a_winner_that_was_evaluated_with_another_seed_or_study_is_evaluated_again(tmp_path):
    finals(tmp_path, ObedientExecutor()).run(trial_index_of(5))
    files = files_in(tmp_path)
    digest = files.winner.evaluation.digest
    other = replace(files.winner.evaluation, digest="0" * len(digest))
    files.write_winner(replace(files.winner, evaluation=other))
    executor = ObedientExecutor()
    assert finals(tmp_path, executor).run(trial_index_of(5)).evaluation.digest == digest
    assert executor.done == ["evaluate"]


def test_an_evaluation_of_another_winner_is_not_taken_for_this_ones(tmp_path):
    finals(tmp_path / "other", ObedientExecutor()).run(trial_index_of(7))
    foreign = files_in(tmp_path / "other").evaluation_file.read_bytes()
    searching = finals(tmp_path, ObedientExecutor())
    searching.run(trial_index_of(5))
    searching.files.evaluation_file.write_bytes(foreign)
    with pytest.raises(TuningError, match=r"evaluation\.json is of another winner; run again"):
        searching._evaluation(searching.files.winner.evaluation.digest)


def test_the_weights_that_are_evaluated_have_to_be_those_of_the_winners_seed(tmp_path):
    trained = []
    executor = ObedientExecutor(
        values={(0, 0): 9.0, (0, 1): 1.0, (0, 2): 5.0},
        on_start=lambda job: trained.append(job.args[0]),
    )
    finals(tmp_path, executor, replace(RECORD, seeds=3, top_k=1)).run(trial_index_of(5))
    *finalists, evaluation = trained
    owners = [weights_owner(each.digest, each.index) for each in finalists]
    assert evaluation.weights_of == owners[2]
    assert len(set(owners)) == 3


def test_an_earlier_winner_is_gone_before_its_model_is_replaced(tmp_path):
    finals(tmp_path, ObedientExecutor()).run(trial_index_of(5))
    executor = ObedientExecutor(script={"evaluate": [Raised("", "ValueError: no", "")]})
    winner = finals(tmp_path, executor).run(trial_index_of(5, 2))
    assert winner.evaluation.model is None
    assert not files_in(tmp_path).evaluation_file.exists()


def test_a_damaged_outcome_is_trained_again(tmp_path):
    finals(tmp_path, ObedientExecutor()).run(trial_index_of(5))
    files_in(tmp_path).finalist_file(0, 1).write_text('{"numb')
    executor = ObedientExecutor()
    finals(tmp_path, executor).run(trial_index_of(5))
    assert executor.done == ["final-0-1"]


def test_parameters_that_diverge_on_a_fresh_seed_are_out(tmp_path):
    executor = ObedientExecutor(values={(1, 1): None})
    assert finals(tmp_path, executor).run(trial_index_of(5, 2)).number == 0


def test_where_all_of_the_best_are_unstable_the_next_of_the_ranking_are_looked_at(tmp_path):
    notices = []
    progress = SilentProgress()
    progress.notice = notices.append
    executor = ObedientExecutor(values={(1, 0): None})
    winner = finals(tmp_path, executor, replace(RECORD, top_k=1), progress=progress).run(
        trial_index_of(5, 2, 7)
    )
    assert winner.number == 0
    assert [standing.number for standing in winner.finalists] == [1, 0]
    assert notices == ["the best 1 diverged or failed on a fresh seed: the next are looked at"]
    assert "final-2-0" not in executor.done


def test_a_ranking_that_is_unstable_far_down_is_given_up(tmp_path):
    executor = ObedientExecutor(values={(number, 0): None for number in range(9)})
    with pytest.raises(SearchFailed, match="each of the best 3 trials diverged"):
        finals(tmp_path, executor, replace(RECORD, top_k=1)).run(trial_index_of(5, 2, 7, 8, 9))


def test_a_lost_worker_is_replaced_with_the_same_limits(tmp_path):
    limits = []
    died = Died("", "killed", "killed by the test")
    executor = ObedientExecutor(
        script={"final-0-0": [died, died]},
        on_start=lambda job: limits.append((job.id, job.timeout_s)),
    )
    record = replace(RECORD, trial_timeout=7.0)
    assert finals(tmp_path, executor, record).run(trial_index_of(5)).number == 0
    assert limits.count(("final-0-0", 7.0)) == 3


def test_a_finalist_that_fails_is_out_and_the_user_is_told(tmp_path):
    notices = []
    progress = SilentProgress()
    progress.notice = notices.append
    executor = ObedientExecutor(
        script={"final-1-0": [Raised("", "ResourceExhaustedError: OOM", "")]}
    )
    assert finals(tmp_path, executor, progress=progress).run(trial_index_of(5, 2)).number == 0
    assert notices == ["final-1-0: ResourceExhaustedError: OOM"]


def test_without_a_stable_finalist_the_search_has_failed(tmp_path):
    with pytest.raises(SearchFailed, match="diverged or failed on a fresh seed"):
        finals(tmp_path, ObedientExecutor(values={(0, 0): None})).run(trial_index_of(5))


def test_without_a_completed_trial_the_search_has_failed(tmp_path):
    with pytest.raises(SearchFailed, match="no trial of 0 was completed"):
        finals(tmp_path, ObedientExecutor()).run(trial_index_of())


def test_an_evaluation_that_fails_leaves_a_winner_that_says_why_it_has_no_score(tmp_path):
    notices = []
    progress = SilentProgress()
    progress.notice = notices.append
    executor = ObedientExecutor(script={"evaluate": [Raised("", "ValueError: no", "")]})
    winner = finals(tmp_path, executor, progress=progress).run(trial_index_of(5))
    assert winner.number == 0
    assert winner.evaluation.not_scored == "its evaluation failed: ValueError: no"
    assert files_in(tmp_path).winner == winner
    assert "its evaluation failed (ValueError: no); the same command tries it again" in notices[0]

    again = ObedientExecutor()
    assert finals(tmp_path, again).run(trial_index_of(5)).evaluation.test != {}
    assert again.done == ["evaluate"]


def test_a_lost_evaluation_is_tried_once_more_and_leaves_a_winner_without_score(tmp_path):
    lost = Died("", "killed", "no sign of life")
    executor = ObedientExecutor(script={"evaluate": [lost, lost]})
    winner = finals(tmp_path, executor).run(trial_index_of(5))
    assert winner.evaluation.test == {}
    assert winner.evaluation.not_scored == "its evaluation was lost: worker killed: no sign of life"
    assert read_json(files_in(tmp_path).folder / "winner.json")["schema"]

    again = ObedientExecutor()
    assert finals(tmp_path, again).run(trial_index_of(5)).evaluation.test != {}
    assert again.done == ["evaluate"]


def test_a_full_disk_ends_the_run_as_one(tmp_path):
    executor = ObedientExecutor(
        script={"final-0-0": [Raised("", "OSError: [Errno 28] No space left on device", "", 75)]}
    )
    with pytest.raises(StorageError, match="the disk is full"):
        finals(tmp_path, executor).run(trial_index_of(5))


def test_with_folds_each_is_a_job_and_the_value_is_their_mean(tmp_path):
    executor = ObedientExecutor(folds={0: 6.0, 1: 4.0})
    winner = finals(tmp_path, executor, replace(RECORD, cv=2, seeds=1)).run(trial_index_of(7, 9))
    assert [job for job in executor.done if job.startswith("final-0")] == [
        "final-0-0-0",
        "final-0-0-1",
    ]
    assert winner.standing.values == (5.0,)
    assert executor.evaluated[0].weights is None  # it is trained on all rows now


def test_a_finalist_without_rivals_is_trained_on_all_rows_beside_its_folds(tmp_path):
    executor = ObedientExecutor()
    record = replace(RECORD, cv=2, seeds=1, top_k=1)
    finals(tmp_path, executor, record).run(trial_index_of(7, 9))
    assert executor.done == ["final-0-0-all-rows", "final-0-0-0", "final-0-0-1", "evaluate"]
    assert str(executor.evaluated[0].weights).endswith("finalists/00000/0/all-rows.npz")


def test_one_that_diverges_on_all_rows_is_left_to_the_evaluation_which_says_so(tmp_path):
    executor = ObedientExecutor(folds={ALL_ROWS: None})
    record = replace(RECORD, cv=2, seeds=1, top_k=1)
    finals(tmp_path, executor, record).run(trial_index_of(7))
    assert executor.evaluated[0].weights is None


def test_a_fold_that_is_kept_is_not_trained_again(tmp_path):
    record = replace(RECORD, cv=2, seeds=1)
    finals(tmp_path, ObedientExecutor(), record).run(trial_index_of(7))
    files_in(tmp_path).finalist_file(0, 0).unlink()
    files_in(tmp_path).finalist_file(0, 0, 1).unlink()
    executor = ObedientExecutor()
    finals(tmp_path, executor, record).run(trial_index_of(7))
    assert executor.done == ["final-0-0-1"]


def test_a_finalist_of_which_one_fold_diverges_is_out(tmp_path):
    executor = ObedientExecutor(folds={0: 6.0, 1: None})
    with pytest.raises(SearchFailed, match="diverged or failed on a fresh seed"):
        finals(tmp_path, executor, replace(RECORD, cv=2)).run(trial_index_of(7))


def test_after_an_interrupt_the_running_finalist_ends_and_is_kept(tmp_path):
    stop_request = StopRequest()
    stop_request._raises = False
    executor = ObedientExecutor(
        on_start=lambda job: stop_request._interrupt() if not stop_request.reason else None
    )
    assert finals(tmp_path, executor, stop_request=stop_request).run(trial_index_of(5, 2)) is None
    assert executor.done == ["final-1-0"]
    assert files_in(tmp_path).finalist(1, 0) is not None


def test_time_that_is_up_does_not_keep_the_winner_from_being_chosen(tmp_path):
    stop_request = StopRequest()
    stop_request.deadline = 0.0
    winner = finals(tmp_path, ObedientExecutor(), stop_request=stop_request).run(trial_index_of(5))
    assert winner.number == 0


def test_by_time_the_winner_is_trained_anew_for_the_epochs_that_its_validation_found(tmp_path):
    executor = ObedientExecutor()
    record = replace(RECORD, trains_to_test=True, seeds=1, top_k=1, epochs=27)
    winner = finals(tmp_path, executor, record).run(trial_index_of(7))
    (task,) = executor.evaluated
    assert task.weights is None
    assert task.epochs == files_in(tmp_path).finalist(0, 0).epochs == 27
    assert winner.standing.weights == ("0.npz",)


def test_by_time_with_folds_no_finalist_is_trained_on_all_rows_beside_them(tmp_path):
    executor = ObedientExecutor()
    record = replace(RECORD, trains_to_test=True, cv=3, seeds=1, top_k=1)
    trial_index = trial_index_of(7)
    for fold, epochs in enumerate((4, 20, 9)):
        outcome = FinalistOutcome(number=0, index=0, seed=100, value=1.0, epochs=epochs)
        write_record(files_in(tmp_path).finalist_file(0, 0, fold), outcome)
    finals(tmp_path, executor, record).run(trial_index)
    assert executor.done == ["evaluate"]
    assert executor.evaluated[0].epochs == 9


def test_finalist_and_winner_are_told_what_the_data_of_their_trial_were(tmp_path):
    told = []
    executor = ObedientExecutor(on_start=lambda job: told.append(job.args[0].data_digest))
    record = replace(RECORD, data_arguments=("x",), seeds=1, top_k=1)
    trial_index = trial_index_of(7)
    result = TrialResult(0, Status.COMPLETED, 7.0, data_digest="aa")
    files_in(tmp_path).write_result(result)
    finals(tmp_path, executor, record).run(trial_index)
    assert told == ["aa", "aa"]


@pytest.mark.parametrize("job", ["final-0-0", "evaluate"])
def test_what_leaves_its_slot_twice_and_keeps_nothing_stays_the_third_time(tmp_path, job):
    leaves = []

    def note(started):
        if started.id == job:
            leaves.append(started.leaves)

    moved = Died("", "moved", "its slot was given up")
    executor = ObedientExecutor(script={job: [moved, moved]}, on_start=note)
    progress = SilentProgress()
    notices = []
    progress.notice = notices.append
    assert finals(tmp_path, executor, progress=progress).run(trial_index_of(5, 3)) is not None
    assert leaves == ["soon", "soon", "end"]
    what = job if job != "evaluate" else "the evaluation of the winner"
    assert [words.startswith(f"{what} has left its slot") for words in notices] == [True, True]
