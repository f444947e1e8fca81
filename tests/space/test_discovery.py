"""The space of a builder that asks for its parameters: every branch, its conditions, its bounds."""

from __future__ import annotations

import numpy as np
import pytest

from tuning.space import discovery
from tuning.space.discovery import Discovery, discover
from tuning.space.domains import Choice, Float, Int
from tuning.space.hp_recorder import HpRecorder
from tuning.space.space import Space
from tuning.space.trial_recorder import TrialRecorder


def of_hp(build) -> Discovery:
    return _discovered(build, HpRecorder)


def of_trial(build) -> Discovery:
    return _discovered(build, TrialRecorder)


def _discovered(build, recorder) -> Discovery:
    def ask(values):
        made = recorder(values, exploring=True)
        build(made)
        return made

    return discover(ask)


def test_a_loop_over_layers_makes_each_layers_parameters_exist_from_its_number_on():
    def build(hp):
        for i in range(hp.Int("layers", 1, 3)):
            hp.Int(f"units_{i}", 32, 512, step=32)

    domains = of_hp(build).domains
    assert domains["units_0"] == Int(32, 512, step=32)
    assert domains["units_1"] == Int(32, 512, step=32).when(layers=[2, 3])
    assert domains["units_2"] == Int(32, 512, step=32).when(layers=3)


def test_a_branch_within_a_branch_has_the_conditions_that_lead_to_it():
    def build(hp):
        if hp.Boolean("dropout") and hp.Boolean("vary"):
            hp.Float("rate", 0.1, 0.5)

    domains = of_hp(build).domains
    assert domains["vary"] == Choice(False, True).when(dropout=True)
    space = Space(domains)
    assert "rate" in space.active({"dropout": True, "vary": True, "rate": 0.2})
    assert "rate" not in space.active({"dropout": True, "vary": False, "rate": 0.2})


def test_two_switches_that_count_only_together_are_found_at_drawn_points():
    def build(hp):
        first, second = hp.Boolean("first"), hp.Boolean("second")
        if first and second:
            hp.Int("both", 1, 2)

    space = Space(of_hp(build).domains)
    for first in (False, True):
        for second in (False, True):
            point = space.active({"first": first, "second": second, "both": 1})
            assert ("both" in point) == (first and second)


def test_either_of_two_switches_is_two_alternatives_of_one_parameter():
    def build(hp):
        first, second = hp.Boolean("first"), hp.Boolean("second")
        if first or second:
            hp.Int("any", 1, 2)

    space = Space(of_hp(build).domains)
    drawn = [space.sample(np.random.default_rng(seed)) for seed in range(40)]
    assert {("any" in point) == (point["first"] or point["second"]) for point in drawn} == {True}


def test_a_threshold_within_a_long_range_is_found_exactly():
    def build(trial):
        if trial.suggest_int("width", 1, 100) > 57:
            trial.suggest_int("more", 1, 2)

    ((parent, values),) = of_trial(build).domains["more"].conditions
    assert (parent, values) == ("width", tuple(range(58, 101)))


def test_one_name_with_other_choices_under_another_parent_keeps_both():
    def build(trial):
        deep = trial.suggest_categorical("deep", [True, False])
        trial.suggest_categorical("units", [8, 16] if deep else [64, 128])

    units = of_trial(build).domains["units"]
    assert units.variant({"deep": True}).values == (8, 16)
    assert units.variant({"deep": False}).values == (64, 128)


def test_a_range_beside_a_choice_keeps_its_whole_numbers_and_says_what_is_left_out():
    def build(trial):
        if trial.suggest_categorical("coarse", [True, False]):
            trial.suggest_categorical("units", [8, "many"])
            trial.suggest_categorical("rate", [0.1, "auto"])
        else:
            trial.suggest_int("units", 1, 40)
            trial.suggest_float("rate", 0.2, 0.4)

    found = of_trial(build)
    fine = found.domains["units"].variant({"coarse": False})
    assert fine.values == tuple(range(1, 41))
    notes = " ".join(found.notes)
    assert "rate: a range under some values of the others" in notes
    assert "only 3 values are tried, from 0.2 to 0.4" in notes
    assert "units:" not in notes


def test_a_conditional_scope_is_taken_at_its_word():
    def build(hp):
        hp.Choice("kind", ["mlp", "cnn"])
        with hp.conditional_scope("kind", ["cnn"]):
            hp.Choice("size", [3, 5])

    assert of_hp(build).domains["size"] == Choice(3, 5).when(kind="cnn")


def test_what_depends_on_a_real_number_is_searched_always_and_said():
    def build(trial):
        if trial.suggest_float("rate", 0.0, 1.0) > 0.3:
            trial.suggest_int("late", 1, 2)

    found = of_trial(build)
    assert found.domains["late"] == Int(1, 2)
    assert found.notes == (
        "late: whether or how it is asked for depends on rate, a real number; "
        "it is searched always",
    )


def test_the_runs_are_bounded_and_what_was_not_explored_is_said(monkeypatch):
    monkeypatch.setattr(discovery, "MOST_RUNS", 20)

    def build(hp):
        for i in range(hp.Int("n", 1, 9)):
            hp.Choice(f"kind_{i}", ["a", "b", "c"])

    found = of_hp(build)
    assert found.runs == 20
    assert "the builder was run 20 times" in found.notes[-1]


def test_named_defaults_are_where_a_search_begins_and_unnamed_ones_are_not():
    def named(hp):
        hp.Float("lr", 1e-4, 1e-2, sampling="log", default=1e-3)

    def unnamed(hp):
        hp.Float("lr", 1e-4, 1e-2, sampling="log")

    assert of_hp(named).start == {"lr": 1e-3}
    assert of_hp(unnamed).start == {}


@pytest.mark.parametrize(
    ("ask", "domain"),
    [
        (lambda hp: hp.Int("x", 1, 9), Int(1, 9)),
        (lambda hp: hp.Int("x", 8, 64, 8), Int(8, 64, step=8)),
        (lambda hp: hp.Int("x", 2, 32, step=2, sampling="log"), Choice(2, 4, 8, 16, 32)),
        (lambda hp: hp.Int("x", 1, 1000, sampling="log"), Int(1, 1000, log=True)),
        (lambda hp: hp.Float("x", 0, 0.5, step=0.1), Float(0.0, 0.5, step=0.1)),
        (
            lambda hp: hp.Float("x", 1e-3, 1.0, step=10, sampling="log"),
            Choice(1e-3, 0.01, 0.1, 1.0),
        ),
        (lambda hp: hp.Choice("x", ["a", "b"], default="b"), Choice("a", "b")),
        (lambda hp: hp.Boolean("x"), Choice(False, True)),
    ],
)
def test_each_kind_of_kerastuners_parameters_is_a_domain_of_ours(ask, domain):
    assert of_hp(ask).domains == {"x": domain}


def test_a_reversed_log_scale_is_said_to_be_searched_evenly():
    found = of_hp(lambda hp: hp.Float("momentum", 0.1, 0.9, sampling="reverse_log"))
    assert found.notes == ("momentum: sampling='reverse_log' is searched evenly",)


@pytest.mark.parametrize(
    ("ask", "domain"),
    [
        (lambda t: t.suggest_int("x", 1, 9, step=2), Int(1, 9, step=2)),
        (lambda t: t.suggest_int("x", 1, 99, log=True), Int(1, 99, log=True)),
        (lambda t: t.suggest_float("x", 0, 1, step=0.25), Float(0.0, 1.0, step=0.25)),
        (lambda t: t.suggest_loguniform("x", 1e-5, 1), Float(1e-5, 1.0, log=True)),
        (lambda t: t.suggest_uniform("x", 0, 1), Float(0.0, 1.0)),
        (lambda t: t.suggest_discrete_uniform("x", 0, 1, 0.5), Float(0.0, 1.0, step=0.5)),
        (lambda t: t.suggest_categorical("x", [None, "a"]), Choice(None, "a")),
    ],
)
def test_each_suggestion_of_optunas_is_a_domain_of_ours(ask, domain):
    assert of_trial(ask).domains == {"x": domain}
