"""A name that comes from a user becomes one part of a path, in the folder it is meant for."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tuning.cli.new import check_name
from tuning.errors import StudyError
from tuning.executors.devices.leases import file_name
from tuning.ledger.begin import search_key
from tuning.study.study_file import NAME, find_study

WORDS = st.one_of(
    st.text(max_size=300),
    st.sampled_from(["..", ".", "", "/", "../..", "a/../..", "\0", "a\nb", "C:\\x", "é" * 200]),
)
VALUES = st.one_of(WORDS, st.integers(), st.floats(), st.booleans(), st.none(), st.lists(WORDS))


def is_one_part(name: str) -> bool:
    """Whether a name is that of a file in any folder, on any Unix."""
    within = Path("/root") / name
    return (
        within.parent == Path("/root")
        and name not in ("", ".", "..")
        and not {"/", "\0", "\n"} & set(name)
        and len(name.encode()) <= 250
    )


@settings(max_examples=200, deadline=None)
@given(variant=st.dictionaries(st.sampled_from(["cv", "data", "split", "fixed"]), VALUES))
def test_a_searchs_folder_is_one_part_whatever_was_varied(variant):
    assert is_one_part(search_key("optuna:tpe", "asha", variant))


@settings(max_examples=200, deadline=None)
@given(name=WORDS.filter(bool))
def test_a_devices_lease_is_one_part_whatever_its_name(name):
    assert is_one_part(f"device-{file_name(name)}")


@settings(max_examples=200, deadline=None)
@given(name=WORDS)
def test_a_name_of_a_study_is_one_part_or_refused(name):
    try:
        check_name(name)
    except StudyError:
        return
    assert is_one_part(name)
    assert NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/passwd", "..", "", "a\n", "A", "-x", "é"])
def test_a_study_is_looked_for_in_its_folder_alone(tmp_path, name):
    (tmp_path / "x.py").write_text("")
    (tmp_path / "studies").mkdir()
    with pytest.raises(StudyError, match="no file"):
        find_study(name, tmp_path)
