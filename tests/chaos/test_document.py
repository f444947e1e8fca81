"""The document says what the records say."""

from __future__ import annotations

import pytest

from tests.chaos.document import BEGIN, CONTROLS, END, FAULTS, tables, write_document
from tests.chaos.records import Record, read_records


def record(**changes):
    fields = {
        "campaign": "drivers",
        "rule": "F3 F10",
        "what": "kills",
        "command": "python -m tests.chaos drivers",
        "injected": 6,
        "recover_s": (1.0, 2.0, 9.0),
        "commit": "abc",
        **changes,
    }
    return Record(**fields)


def test_lives_of_a_campaign_are_one_row_under_each_of_its_rules():
    text = tables([record(), record(injected=4, doubled=("one",))])
    row = "|  | kills | 10 | 0 | 1 | 0 | 2.0, worst 9.0 | `python -m tests.chaos drivers` |"
    assert text.count(row) == 2
    assert "- F3 F10, `drivers`, doubled: one" in text


def test_every_fault_and_control_has_a_row_also_where_nothing_was_measured():
    text = tables([])
    for rule in (*FAULTS, *CONTROLS):
        assert f"| **{rule}** |" in text
    assert "| | the queue is not built | 0 |" in text
    assert "| | not measured | 0 |" in text


def test_folders_of_a_machine_are_not_told():
    text = tables([record(other=("lost in /some/where/chaos-ab_1/drivers/home: x",))])
    assert "lost in …/drivers/home: x" in text


def test_only_what_is_between_the_markers_is_replaced(tmp_path):
    path = tmp_path / "reliability.md"
    path.write_text(f"before\n{BEGIN}\nobsolete\n{END}\nafter\n")
    write_document([record()], path)
    text = path.read_text()
    assert text.startswith(f"before\n{BEGIN}\nMeasured on ")
    assert text.endswith(f"{END}\nafter\n")
    assert "obsolete" not in text
    path.write_text("no markers")
    with pytest.raises(ValueError, match="has no <!-- chaos"):
        write_document([], path)


def test_records_come_back_from_their_file(tmp_path):
    path = tmp_path / "records.jsonl"
    for each in (first := record(lost=("a",)), second := record()):
        each.append_to(path)
    assert list(read_records(path)) == [first, second]
    assert not first.is_well
    assert second.is_well
