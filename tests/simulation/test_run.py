"""Whole simulated searches: the trials of real ones, the makespan of list scheduling, what slots
and faults do.
"""

from pathlib import Path

import pytest
from joblib.externals.loky import get_reusable_executor

import tuning.search.run
from tests.search.run_parts import NoWriter, build, plane
from tests.simulation.recorded import GRID, LINE, replayed, write
from tests.simulation.test_simulator import list_scheduling
from tuning import Choice, Minimize, Study
from tuning.bench.plan import EngineChoice
from tuning.errors import StudyError
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.simulation.record import RecordOptions, record_study
from tuning.simulation.run import Simulation, open_source, simulate_all, simulate_search
from tuning.simulation.simulator import Faults
from tuning.study.study import Study as AnyStudy
from tuning.trial import Status

RANDOM, TPE = EngineChoice("optuna:random"), EngineChoice("optuna:tpe")
LINE_POINTS = [{"lr": 10.0 ** (-power / 4)} for power in range(17)]
SMALL = Study(
    name="small",
    builder=build,
    data=plane,
    objective=Minimize("val_rmse"),
    space={"n": Choice(2, 3, 4), "lr": Choice(0.003, 0.03, 0.1)},
    engine="optuna:tpe",
    trials=14,
    epochs=2,
    batch_size=64,
    top_k=1,
    seeds=1,
    seed=3,
)


def simulated(source, choice=RANDOM, slots=1, seed=0, **changes):
    return simulate_search(
        source, Simulation(source="", choices=(choice,), **changes), choice, slots, seed
    )


def trials(loop):
    return [
        (proposal.params, proposal.epochs, result.status)
        for proposal, result in loop.trial_index.trials
    ]


@pytest.fixture(scope="module")
def small(tmp_path_factory, forkserver):
    """A real recording of `SMALL`'s whole grid, one seed of training."""
    folder = tmp_path_factory.mktemp("recorded")
    options = RecordOptions(seeds=1, home=str(folder / "home"), out=folder / "small.json")
    return record_study(SMALL, options, forkserver=forkserver).manifest


MORE = [
    pytest.param(name, marks=pytest.mark.slow)
    for name in ("keras-tuner:random", "optuna:random", "gridsearchcv", "keras-tuner:hyperband")
]


@pytest.mark.parametrize("engine", ["optuna:tpe", *MORE])
def test_one_slot_makes_the_trials_of_the_real_search(
    small, engine, tmp_path, monkeypatch, forkserver
):
    monkeypatch.setattr(tuning.search.run, "Writer", NoWriter)
    options = RunOptions(
        home=str(tmp_path), devices="cpu:1", variant={"engine": engine}, budget={"trials": 14}
    )
    real = run_study(SMALL, options, forkserver=forkserver)
    source = open_source(str(small), tmp_path, exact=True)
    _, loop = simulated(source, EngineChoice(engine), trials=14)
    told = [(proposal.params, proposal.epochs, result.status) for proposal, result in real.trials]
    assert trials(loop) == told
    values = [
        (a.value, b.value)
        for (_, a), (_, b) in zip(loop.trial_index.trials, real.trials, strict=True)
    ]
    assert all(a == pytest.approx(b, rel=1e-5) for a, b in values)


def test_a_recording_that_is_made_again_trains_nothing_twice(
    small, tmp_path, forkserver, monkeypatch
):
    monkeypatch.setenv("TRACES", str(tmp_path))
    home = str(small.parent / "home")
    options = RecordOptions(seeds=1, home=home, out=tmp_path / "again")
    again = record_study(SMALL, options, forkserver=forkserver).manifest
    assert again == tmp_path / "again.json"
    assert not (tmp_path / "builds").exists()
    assert again.with_suffix(".parquet").read_bytes() == small.with_suffix(".parquet").read_bytes()


@pytest.mark.parametrize("slots", [1, 5, 64])
def test_the_makespan_of_random_search_is_that_of_list_scheduling(tmp_path, slots):
    source = replayed(tmp_path, LINE, LINE_POINTS)
    run, loop = simulated(source, slots=slots, trials=200)
    durations = [result.seconds for _, result in loop.trial_index.trials]
    assert run.wall_s == pytest.approx(list_scheduling(durations, slots), rel=0.02)
    assert run.busy_s == pytest.approx(sum(durations))
    assert run.utilisation <= 1.0


def test_the_same_seed_gives_the_same_search_and_another_another(tmp_path):
    source = replayed(tmp_path, LINE, LINE_POINTS)
    faults = Faults(crash_rate=0.2, preempt_rate=20.0)
    once, again, other = (
        simulated(source, TPE, 4, seed, trials=16, faults=faults) for seed in (1, 1, 2)
    )
    assert trials(once[1]) == trials(again[1])
    assert once[0].curve.seconds == again[0].curve.seconds
    assert trials(once[1]) != trials(other[1])


@pytest.mark.slow
def test_crashes_cost_time_and_too_many_make_a_trial_fail(tmp_path):
    source = replayed(tmp_path, LINE, LINE_POINTS)
    well, _ = simulated(source, slots=4, trials=50)
    ill, _ = simulated(source, slots=4, trials=50, faults=Faults(crash_rate=0.4))
    assert ill.wall_s > well.wall_s
    assert ill.lost_s > 0 == well.lost_s
    assert ill.counts["crashes"] > ill.counts["failed"] > 0
    assert ill.counts["completed"] + ill.counts["failed"] == 50


@pytest.mark.slow
def test_when_everything_crashes_the_search_fails_as_a_real_one_does(tmp_path):
    run, _ = simulated(
        replayed(tmp_path, LINE, LINE_POINTS), trials=50, faults=Faults(crash_rate=1.0)
    )
    assert (run.ended, run.counts["failed"], run.regret) == ("failed", 10, None)
    assert set(run.curve.values) == {None}


def test_pruners_stop_bad_trials_and_save_time(tmp_path):
    source = replayed(tmp_path, LINE, LINE_POINTS)
    whole, _ = simulated(source, trials=40)
    pruned, _ = simulated(source, EngineChoice("optuna:random", "median"), trials=40)
    assert pruned.counts["pruned"] > 5
    assert pruned.wall_s < whole.wall_s
    assert pruned.curve.epochs[-1] < whole.curve.epochs[-1] == 160


def test_equal_proposals_are_copied_at_no_cost(tmp_path):
    run, _ = simulated(replayed(tmp_path), trials=30)
    assert run.counts["copied"] == 24
    assert run.curve.epochs[-1] == 6 * 4


def test_regret_is_of_the_expected_value_and_ends_at_none_where_the_grid_is_searched_whole(
    tmp_path,
):
    source = replayed(
        tmp_path,
        seeds=[1, 2, 3],
        value=lambda params, seed, fold, epoch: params["n"] + params["lr"],
    )
    run, _ = simulated(source, EngineChoice("optuna:grid"))
    assert run.regret == 0.0
    assert run.ended == "exhausted"
    assert run.curve.tests[-1] == pytest.approx(source.outcomes.best)


def test_a_point_that_is_good_by_luck_is_neither_what_a_search_is_worth_nor_what_it_is_measured_by(
    tmp_path,
):
    """The best of seed 0 diverges on seed 1: finals would take the next, without regret."""
    source = replayed(tmp_path, seeds=[1, 2], ends={(0, 1): Status.DIVERGED})
    values = {
        n: source.outcomes.training(point, 0).values[-1] for n, point in enumerate(GRID.grid())
    }
    best, second = sorted(values.values())[:2]
    assert best == values[0]
    run, _ = simulated(source, EngineChoice("optuna:grid"))
    assert run.curve.values[-1] == best
    assert (
        run.curve.tests[-1] == source.outcomes.best == pytest.approx(second + 0.005)
    )  # the mean over two seeds
    assert run.regret == 0.0


def test_engine_time_counts_only_where_it_is_asked_for(tmp_path):
    source = replayed(tmp_path, LINE, LINE_POINTS)
    without, _ = simulated(source, slots=64, trials=64)
    counted, _ = simulated(source, slots=64, trials=64, engine_time=True)
    assert without.engine_s > 0
    assert counted.wall_s > without.wall_s


def test_functions_are_simulated_without_a_recording(tmp_path):
    source = open_source("branin", tmp_path)
    run, _ = simulated(source, slots=8, trials=40)
    assert (run.wall_s, run.utilisation) == (5.0, 1.0)
    assert run.regret >= 0


def test_all_searches_are_engines_by_slots_by_seeds(tmp_path):
    source = replayed(tmp_path)
    told = []
    plan = Simulation(
        source="", choices=(RANDOM, EngineChoice("optuna:grid")), slots=(1, 4), seeds=2, trials=5
    )
    runs = list(simulate_all(plan, source, told.append))
    assert [(run.curve.engine, run.slots, run.curve.seed) for run in runs] == [
        (engine, slots, seed)
        for engine in ("optuna:random", "optuna:grid")
        for slots in (1, 4)
        for seed in (0, 1)
    ]
    assert told == runs


def test_a_study_without_a_recording_says_how_to_make_one(tmp_path):
    with pytest.raises(StudyError) as told:
        open_source("housing", tmp_path)
    assert (
        str(told.value)
        == "simulate: there is no recording of 'housing'; make one with: tuning record housing"
    )


def test_the_stand_in_study_is_checked_like_any(tmp_path):
    study = replayed(tmp_path).study
    assert isinstance(study, AnyStudy)
    assert (study.name, study.seed, study.epochs, list(study.space)) == ("made", 7, 4, ["n", "lr"])


def test_a_study_that_is_not_as_it_was_recorded_is_told(tmp_path, monkeypatch):
    source = open_source("housing_grid", tmp_path)
    assert source.notices == ()
    (tmp_path / "studies").mkdir()
    text = (
        Path("studies/housing_grid.py")
        .read_text(encoding="utf-8")
        .replace("epochs=30", "epochs=31")
    )
    (tmp_path / "studies" / "housing_grid.py").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert open_source("housing_grid", tmp_path).notices == (
        "the study here is not the one recorded: epochs was 30, is 31",
    )


def test_processes_that_share_the_searches_give_the_same(tmp_path):
    plan = Simulation(
        source=str(write(tmp_path, LINE, LINE_POINTS)),
        choices=(RANDOM, TPE),
        slots=(4,),
        seeds=2,
        trials=15,
        home=tmp_path,
    )
    source = open_source(plan.source, tmp_path)
    alone, shared = (list(simulate_all(plan, source, processes=processes)) for processes in (1, 2))
    get_reusable_executor().shutdown(wait=True)
    assert [run.curve.seconds for run in alone] == [run.curve.seconds for run in shared]
    assert [run.curve.values for run in alone] == [run.curve.values for run in shared]
