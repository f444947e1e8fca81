"""Naming a search of the ledger."""

from __future__ import annotations

import json

import pytest

from tests.tracking.writer.searches import add_trials, search, trial
from tuning.errors import DamagedFileError, StudyError
from tuning.ledger.catalog import find, finished, name_of, searches


@pytest.fixture
def home(tmp_path):
    search(tmp_path, "toy", "optuna:tpe")
    search(tmp_path, "toy", "gridsearchcv")
    search(tmp_path, "alone", "optuna:random")
    return tmp_path


def test_searches_are_listed_by_study_and_key(home):
    assert [name_of(files) for files in searches(home)] == [
        "alone/optuna-random",
        "toy/gridsearchcv",
        "toy/optuna-tpe",
    ]


def test_a_search_is_found_by_name_id_folder_or_as_its_studys_only_one(home):
    files = next(searches(home))
    for name in (
        "alone/optuna-random",
        "alone/optuna-random/",
        files.header.id,
        str(files.folder),
        "alone",
    ):
        assert find(home, name).folder == files.folder


def test_a_search_elsewhere_is_found_by_its_folder(home, tmp_path_factory):
    files = search(tmp_path_factory.mktemp("other"), "elsewhere")
    assert find(home, str(files.folder)).header.study == "elsewhere"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "toy/optuna-tep",
            "no search 'toy/optuna-tep'. Did you mean 'toy/optuna-tpe'? "
            "There are: alone/optuna-random, ",
        ),
        ("aloen", "no search 'aloen'. Did you mean 'alone'?"),
        ("toy", "study 'toy' has 2 searches; say which: toy/gridsearchcv, toy/optuna-tpe"),
    ],
)
def test_a_search_that_is_not_there_is_told_with_those_near_it(home, name, message):
    with pytest.raises(StudyError) as error:
        find(home, name)
    assert str(error.value).startswith(message)


def test_an_empty_ledger_says_how_to_fill_it(tmp_path):
    with pytest.raises(StudyError, match=r"there are none in .* Run one: tuning run STUDY"):
        find(tmp_path, "toy")


def test_trials_come_with_their_space_and_without_their_curves(home):
    files = find(home, "toy/optuna-tpe")
    add_trials(files, range(3))
    files.write_spec(trial(3)[0])
    space, trials = finished(files)
    assert "lr" in space.domains
    assert [(result.number, result.folds) for _, result in trials] == [(0, ()), (1, ()), (2, ())]


def test_a_damaged_header_is_told(home):
    files = find(home, "toy/optuna-tpe")
    (files.folder / "search.json").write_text("{")
    with pytest.raises(DamagedFileError, match=r"search\.json is damaged"):
        finished(files)


def test_a_damaged_header_keeps_no_other_search_from_being_found(home):
    sound = find(home, "alone/optuna-random").header.id
    path = find(home, "toy/optuna-tpe").folder / "search.json"
    path.write_text(json.dumps({"id": "toy-optuna-tpe-00000000"}))
    assert name_of(find(home, sound)) == "alone/optuna-random"
