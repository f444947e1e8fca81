"""The errors of the package: texts, exit codes, and the way through a process's pipe."""

from __future__ import annotations

import pickle

import pytest

from tuning import errors
from tuning.errors import (
    BuilderError,
    ChangedError,
    NewerFileError,
    StudyError,
    TuningError,
    did_you_mean,
    received,
)

CODES = {
    "TuningError": 1,
    "StudyError": 2,
    "BuilderError": 2,
    "ChangedError": 2,
    "NewerFileError": 2,
    "MissingError": 3,
    "BusyError": 75,
    "LostError": 75,
    "StorageError": 75,
    "DamagedFileError": 75,
    "TrialError": 1,
    "SearchFailed": 1,
}


def test_every_error_has_its_exit_code():
    found = {
        n: c.exit_code
        for n, c in vars(errors).items()
        if isinstance(c, type) and issubclass(c, TuningError)
    }
    assert found == CODES


def test_the_table_at_the_top_names_every_error():
    assert [name for name in CODES if name not in (errors.__doc__ or "")] == []


def test_one_fault_stands_on_the_line_of_its_place():
    assert str(StudyError("epochs is wrong", where="study 'a'")) == "study 'a': epochs is wrong"


def test_several_faults_are_counted_and_listed():
    assert (
        str(StudyError(["one", "two"], where="study 'a'"))
        == "study 'a': 2 faults:\n  - one\n  - two"
    )


def test_without_a_place_the_fault_stands_alone():
    assert str(StudyError("one")) == "one"


@pytest.mark.parametrize("kind", [StudyError, BuilderError, ChangedError, NewerFileError])
def test_a_study_error_comes_through_a_pipe_whole(kind):
    sent = kind(["one", "two"], where="here")
    got = pickle.loads(pickle.dumps(sent))  # noqa: S301 - made above
    assert (type(got), got.faults, got.where, str(got)) == (kind, ("one", "two"), "here", str(sent))


def test_a_builder_error_is_a_value_error_so_that_keras_users_catch_it():
    with pytest.raises(ValueError, match="n_neurons"):
        raise BuilderError("n_neurons must be at least 1")


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("val_rmse", "'val_rmse'"),
        ([1, 2], "[1, 2]"),
        (object(), "an object"),
        (list(range(99)), "a list"),
        ({"a": "line\nline"}, "{'a': 'line\\nline'}"),
    ],
)
def test_what_an_error_got_is_written_shortly(value, words):
    assert received(value) == words


def test_the_nearest_word_is_offered():
    assert did_you_mean("n_neuron", ["lr", "n_neurons", "n_hidden"]) == " Did you mean 'n_neurons'?"


def test_where_no_word_is_near_none_is_offered():
    assert did_you_mean("zebra", ["lr", "n_neurons"]) == ""
