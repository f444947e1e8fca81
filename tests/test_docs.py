"""What the documents promise of the tree is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.test_architecture import ROOMS

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
TOP_ROOMS = [room for room in ROOMS if "/" not in room]


@pytest.mark.parametrize("room", TOP_ROOMS)
def test_the_architecture_names_each_room_and_draws_it(room):
    assert f"| `{room}/` |" in ARCHITECTURE
    assert f">{room}</text>" in (ROOT / "docs" / "rooms.svg").read_text(encoding="utf-8")


def test_the_files_to_begin_with_are_there():
    rows = re.findall(r"^\| `(\w+)/` \|.*\| (.+) \|$", ARCHITECTURE, flags=re.MULTILINE)
    assert [room for room, _ in rows] == TOP_ROOMS
    missing = [
        f"{room}/{file}"
        for room, files in rows
        for file in re.findall(r"`([\w/]+\.py)`", files)
        if not (ROOT / "tuning" / room / file).exists()
    ]
    assert missing == []


def test_the_files_that_a_contributor_is_sent_to_are_there():
    named = set(re.findall(r"`((?:tuning|tests|docs)/[\w./]+)`", CONTRIBUTING))
    assert len(named) > 10
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []
