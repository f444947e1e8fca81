"""Medians over seeds, and what they mean in words."""

from dataclasses import replace

from tests.simulation.recorded import LINE, replayed
from tests.simulation.test_run import LINE_POINTS
from tuning.bench.plan import EngineChoice
from tuning.simulation.report import assumptions, table, values_in_words, write_simulation_report
from tuning.simulation.run import Simulation, simulate_all
from tuning.simulation.standing import Standing, sentences, standings

PLAN = Simulation(
    source="",
    choices=(EngineChoice("optuna:random"), EngineChoice("optuna:tpe")),
    slots=(1, 16),
    seeds=3,
    trials=12,
)


def standing(slots, **changes):
    fields = {
        "seeds": 3,
        "trials": 10,
        "wall_s": 100.0 / slots,
        "utilisation": 1.0,
        "slot_hours": 1.0,
        "best": 1.0,
        "expected": 1.1,
        "regret": 0.2,
        "engine_s": 0.1,
        "asked_ms": 1.0,
        "lost": 0.0,
        "bound": "slots",
    }
    return Standing(engine="optuna:tpe", slots=slots, **{**fields, **changes})


def test_there_is_one_standing_an_engine_and_number_of_slots(tmp_path):
    runs = list(simulate_all(PLAN, replayed(tmp_path, LINE, LINE_POINTS)))
    table_rows = standings(runs)
    assert [(each.engine, each.slots, each.seeds) for each in table_rows] == [
        ("optuna:random", 1, 3),
        ("optuna:random", 16, 3),
        ("optuna:tpe", 1, 3),
        ("optuna:tpe", 16, 3),
    ]
    walls = sorted(run.wall_s for run in runs[:3])
    assert table_rows[0].wall_s == walls[1]
    assert table_rows[0].to_json()["trials"] == 12


def test_a_search_that_found_nothing_counts_as_the_worst(tmp_path):
    first, *others = list(simulate_all(PLAN, replayed(tmp_path, LINE, LINE_POINTS)))[:3]
    nothing = replace(first, regret=None, curve=replace(first.curve, values=(), tests=()))
    assert standings([first, nothing, nothing])[0].best is None
    values = [run.curve.values[-1] for run in (first, others[0])]
    assert standings([first, others[0], nothing])[0].best == max(values)


def test_words_say_what_more_slots_bring():
    assert sentences([standing(1), standing(8, slot_hours=1.5, regret=0.4)]) == [
        "optuna:tpe: 8 slots instead of 1 end 8.0 times as soon, at 1.50 times "
        "the slot-hours; regret 0.2 → 0.4."
    ]


def test_words_say_where_slots_idle_and_where_the_engine_is_waited_for():
    lines = sentences([standing(64, utilisation=0.2, engine_s=30.0, wall_s=2.0, bound="engine")])
    assert lines == [
        "optuna:tpe: on 64 slots they are busy 20% of the time; more do not pay for 10 trials.",
        "optuna:tpe: on 64 slots its own 30.0 s are longer than the 2.0 s of the trials: "
        "it would be waited for "
        "(--engine-time counts it).",
    ]


def test_the_report_is_one_file_with_every_engine_and_what_was_assumed(tmp_path):
    source = replayed(tmp_path, LINE, LINE_POINTS)
    runs = list(simulate_all(PLAN, source))
    page = write_simulation_report(tmp_path / "reports", PLAN, source, runs, standings(runs))
    text = page.read_text(encoding="utf-8")
    assert page.name == "simulation-made.html"
    for word in (
        "optuna:random",
        "optuna:tpe",
        "Wall time",
        "Over time, 16 slots",
        "weighted by 1 / distance",
    ):
        assert word in text
    assert "src=" not in text.split("</script>")[-1]


def test_the_table_and_the_assumptions_are_plain_text(tmp_path):
    source = replayed(tmp_path)
    assert table([standing(1), standing(8)]).row_count == 2
    runs = list(simulate_all(PLAN, source))
    assert values_in_words(source, runs) in assumptions(PLAN, source, runs)
    assert (
        values_in_words(replace(source, recording=tmp_path), runs)
        == "Values: every trial was recorded."
    )
