"""What a store is shown of a search's end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.tracking.writer import searches
from tuning.ledger.model_file import sha256_of
from tuning.tracking.base import SearchRecord
from tuning.tracking.memory import MemoryTracker
from tuning.tracking.writer.project import Projection


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_model_that_is_not_the_one_evaluated_is_no_model_of_the_winner(tmp_path, is_whole):
    files = searches.search(tmp_path)
    model = files.folder / "winner.keras"
    model.write_bytes(b"a model")
    winner = searches.winner()
    evaluation = replace(winner.evaluation, model=str(model), sha256=sha256_of(model))
    files.write_winner(replace(winner, evaluation=evaluation))
    searches.end(files)
    if not is_whole:
        model.write_bytes(b"garbage")

    tracker = MemoryTracker()
    tracker.begin(SearchRecord.from_header(files.require_header()))
    projection = Projection(files.folder, tmp_path, "memory", "memory")
    projection._show_end(tracker)
    kept = [name for names in tracker.files.values() for name in names]
    assert ("winner.keras" in kept) is is_whole
