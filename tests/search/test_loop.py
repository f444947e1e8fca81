"""The loop of a search, with an engine and an executor that do what the test says."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from tests.search.scripted import (
    RECORD,
    ScriptedEngine,
    ScriptedExecutor,
    files_in,
    make_loop,
    result_of,
    search,
)
from tuning.errors import ChangedError, MissingError, SearchFailed, StorageError, TuningError
from tuning.executors.base import Raised
from tuning.reports.progress import SilentProgress
from tuning.search.open_trials import OpenTrial
from tuning.search.stop_request import StopRequest
from tuning.space.domains import Float
from tuning.space.space import Space
from tuning.storage.durable import read_json, write_json
from tuning.study.study import derive_seed
from tuning.trial import EpochReport, Proposal, Status


class Killed(BaseException):
    """Ends a run as kill -9 does: nobody catches it."""


def points(loop):
    return [
        loop.trial_index.proposals[number].params["x"]
        for number in sorted(loop.trial_index.proposals)
    ]


def kill_after(looks):
    looks_left = looks

    def look(executor):
        nonlocal looks_left
        looks_left -= 1
        if looks_left < 0:
            raise Killed

    return look


def test_with_one_slot_each_result_is_told_before_the_next_ask(tmp_path):
    engine = ScriptedEngine()
    search(tmp_path, engine, replace(RECORD, trials=3))
    assert engine.calls == [
        ("ask", 0),
        ("tell", 0),
        ("ask", 1),
        ("tell", 1),
        ("ask", 2),
        ("tell", 2),
    ]


def test_every_slot_has_a_trial_and_none_has_two(tmp_path):
    loop = search(tmp_path, slots=4, record=replace(RECORD, trials=9))
    assert loop.executor.most_at_once == 4
    assert len(loop.trial_index.results) == 9


@pytest.mark.parametrize("seed", range(5))
def test_told_in_order_the_proposals_do_not_depend_on_which_trial_ends_first(tmp_path, seed):
    record = replace(RECORD, trials=12)
    reference = search(tmp_path / "reference", record=record, slots=3, seed=99, in_order=3)
    assert points(
        search(tmp_path / "other", record=record, slots=3, seed=seed, in_order=3)
    ) == points(reference)


@pytest.mark.parametrize("looks", [1, 4, 9, 14, 20])
@pytest.mark.parametrize("in_order", [None, 3])
def test_a_killed_search_goes_on_to_the_budget_and_trains_nothing_twice(tmp_path, looks, in_order):
    record = replace(RECORD, trials=16)
    executor = ScriptedExecutor(files_in(tmp_path), 3, seed=looks, on_look=kill_after(looks))
    first = make_loop(ScriptedEngine(), executor, record, in_order=in_order)
    first.replay()
    with pytest.raises(Killed):
        first.run()
    again = search(tmp_path, record=record, slots=3, seed=1, in_order=in_order)
    assert sorted(again.trial_index.results) == list(range(16))
    assert not {number for number, _ in executor.trained} & {
        number for number, _ in again.executor.trained
    }
    assert points(first) == points(again)[: len(points(first))]


def test_in_order_a_killed_search_ends_with_the_trials_of_one_that_was_not(tmp_path):
    record = replace(RECORD, trials=10)
    whole = search(tmp_path / "whole", record=record, slots=3, seed=5, in_order=3)
    executor = ScriptedExecutor(files_in(tmp_path / "cut"), 3, seed=2, on_look=kill_after(9))
    with pytest.raises(Killed):
        make_loop(ScriptedEngine(), executor, record, in_order=3).run()
    assert points(search(tmp_path / "cut", record=record, slots=3, seed=8, in_order=3)) == points(
        whole
    )


def test_a_larger_budget_goes_on_where_the_smaller_ended(tmp_path):
    search(tmp_path, record=replace(RECORD, trials=2))
    loop = search(tmp_path, record=replace(RECORD, trials=4))
    assert loop.executor.trained == [(2, 1), (3, 1)]
    assert loop.ended == "completed"


def test_a_search_that_is_complete_needs_no_slot(tmp_path):
    search(tmp_path)

    class NoDevices(ScriptedExecutor):
        slots = property(lambda self: pytest.fail("it asked for devices"), lambda self, slots: None)

    loop = make_loop(ScriptedEngine(), NoDevices(files_in(tmp_path)))
    loop.replay()
    loop.run()
    assert loop.ended == "completed"


def test_a_replay_that_proposes_something_else_is_refused(tmp_path):
    search(tmp_path, ScriptedEngine(points=[1, 2, 3]))
    with pytest.raises(
        ChangedError, match=r"trial 1 was \{'x': 2\}, but now scripted proposes .*'x': 7.*--fresh"
    ):
        search(tmp_path, ScriptedEngine(points=[1, 7, 3]))


def test_a_replay_that_proposes_something_else_goes_on_with_its_trials_where_the_engine_takes_them(
    tmp_path,
):
    class Adopts(ScriptedEngine):
        adopted = ()

        def adopt(self, proposal):
            self.adopted = (*self.adopted, proposal)
            return True

    search(tmp_path, ScriptedEngine(points=[1, 2, 3]))
    engine = Adopts(points=[1, 7, 3])
    loop = search(tmp_path, engine)
    assert [(p.number, dict(p.params)) for p in engine.adopted] == [(1, {"x": 2})]
    assert loop.executor.trained == []
    assert [dict(p.params) for p in loop.trial_index.proposals.values()] == [
        {"x": 1},
        {"x": 2},
        {"x": 3},
    ]


def test_what_differs_in_the_last_digits_alone_is_the_same_proposal(tmp_path):
    search(
        tmp_path,
        ScriptedEngine(points=[0.1, 0.2]),
        record=replace(RECORD, space=Space({"x": Float(0.0, 1.0)})),
    )
    again = ScriptedEngine(points=[0.1 * (1 + 1e-13), 0.2])
    loop = search(tmp_path, again, record=replace(RECORD, space=Space({"x": Float(0.0, 1.0)})))
    assert [p.params["x"] for p in loop.trial_index.proposals.values()] == [0.1, 0.2]


def test_an_equal_proposal_is_answered_from_the_ledger(tmp_path):
    loop = search(tmp_path, ScriptedEngine(points=[5, 5, 6]))
    assert loop.executor.trained == [(0, 1), (2, 1)]
    copied = loop.trial_index.results[1]
    assert (copied.copied_from, copied.value, copied.epochs) == (0, 5.0, 0)


def test_equal_proposals_wait_for_the_one_that_trains(tmp_path):
    loop = search(tmp_path, ScriptedEngine(points=[5, 5, 5, 6]), slots=4)
    assert sorted(loop.executor.trained) == [(0, 1), (3, 1)]
    assert [loop.trial_index.results[n].copied_from for n in range(4)] == [None, 0, 0, None]


def test_hundreds_of_equal_proposals_are_no_deep_recursion(tmp_path):
    loop = search(
        tmp_path, ScriptedEngine(points=[1] * 700), record=replace(RECORD, trials=None), slots=2
    )
    assert len(loop.trial_index.results) == 700


def test_the_duplicate_of_a_failed_trial_is_trained(tmp_path):
    loop = search(
        tmp_path, ScriptedEngine(points=[5, 5, 5]), slots=3, script={(0, 1): Status.FAILED}
    )
    assert sorted(loop.executor.trained) == [(0, 1), (1, 1)]
    assert loop.trial_index.results[2].copied_from == 1


def test_a_resumed_search_copies_from_the_equal_trial_that_was_trained_after_a_failed_one(tmp_path):
    script = {(0, 1): Status.FAILED}
    search(tmp_path, ScriptedEngine(points=[5, 5]), record=replace(RECORD, trials=2), script=script)
    loop = search(tmp_path, ScriptedEngine(points=[5, 5, 5]), record=replace(RECORD, trials=3))
    assert loop.executor.trained == []
    assert loop.trial_index.results[2].copied_from == 1


@pytest.mark.parametrize("cause", ["crashed", "killed"])
def test_a_worker_that_the_end_of_everything_ends_first_leaves_its_trial_open(
    cause, tmp_path, monkeypatch
):
    stop_request = StopRequest()
    stop_request._raises = False
    monkeypatch.setattr(
        "tuning.search.stop_request.time.sleep", lambda seconds: stop_request._terminate()
    )
    loop = search(
        tmp_path,
        script={(1, 1): cause},
        record=replace(RECORD, attempts=1),
        stop_request=stop_request,
    )
    assert (loop.ended, sorted(loop.trial_index.results)) == ("terminated", [0])
    assert loop.files.deaths(1) == 0
    monkeypatch.undo()
    assert (
        search(tmp_path, record=replace(RECORD, attempts=1)).trial_index.results[1].status
        is Status.COMPLETED
    )


def test_an_exhausted_engine_ends_the_search_well_once_the_last_trial_has_ended(tmp_path):
    loop = search(
        tmp_path, ScriptedEngine(points=[1, 2, 3]), record=replace(RECORD, trials=None), slots=2
    )
    assert (loop.ended, sorted(loop.trial_index.results)) == ("exhausted", [0, 1, 2])


@pytest.mark.parametrize("in_order", [None, 2])
def test_an_engine_that_waits_is_asked_again_after_the_next_tell(tmp_path, in_order):
    engine = ScriptedEngine(wait_until={1: 1, 3: 3})
    loop = search(tmp_path, engine, slots=2, in_order=in_order)
    assert sorted(loop.trial_index.results) == list(range(6))
    assert engine.calls[:3] == [("ask", 0), ("tell", 0), ("ask", 1)]


def test_an_engine_that_waits_for_nothing_is_an_error(tmp_path):
    with pytest.raises(TuningError, match="waits for a result, but no trial is open"):
        search(tmp_path, ScriptedEngine(wait_until={0: 1}))


def test_a_trial_whose_worker_died_is_begun_again_outside_the_budget(tmp_path):
    loop = search(tmp_path, script={(1, 1): "killed", (1, 2): "crashed"})
    assert loop.executor.trained[:4] == [(0, 1), (1, 1), (1, 2), (1, 3)]
    assert (loop.trial_index.results[1].attempt, len(loop.trial_index.results)) == (3, 6)
    assert loop.files.deaths(1) == 2


def test_a_trial_that_kills_every_worker_fails_after_its_attempts(tmp_path):
    loop = search(tmp_path, script={(1, attempt): "crashed" for attempt in (1, 2, 3)})
    failed = loop.trial_index.results[1]
    assert (failed.status, failed.error) == (Status.FAILED, "worker crashed: killed by the test")
    assert loop.trial_index.results[2].status is Status.COMPLETED


def test_a_drivers_death_does_not_count_against_the_trial(tmp_path):
    for _ in range(4):
        executor = ScriptedExecutor(files_in(tmp_path), on_look=kill_after(1))
        loop = make_loop(ScriptedEngine(), executor)
        loop.replay()
        with pytest.raises(Killed):
            loop.run()
    loop = search(tmp_path)
    assert loop.trial_index.results[0].status is Status.COMPLETED
    assert loop.executor.trained[0] == (0, 5)


@pytest.mark.parametrize("attempts", [1, 3])
def test_a_trial_without_memory_is_tried_once_more_alone_and_then_fails(tmp_path, attempts):
    jobs = []

    class Recording(ScriptedExecutor):
        def submit(self, job):
            jobs.append((job.id, job.alone))
            super().submit(job)

    script = {(1, 1): "host_oom", (1, 2): "host_oom", (2, 1): "host_oom"}
    executor = Recording(files_in(tmp_path), script=script)
    loop = make_loop(ScriptedEngine(), executor, replace(RECORD, attempts=attempts))
    loop.run()
    assert [name for name, alone in jobs if alone] == ["1-2", "2-2"]
    failed = loop.trial_index.results[1]
    assert (failed.status, failed.error) == (Status.FAILED, "worker host_oom: killed by the test")
    assert loop.trial_index.results[2].status is Status.COMPLETED


@pytest.mark.parametrize("cause", ["timeout", "no_progress"])
def test_a_trial_that_ran_out_of_time_is_not_tried_again(tmp_path, cause):
    loop = search(tmp_path, script={(0, 1): cause})
    assert loop.executor.trained[:2] == [(0, 1), (1, 1)]
    result = loop.trial_index.results[0]
    assert result.status is Status.FAILED
    assert result.seconds == result.training_s > 0
    assert result.ended_at - result.started_at == pytest.approx(
        result.seconds, abs=1e-6
    )  # seconds since 1970
    assert result.seed == derive_seed(loop.study.seed, "training")


def test_epochs_that_a_later_attempt_reports_again_count_once():
    trial = OpenTrial(Proposal(0, {}, 9))
    for n_epochs in (3, 5, 2):
        trial.start("cpu:0")
        for epoch in range(1, n_epochs + 1):
            trial.count(EpochReport(0, epoch, 1.0, {}, 0.0))
        trial.rest()
    assert trial.failed("no", seed=1).epochs == 5


def test_a_result_that_reached_the_disk_before_its_worker_died_is_taken(tmp_path):
    loop = search(tmp_path, script={(0, 1): "kept"})
    assert loop.executor.trained[:2] == [(0, 1), (1, 1)]
    assert loop.trial_index.results[0].status is Status.COMPLETED


def test_a_result_that_an_orphan_wrote_after_the_replay_is_taken(tmp_path):
    executor = ScriptedExecutor(files_in(tmp_path), on_look=kill_after(0))
    with pytest.raises(Killed):
        make_loop(ScriptedEngine(), executor).run()
    loop = make_loop(ScriptedEngine(), ScriptedExecutor(files_in(tmp_path)))
    loop.replay()
    loop.files.write_result(result_of(loop.trial_index.proposals[0]))
    loop.run()
    assert loop.executor.trained[0] == (1, 1)


def test_a_damaged_result_that_was_told_is_trained_again_before_the_search_goes_on(tmp_path):
    before = points(search(tmp_path, record=replace(RECORD, trials=4)))
    torn = files_in(tmp_path).trial_folder(1) / "result.json"
    torn.write_bytes(torn.read_bytes()[:40])
    loop = search(tmp_path, record=replace(RECORD, trials=5))
    assert loop.executor.trained == [(1, 2), (4, 1)]
    assert points(loop)[:4] == before
    assert loop.files.result(1).value == loop.trial_index.results[1].value


def test_a_pruner_hears_a_damaged_trial_after_those_that_were_told_before_it(tmp_path):
    record = replace(RECORD, pruner="median", trials=3)
    engine = ScriptedEngine(points=[7, 8, 9])
    loop = make_loop(engine, ScriptedExecutor(files_in(tmp_path)), record)
    tells = [(), (), (0, 1)]  # both had ended before the third ask
    asks = [Proposal(i, {"x": 7 + i}, 2, tells=tells[i]) for i in range(3)]
    first, *_ = [loop.files.write_spec(ask) for ask in asks]
    loop.files.write_result(result_of(first))

    loop.replay()
    assert engine.reports == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert engine.calls[2:] == [("tell", 0), ("tell", 1), ("ask", 2)]


@pytest.mark.parametrize(("in_order", "most"), [(None, 5), (2, 2)])
def test_so_many_more_trials_are_open_as_are_asked_for_ahead(tmp_path, in_order, most):
    executor = ScriptedExecutor(files_in(tmp_path), slots=2)
    record = replace(RECORD, trials=9)
    loop = make_loop(ScriptedEngine(), executor, record, ahead=lambda: 3, in_order=in_order)
    loop.run()
    assert executor.most_submitted == most


def test_a_result_is_never_given_to_other_parameters(tmp_path):
    search(tmp_path, slots=2, record=replace(RECORD, trials=4))
    spec = files_in(tmp_path).trial_folder(3) / "spec.json"
    asked = read_json(spec)
    spec.write_bytes(spec.read_bytes()[:-20])

    # The ask was made while a trial was open; now all are told before it, and it is another one.
    loop = search(tmp_path, slots=2, record=replace(RECORD, trials=6))
    assert loop.trial_index.proposals[3].params != asked["params"]
    for number, proposal in loop.trial_index.proposals.items():
        assert loop.trial_index.results[number].value == proposal.params["x"]
    assert (spec.parent / "foreign-1" / "result.json").exists()


def test_an_ask_of_another_study_is_refused(tmp_path):
    search(tmp_path, record=replace(RECORD, trials=2))
    path = files_in(tmp_path).trial_folder(1) / "spec.json"
    stored = read_json(path)
    del stored["digest"]
    write_json(path, {**stored, "study": "other-0123"})
    with pytest.raises(ChangedError, match="trial 1 was asked for another study or other data"):
        search(tmp_path, record=replace(RECORD, trials=2))


def test_a_missing_copy_that_was_told_is_copied_again(tmp_path):
    search(tmp_path, ScriptedEngine(points=[5, 5, 6]))
    (files_in(tmp_path).trial_folder(1) / "result.json").unlink()
    loop = search(tmp_path, ScriptedEngine(points=[5, 5, 6]))
    assert (loop.executor.trained, loop.trial_index.results[1].copied_from) == ([], 0)


def test_a_damaged_spec_with_later_ones_behind_it_is_not_written_over(tmp_path):
    search(tmp_path)
    torn = files_in(tmp_path).trial_folder(2) / "spec.json"
    torn.write_text('{"numb')
    with pytest.raises(StorageError, match=r"spec\.json is damaged"):
        search(tmp_path)
    assert torn.read_text() == '{"numb'


def test_too_many_failures_in_a_row_end_the_search(tmp_path):
    script = {(number, 1): Status.FAILED for number in range(1, 9)}
    with pytest.raises(
        SearchFailed, match="3 trials failed in a row, the last with: ValueError: no"
    ):
        search(tmp_path, script=script)


def test_a_trial_that_completes_or_diverges_breaks_the_row_of_failures(tmp_path):
    script = {(number, 1): Status.FAILED for number in (0, 1, 3, 4)} | {(2, 1): Status.DIVERGED}
    assert len(search(tmp_path, script=script).trial_index.results) == 6


def test_a_fault_of_the_study_met_in_a_worker_ends_the_run_with_its_class_and_bare_text(tmp_path):
    script = {(1, 1): Raised("", "MissingError: no data", "", exit_code=3)}
    with pytest.raises(MissingError, match=r"^no data$"):
        search(tmp_path, script=script)


def test_a_full_disk_met_in_a_worker_ends_the_run_whichever_library_met_it(tmp_path):
    script = {
        (1, 1): Raised("", "OSError: [Errno 28] Can't write data (No space left on device)", "", 75)
    }
    with pytest.raises(StorageError, match="the disk is full"):
        search(tmp_path, script=script)


def test_the_words_of_a_full_disk_alone_fail_their_trial_only(tmp_path):
    script = {(1, 1): Raised("", "ValueError: No space left on device, says the builder", "")}
    loop = search(tmp_path, script=script)
    assert "says the builder" in loop.trial_index.results[1].error
    assert len(loop.trial_index.results) == 6


def test_a_trial_whose_worker_went_with_the_forkserver_is_tried_beside_its_attempts(tmp_path):
    script = {(1, attempt): "lost" for attempt in range(1, 5)}
    loop = search(tmp_path, script=script)
    assert loop.trial_index.results[1].status is Status.COMPLETED
    assert loop.trial_index.results[1].attempt == 5


def test_a_trial_whose_slot_is_given_up_goes_on_however_often_and_dies_of_nothing(tmp_path):
    script = {(1, attempt): "moved" for attempt in range(1, 30)}
    loop = search(tmp_path, script=script)
    assert loop.trial_index.results[1].status is Status.COMPLETED
    assert loop.files.deaths(1) == 0


def test_a_trial_that_keeps_nothing_where_it_leaves_stays_the_third_time(tmp_path):
    notices = []
    progress = SilentProgress()
    progress.notice = notices.append
    leaves = {}

    def look(executor):
        leaves.update({job.id: job.leaves for job in executor._running.values()})

    script = {(1, 1): "moved", (1, 2): "moved"}
    search(tmp_path, script=script, progress=progress, on_look=look)
    assert [leaves[job] for job in ("0-1", "1-1", "1-2", "1-3")] == ["soon"] * 3 + ["epoch"]
    assert len(notices) == 2
    assert "trial 1 has left its slot and nothing was kept" in notices[1]


def test_a_trial_that_always_takes_the_forkserver_along_fails_in_the_end(tmp_path):
    script = {(1, attempt): "lost" for attempt in range(1, 20)}
    loop = search(tmp_path, script=script)
    assert loop.trial_index.results[1].status is Status.FAILED


def test_what_else_a_job_raises_fails_its_trial_only(tmp_path):
    loop = search(tmp_path, script={(1, 1): Raised("", "StoppedClock: no", "")})
    assert loop.trial_index.results[1].error == "StoppedClock: no"
    assert len(loop.trial_index.results) == 6


def test_a_verdict_of_the_engine_reaches_the_trial(tmp_path):
    engine = ScriptedEngine(prune=[(1, 1)])
    loop = search(tmp_path, engine, record=replace(RECORD, pruner="median", trials=3))
    assert loop.executor.answers == {
        "0-1": ["continue", "continue"],
        "1-1": ["prune"],
        "2-1": ["continue", "continue"],
    }
    assert loop.trial_index.results[1].status is Status.PRUNED


def test_a_replay_lets_the_engine_hear_the_epochs_it_has_heard(tmp_path):
    record = replace(RECORD, pruner="median", trials=4)
    first, again = (ScriptedEngine(points=[5, 5, 6, 7]) for _ in range(2))
    search(tmp_path, first, record)
    search(tmp_path, again, record)
    assert again.reports == first.reports
    assert (1, 2) in first.reports, "a copied trial's epochs are told too"


def test_a_late_word_of_an_attempt_that_is_over_changes_nothing(tmp_path):
    class Late(ScriptedExecutor):
        def events(self, timeout_s):
            late = [Raised("0-1", "ValueError: late", "")] if self.trained[-1:] == [(0, 1)] else []
            return [*super().events(timeout_s), *late]

    loop = make_loop(ScriptedEngine(), Late(files_in(tmp_path), script={(0, 1): "killed"}))
    loop.run()
    assert loop.trial_index.results[0].status is Status.COMPLETED


def stopped_when(stop_request, trained, how):
    def look(executor):
        if len(executor.trained) >= trained and not stop_request.reason:
            how(stop_request)

    return look


def test_after_one_interrupt_the_running_trials_end_and_none_begins(tmp_path):
    stop_request = StopRequest()
    stop_request._raises = False
    look = stopped_when(stop_request, 2, lambda it: it._interrupt())
    loop = search(tmp_path, slots=2, on_look=look, stop_request=stop_request)
    assert (loop.ended, loop.open, loop.executor.answers) == ("interrupted", {}, {})
    assert 2 < len(loop.trial_index.results) < 5


def test_after_two_interrupts_nothing_is_waited_for(tmp_path):
    stop_request = StopRequest()
    stop_request._raises = False

    def twice(it):
        it._interrupt()
        it._interrupt()

    loop = search(
        tmp_path, slots=2, on_look=stopped_when(stop_request, 2, twice), stop_request=stop_request
    )
    assert loop.ended == "interrupted"
    assert loop.open
    assert len(loop.trial_index.results) < 4


def test_when_time_is_up_running_trials_are_let_go_and_stay_open_in_the_files(tmp_path):
    stop_request = StopRequest()
    look = stopped_when(stop_request, 2, lambda it: setattr(it, "deadline", 0.0))
    loop = search(tmp_path, slots=2, on_look=look, stop_request=stop_request)
    assert (loop.ended, loop.open) == ("timeout", {})
    assert "stop" in [word for words in loop.executor.answers.values() for word in words]
    again = search(tmp_path, slots=2)
    assert sorted(again.trial_index.results) == list(range(6))


def test_a_job_that_waits_for_a_slot_is_taken_back_when_the_run_shall_end(tmp_path):
    stop_request = StopRequest()
    stop_request._raises = False
    look = stopped_when(stop_request, 1, lambda it: it._interrupt())
    loop = search(tmp_path, slots=1, in_order=3, on_look=look, stop_request=stop_request)
    assert loop.executor.cancelled
    assert loop.open == {}


def test_a_clock_that_is_set_back_or_forward_ends_nothing(tmp_path, monkeypatch):
    stop_request = StopRequest()
    stop_request.deadline = time.monotonic() + 60
    monkeypatch.setattr("time.time", lambda: 4_000_000_000.0)
    assert search(tmp_path, stop_request=stop_request).ended == "completed"


def test_reports_are_shown(tmp_path):
    seen: list[EpochReport] = []
    loop = make_loop(
        ScriptedEngine(),
        ScriptedExecutor(files_in(tmp_path)),
        replace(RECORD, pruner="median", trials=1),
    )
    loop._progress.epoch = lambda slot, report: seen.append(report)  # type: ignore[method-assign]
    loop.run()
    assert [report.epoch for report in seen] == [1, 2]


def test_an_engine_that_does_not_learn_has_one_more_trial_waiting_at_each_slot(tmp_path):
    loop = search(tmp_path, record=replace(RECORD, engine="optuna:random", trials=9), slots=2)
    assert loop.executor.most_submitted == 4
    assert loop.executor.most_at_once == 2


def test_a_study_gone_on_with_under_other_epochs_keeps_what_its_trials_were_trained_for(tmp_path):
    search(tmp_path, record=replace(RECORD, trials=2))

    class Longer(ScriptedEngine):
        def ask(self, number):
            proposal = super().ask(number)
            return replace(proposal, epochs=7)

    loop = search(tmp_path, engine=Longer(), record=replace(RECORD, trials=3))
    assert [loop.trial_index.proposals[number].epochs for number in range(3)] == [2, 2, 7]
