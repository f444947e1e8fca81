"""A small sample of `make perf`: that it runs, and what it writes; no figure means anything."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.perf import epochs
from benchmarks.perf.__main__ import main
from benchmarks.perf.commands import Trained
from benchmarks.perf.drive import drive
from benchmarks.perf.epochs import HAND, OURS, part_a, part_floor
from benchmarks.perf.page import BEGIN, END, write_page
from benchmarks.perf.records import Part, Row, Sizes, Verdict
from benchmarks.perf.report import as_json, write
from benchmarks.perf.together import core_slots

QUICK = Sizes(quick=True, repeats=1, seconds=0.05)


@pytest.fixture(autouse=True)
def one_core_and_own_leases(tmp_path, monkeypatch):
    monkeypatch.setenv("TUNING_LEASES", str(tmp_path / "leases"))
    monkeypatch.setattr(epochs, "core_slots", lambda: core_slots()[:1])


@pytest.mark.slow
def test_part_a_measures_fit_and_ours_and_judges_the_worst_ratio(forkserver):
    part = part_a(QUICK, forkserver)
    assert {row.unit for row in part.rows} == {"epochs/s", "s"}
    assert all(
        figure > 0 for row in part.rows for figures in row.raw.values() for figure in figures
    )
    assert part.rows[0].notes == {"compiler": "machine code"}
    assert "the worst of the table" in part.verdicts[-1].target


@pytest.mark.slow
def test_the_floor_is_measured_with_the_compiler_our_graph_chose_and_for_machine_code(forkserver):
    part = part_floor(QUICK, forkserver)
    assert [row.name.rpartition(", ")[2] for row in part.rows] == ["graph", "machine code"]
    assert all(
        set(row.raw) == {OURS, HAND} and row.notes == {"by hand": "graph"} for row in part.rows
    )
    assert len(part.verdicts) == 1


def test_the_driver_is_metered_by_phase_in_windows(tmp_path, forkserver):
    windows = drive(40, tmp_path, 20, forkserver)
    assert [window["trials"] for window in windows] == [20, 40]
    assert all(
        window[phase] > 0
        for window in windows
        for phase in ("ask", "tell", "write_spec", "best", "rss_mb")
    )


def test_a_ratio_is_the_median_over_pairs_and_above_one_where_ours_is_better():
    faster = Row(
        name="a",
        unit="s",
        raw={"plain": [10.0, 30.0, 8.0], "ours": [1.0, 2.0, 4.0]},
        against=("plain",),
        better="lower",
    )
    assert faster.ratio("plain") == 10.0
    slower = Row(
        name="a", unit="epochs/s", raw={"plain": [10.0], "ours": [5.0]}, against=("plain",)
    )
    assert slower.ratio("plain") == 0.5


def test_time_to_a_number_of_epochs_is_when_that_many_were_trained():
    trained = Trained(whole_s=9.0, epochs=[(1.0, 10), (2.5, 20), (4.0, 30)])
    assert trained.time_to(11) == 2.5


def test_the_json_holds_machine_raw_times_and_verdicts_in_words(tmp_path):
    row = Row(
        name="epoch",
        unit="epochs/s",
        raw={"fit": [1.0, 2.0], "ours": [30.0, 50.0]},
        against=("fit",),
    )
    verdicts = [
        Verdict.at_least("ours against fit", row.ratio("fit"), 25),
        Verdict.at_most("growth", 2.5, 2),
    ]
    part = Part(key="a", title="model.fit against ours", rows=[row], verdicts=verdicts)
    about = {"cpu": "a processor", "cores": 2, "date": "today", "commit": "c0ffee"}
    json_file, page = write(tmp_path, [part], QUICK, about)[:2]
    stored = json.loads(json_file.read_text())
    assert stored["machine"]["cpu"] == "a processor"
    assert stored["parts"]["a"]["rows"][0]["raw"] == {"fit": [1.0, 2.0], "ours": [30.0, 50.0]}
    assert stored["parts"]["a"]["rows"][0]["ours_is_better_by"] == {"fit": 27.5}
    assert stored["missed"] == ["growth: at most 2 ×; measured 2.5: MISSED"]
    assert stored == as_json([part], QUICK, about)
    assert "model.fit against ours" in page.read_text()


def test_an_unknown_part_is_refused_by_name(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--parts", "a,z"])
    assert ended.value.code == 2
    assert "no part 'z'" in capsys.readouterr().err


def test_the_hand_written_loop_trains_what_keras_trains_with_adam():
    import tensorflow as tf

    from benchmarks.perf.hand import compiled_epoch
    from benchmarks.perf.spec import Spec

    random = np.random.default_rng(0)
    X = random.normal(size=(70, 8)).astype("float32")
    y = X[:, :1]
    spec = Spec(side="hand", widths=(8,), optimizer="adam", batch=32)
    epoch = compiled_epoch(spec, len(y))
    order = tf.range(70, dtype=tf.int32)
    losses = [float(epoch(order, X, y)) for _ in range(3)]
    assert losses == pytest.approx(_keras_losses(spec, X, y), rel=1e-4)


def _keras_losses(spec, X, y):
    import keras

    from benchmarks.perf.hand import LR, _weights

    model = keras.Sequential(
        [keras.Input((8,)), keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)]
    )
    model.compile(loss="mse", optimizer=keras.optimizers.Adam(learning_rate=LR))
    model.set_weights([weight.numpy() for weight in _weights(spec)])
    fitted = model.fit(X, y, batch_size=spec.batch, epochs=3, shuffle=False, verbose=0)
    return fitted.history["loss"]


def test_a_page_gets_the_table_between_its_markers_and_keeps_the_rest(tmp_path):
    row = Row(
        name="8→1", unit="epochs/s", raw={"ours": [8.0, 9.0], "fit": [2.0, 3.0]}, against=("fit",)
    )
    about = {
        "cpu": "a processor",
        "cores": 2,
        "python": "3.11.7",
        "libraries": {"keras": "3.15"},
        "date": "2026-12-01",
        "commit": "0123456789abcdef",
    }
    page = tmp_path / "benchmarks.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n", encoding="utf-8")
    assert write_page(page, [Part(key="a", title="fit against ours", rows=[row])], about)
    text = page.read_text(encoding="utf-8")
    assert "| a | 8→1 | epochs/s | ours 8.5, fit 2.5 | 3.5 × (fit) |" in text
    assert text.startswith("before\n")
    assert text.endswith("after\n")
    assert "old" not in text


def test_a_page_without_markers_is_left_as_it_is(tmp_path):
    page = tmp_path / "other.md"
    page.write_text("a page\n", encoding="utf-8")
    about = dict.fromkeys(("cpu", "cores", "python", "date", "commit"), "") | {"libraries": {}}
    assert not write_page(page, [], about)
    assert page.read_text(encoding="utf-8") == "a page\n"
