"""The header of a search that begins, beside that of one that is gone on with."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.search.scripted import RECORD
from tuning.ledger.header import changed_libraries, search_header

HEADER = replace(
    search_header(replace(RECORD, engine="optuna:tpe"), {}),
    versions_of={"tensorflow-cpu": "2.21", "keras": "3.15", "optuna": "5.0", "mlflow": "3.17"},
)


def with_versions(header=HEADER, **changes):
    versions = {name.replace("_", "-"): version for name, version in changes.items()}
    return replace(header, versions_of={**header.versions_of, **versions})


def test_libraries_that_figures_come_from_are_named_where_they_have_changed():
    known = with_versions(keras="3.14", tensorflow_cpu="2.20")
    assert changed_libraries(known, HEADER) == (
        "this search was begun with tensorflow-cpu 2.20, now 2.21; keras 3.14, now 3.15: trials of "
        "before and after may differ in more than their parameters; --fresh trains all with the "
        "same"
    )


@pytest.mark.parametrize(("engine", "is_told"), [("optuna:tpe", True), ("gridsearchcv", False)])
def test_of_the_engines_libraries_only_its_own_is_named(engine, is_told):
    known = with_versions(optuna="4.9", mlflow="3.16")
    assert ("optuna 4.9" in changed_libraries(known, replace(HEADER, engine=engine))) == is_told


def test_what_an_earlier_release_did_not_write_is_no_change():
    assert changed_libraries(replace(HEADER, versions_of={}), HEADER) == ""
    assert "numpy" in search_header(RECORD, {}).versions_of
