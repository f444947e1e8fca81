"""Whatever stands in a study's fields, it is a study or a `StudyError` that tells every fault."""

from __future__ import annotations

import dataclasses
import string
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning.errors import StudyError
from tuning.ledger.begin import LONGEST_KEY, search_key
from tuning.space.domains import Choice, Float, Int
from tuning.study.objective import Maximize, Minimize
from tuning.study.study import Study


def build(x: int = 1, lr: float = 0.1) -> float:
    return float(x) * lr


def data() -> None:
    """Nobody loads it."""


WHOLE = {
    "name": "any",
    "builder": build,
    "data": data,
    "objective": Minimize("val_rmse"),
    "space": {"x": Int(1, 9)},
    "engine": "optuna:random",
    "trainer": "function",
}
FIELDS = [field.name for field in dataclasses.fields(Study) if field.init]
PLAIN = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.binary(max_size=4)
    | st.sampled_from(["optuna:tpe", "gridsearchcv", "balanced", "time", "median", "fit", "val_r2"])
)
ODD = st.sampled_from(
    [build, data, object(), Study, Int(9, 1), Float(0, 1, log=True), Choice(), Maximize("val_x")]
)
ANYTHING = st.recursive(
    PLAIN | ODD,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(st.text(string.ascii_lowercase, max_size=3) | PLAIN, inner, max_size=3)
    ),
    max_leaves=5,
)


def make(fields) -> None:
    with suppress(StudyError):
        study = Study(**{**WHOLE, **fields})
        assert study.hash == study.with_().hash


@pytest.mark.parametrize("field", FIELDS)
@settings(max_examples=5, deadline=None)
@given(value=ANYTHING)
def test_any_value_of_a_field_is_taken_or_told(field, value):
    make({field: value})


@pytest.mark.slow
@settings(max_examples=3000, deadline=None)
@given(fields=st.dictionaries(st.sampled_from(FIELDS), ANYTHING, max_size=4))
def test_any_values_of_any_fields_are_taken_or_told(fields):
    make(fields)


@settings(max_examples=50, deadline=None)
@given(name=st.text(max_size=70))
def test_a_name_is_one_folder_of_its_own_or_is_refused(name):
    with suppress(StudyError):
        study = Study(**{**WHOLE, "name": name})
        assert Path("ledger", study.name).resolve().parent == Path("ledger").resolve()
        assert study.name not in ("", ".", "..")


@settings(max_examples=50, deadline=None)
@given(variant=st.dictionaries(st.sampled_from(FIELDS), PLAIN, max_size=3))
def test_a_key_is_one_folder_below_its_study_whatever_was_changed(variant):
    key = search_key("optuna:tpe", "none", variant)
    assert Path("study", key).resolve().parent == Path("study").resolve()
    assert len(key) <= LONGEST_KEY
