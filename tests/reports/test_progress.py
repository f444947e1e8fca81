from __future__ import annotations

import sys
from io import StringIO

import pytest
from rich.console import Console

from tuning.reports.progress import LiveProgress, PlainProgress, SilentProgress, choose_progress
from tuning.trial import EpochReport, Status, TrialResult


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def terminal(width: int = 100) -> Console:
    return Console(
        file=StringIO(),
        force_terminal=True,
        width=width,
        height=40,
        color_system=None,
        _environ={"TERM": "xterm"},
    )


def pipe() -> Console:
    return Console(file=StringIO(), width=80)


def text_of(console: Console) -> str:
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def drawn(progress: LiveProgress, width: int = 100) -> list[str]:
    """What the view shows now, line by line."""
    console = Console(
        file=StringIO(), width=width, height=40, color_system=None, legacy_windows=False
    )
    console.print(progress._board)
    return text_of(console).splitlines()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def live(clock):
    with LiveProgress(terminal(), clock) as progress:
        yield progress


def completed(number: int, value: float = 0.5, **rest) -> TrialResult:
    return TrialResult(number, Status.COMPLETED, value, epochs=30, **rest)


@pytest.mark.parametrize(
    ("quiet", "json", "console", "kind"),
    [
        (False, False, terminal(), LiveProgress),
        (True, False, terminal(), SilentProgress),
        (False, True, terminal(), PlainProgress),
        (True, True, pipe(), SilentProgress),
        (False, False, pipe(), PlainProgress),
        (
            False,
            False,
            Console(file=StringIO(), force_terminal=True, _environ={"TERM": "dumb"}),
            PlainProgress,
        ),
    ],
)
def test_the_live_view_is_for_terminals_without_json_and_quiet(quiet, json, console, kind):
    assert type(choose_progress(quiet, json, console)) is kind


def test_the_view_tells_counts_best_times_and_what_each_slot_does(live, clock):
    live.start("housing · optuna:tpe", 20, metric="val_rmse")
    live.phase("searching")
    live.running("cpu:0", 7, {"n_hidden": 2, "lr": 0.0123}, 30)
    live.idle("cpu:1")
    live.epoch("cpu:0", EpochReport(7, 12, 0.5531, {}, 1.0))
    live.finished(completed(4, seconds=4.0), completed(4))
    live.finished(TrialResult(5, Status.PRUNED, 0.9, seconds=4.0), completed(4))
    live.finished(TrialResult(6, Status.DIVERGED, seconds=4.0), completed(4))
    clock.now = 2.0
    lines = [line.rstrip() for line in drawn(live)]
    assert lines[0] == "housing · optuna:tpe  searching"
    assert lines[2:] == [
        "3 of 20 done · 1 running · 1 pruned · 1 failed",
        # 17 × 4 s less the 2 s of the one running, halved
        "best val_rmse 0.5000 (trial 4)  elapsed 0:02  left 0:33",
        "cpu:0  trial 7  epoch 12/30  val_rmse 0.5531  n_hidden=2 lr=0.0123",
        "cpu:1  idle",
    ]


def test_before_the_search_starts_the_phase_stands_alone_with_its_seconds(live, clock):
    live.phase("starting TensorFlow")
    clock.now = 3.0
    assert [line.rstrip() for line in drawn(live)] == ["starting TensorFlow  3 s"]
    live.start("housing", 20)
    assert "elapsed 0:03" in drawn(live)[3]


def test_time_left_is_unknown_before_the_first_trial_ends(live):
    live.start("housing", 20)
    live.running("cpu:0", 0, {})
    assert drawn(live)[3].endswith("left unknown")


def test_time_left_is_unknown_where_the_engine_decides_when_to_end(live):
    live.start("housing", None)
    live.finished(completed(0), completed(0))
    assert drawn(live)[1].startswith("1 done")
    assert drawn(live)[2].endswith("left unknown")


def test_copied_results_do_not_shorten_the_time_left(live):
    live.start("housing", 4)
    live.idle("cpu:0")
    live.finished(completed(0, seconds=10.0), None)
    live.finished(completed(1, seconds=0.0, copied_from=0), None)
    assert drawn(live)[3].endswith("left 0:20")


def test_earlier_trials_of_a_resumed_search_are_counted(live):
    live.start("housing", 20, earlier=[completed(0), completed(1)], best=completed(1, 0.4))
    assert drawn(live)[2].startswith("2 of 20 done")
    assert "0.4000 (trial 1)" in drawn(live)[3]


def test_the_finals_have_their_own_bar_and_time(live, clock):
    live.start("housing", 2)
    for number in range(2):
        live.finished(completed(number, seconds=4.0), completed(0))
    assert "left" not in drawn(live)[3]
    live.phase("training finalists on fresh seeds")
    live.finals(0, 9)
    assert drawn(live)[3].endswith("left unknown")
    clock.now = 30.0
    live.finals(3, 9)
    assert "3 of 9 trainings of finalists done" in drawn(live)[2]
    assert drawn(live)[3].endswith("left 1:00")
    assert drawn(live)[1].count("━") == 20
    assert live._board.bar == (3, 9)


def test_a_finalist_that_trains_shortens_the_time_left_with_each_epoch(live, clock):
    live.start("housing", 1)
    live.finals(0, 2)
    live.running("cpu:0", 0, {}, 10)
    clock.now = 10.0
    live.epoch("cpu:0", EpochReport(0, 5, 0.5, {}, 10.0))
    assert drawn(live)[3].endswith("left 0:30")


def test_when_the_finals_have_ended_no_time_is_left(live, clock):
    live.start("housing", 1)
    live.finals(1, 2)
    clock.now = 7.0
    live.finals(2, 2)
    live.phase("evaluating the winner on the test part")
    assert drawn(live)[3].endswith("elapsed 0:07")


def test_a_finished_trial_frees_its_slot(live):
    live.start("housing", 20)
    live.running("cpu:0", 0, {})
    live.finished(completed(0), completed(0))
    assert drawn(live)[-1].rstrip() == "cpu:0  idle"


def test_sixty_columns_are_enough(live):
    live.start("a-study-with-a-rather-long-name · keras-tuner:hyperband", 200, metric="val_rmse")
    live.phase("training finalists 4 of 9")
    live.running("cpu:0", 7, {f"parameter_{n}": n for n in range(9)}, 30)
    lines = drawn(live, width=60)
    assert max(map(len, lines)) <= 60
    assert lines[-1].startswith("cpu:0  trial 7  starting  parameter_0=0")
    assert lines[-1].endswith("…")


def test_of_sixty_four_slots_twelve_are_shown_the_busy_ones_first(live):
    live.start("housing", 200)
    for number in range(64):
        live.running(f"cpu:{number}", number, {})
    live.idle("cpu:0")
    lines = [line.rstrip() for line in drawn(live)]
    assert lines[4].startswith("cpu:1 ")
    assert lines[-1] == "… and 52 more"
    assert len(lines) == 4 + 12 + 1


def test_gpu_uuids_are_shortened(live):
    live.start("housing", 20)
    live.running("GPU-1a2b3c4d-0000-1111+GPU-5e6f7a8b-0000-1111", 0, {})
    assert drawn(live)[-1].startswith("GPU-1a2b3c4d+GPU-5e6f7a8b  trial 0")


def test_user_text_is_no_markup_anywhere_in_the_view():
    console = terminal()
    with LiveProgress(console) as progress:
        progress.start("[bold]housing[/bold]", 20, metric="[m]")
        progress.phase("[blink]phase")
        progress.notice("[red]axis lr[/red] was cut \x1b[2J")
        progress.running("cpu:0", 0, {"[green]": "[/nothing]"})
        lines = drawn(progress)
    assert "[bold]housing[/bold]  [blink]phase" in lines[0]
    assert "[green]=[/nothing]" in lines[-1]
    assert "[red]axis lr[/red] was cut [2J" in text_of(console)
    assert "\x1b[2J" not in text_of(console)


def test_the_view_draws_on_its_console_and_leaves_stdout_alone():
    console = terminal()
    stdout = sys.stdout
    with LiveProgress(console) as progress:
        progress.start("housing", 20)
        assert sys.stdout is stdout
    assert "housing" in text_of(console)
    assert text_of(console).rstrip().endswith("\x1b[2K")  # the view's lines are wiped at the end


def test_the_view_stops_after_an_error_and_twice():
    console = terminal()
    progress = LiveProgress(console)

    def fail() -> None:
        with progress:
            progress.start("housing", 20)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    progress.stop()
    assert "\x1b[?25h" in text_of(console)  # the cursor is back
    screen = text_of(console)
    progress.phase("writing to MLflow")
    assert text_of(console) == screen


def test_plain_lines_tell_how_each_trial_ended():
    console = pipe()
    with PlainProgress(console) as progress:
        progress.start("housing · optuna:tpe", 20, metric="val_rmse", earlier=[completed(0)])
        progress.phase("searching")
        progress.notice("[red]lr[/red] was cut")
        progress.running("cpu:0", 1, {"n_hidden": 2, "lr": 0.0123})
        progress.epoch("cpu:0", EpochReport(1, 1, 0.6, {}, 1.0))
        progress.finished(completed(1, seconds=4.2), completed(1))
        progress.finished(completed(2, copied_from=1), completed(1))
        failure = TrialResult(
            3, Status.FAILED, error="ValueError: postgresql://me:canary@db\nTraceback", seconds=1.0
        )
        progress.finished(failure, completed(1))
        progress.idle("cpu:0")
    best = "best 0.5000 (trial 1)"
    assert text_of(console).splitlines() == [
        "housing · optuna:tpe: 20 trials, 1 known from earlier runs",
        "searching",
        "[red]lr[/red] was cut",
        f"[2/20] trial 1 completed: val_rmse 0.5000, 30 epochs in 4.2 s · {best} · "
        "n_hidden=2 lr=0.0123",
        f"[3/20] trial 2 completed: val_rmse 0.5000, as trial 1 · {best}",
        f"[4/20] trial 3 failed: ValueError: postgresql://***@db, 0 epochs in 1.0 s · {best}",
    ]


def test_in_a_pipe_each_phase_is_told_once_and_each_training_of_a_finalist():
    console = pipe()
    with PlainProgress(console) as progress:
        progress.phase("starting TensorFlow")
        progress.start("housing", 1)
        for n_done in (0, 0, 1, 1, 2):
            progress.phase("training finalists on fresh seeds")
            progress.finals(n_done, 2)
    assert text_of(console).splitlines() == [
        "starting TensorFlow",
        "housing: 1 trial",
        "training finalists on fresh seeds",
        "[finals 1/2]",
        "[finals 2/2]",
    ]


def test_quiet_says_nothing():
    with SilentProgress() as progress:
        progress.start("housing", 20)
        progress.finished(completed(0), completed(0))
        progress.notice("x")
    assert vars(progress) == {}
