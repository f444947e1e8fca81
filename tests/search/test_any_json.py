"""Whatever a file of ours holds, its reader gives a value, or says in our words what is wrong."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.ledger.test_records import RECORDS
from tests.patience import UNHURRIED
from tests.search.scripted import RECORD, result_of
from tests.simulation.recorded import manifest
from tuning.bench.runs import BenchRun
from tuning.data.kinds.image_decoding import _contents_seen
from tuning.errors import StorageError, StudyError
from tuning.ledger.digests import ask_digest
from tuning.ledger.known import KnownRecord
from tuning.ledger.records import SearchHeader, read_record
from tuning.ledger.results import read_result, read_test_score
from tuning.ledger.search import SearchFiles
from tuning.search.lr_bounds import _remembered, kept_tests
from tuning.simulation.recording import load_recording
from tuning.space.space import Space
from tuning.storage.durable import read_json
from tuning.trial import Proposal
from tuning.trials.earlier_attempts import folds_of_earlier_attempts
from tuning.trials.saved_model import _scaler_beside
from tuning.trials.verdict.decision import threshold_of

KINDS = sorted({type(record) for record in RECORDS} | {KnownRecord, BenchRun}, key=str)
ASKED = Proposal(0, {"x": 7}, 2)
TRIAL = "trials/00000"
WHOLE = {
    f"{TRIAL}/spec.json": {**ASKED.to_json(), "digest": ask_digest(ASKED.to_json())},
    f"{TRIAL}/result.json": result_of(ASKED).to_json(),
    "search.json": RECORDS[0].to_json(),
    "recording.json": {},
}

NUMBERS = st.integers() | st.floats() | st.just(10**400)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


def whole_ones() -> list[dict]:
    recording = manifest(RECORD.space).to_json()
    return [*(record.to_json() for record in RECORDS), *WHOLE.values(), recording]


@st.composite
def nearly_whole(draw) -> object:
    """A file of ours in which something was put in the place of something else, however deep."""
    stored = json.loads(json.dumps(draw(st.sampled_from(whole_ones())), default=str))
    place = stored
    while isinstance(place, dict | list) and place:
        key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else [0]))
        if not isinstance(place[key], dict | list) or draw(st.booleans()):
            place[key] = draw(ANYTHING)
            break
        place = place[key]
    return stored


CONTENTS = (
    st.binary(max_size=64)
    | ANYTHING.map(lambda value: json.dumps(value).encode())
    | nearly_whole().map(lambda value: json.dumps(value).encode())
)


def read_everything(folder, content: bytes) -> None:
    """Give one content to every reader; each may refuse it, in our own words."""
    files = SearchFiles(folder, on_damage=lambda error: None)
    trial = folder / TRIAL

    def give(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def refused(read, *arguments):
        with suppress(StudyError, StorageError):
            read(*arguments)

    path = give(folder / "record.json")
    for kind in KINDS:
        refused(read_record, kind, path)
    read_json(path)
    refused(load_recording, path)

    give(trial / "spec.json")
    refused(files.proposal, 0, RECORD.space)
    refused(files.known_proposal, 0, RECORD.space)
    refused(list, files.proposals(RECORD.space))
    give(trial / "result.json")
    refused(read_result, trial)
    give(trial / "test.json")
    refused(read_test_score, trial)
    give(trial / "attempt-1" / "fold-0.json")
    refused(folds_of_earlier_attempts, trial)

    give(folder / "search.json")
    refused(lambda: files.require_header().spaces)
    give(folder / "intervals.json")
    refused(_remembered, folder)
    give(folder / "artifacts" / "lr_range_lr.json")
    refused(kept_tests, folder)
    for name, read in (("threshold", threshold_of), ("preprocessing", _scaler_beside)):
        give(folder / f"winner.{name}.json")
        refused(read, folder / "winner.keras")
    give(folder / "images.json")
    _contents_seen(folder / "images.json")


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, *UNHURRIED],
)
@given(content=CONTENTS)
def test_any_content_is_read_or_refused_in_words(tmp_path, content):
    read_everything(tmp_path, content)


@pytest.mark.slow
@settings(
    max_examples=2000,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, *UNHURRIED],
)
@given(content=CONTENTS)
def test_no_content_at_all_ends_in_a_traceback(tmp_path, content):
    read_everything(tmp_path, content)


@settings(max_examples=100, deadline=None)
@given(stored=ANYTHING)
def test_any_json_is_a_space_or_a_fault(stored):
    with suppress(StudyError):
        assert Space.from_json({"x": stored}).domains.keys() == {"x"}


@settings(max_examples=50, deadline=None)
@given(text=st.text())
def test_any_text_in_a_definition_is_a_space_or_a_fault(text):
    header = SearchHeader(
        study="s",
        engine="e",
        objective=RECORD.objective,
        versions=({"space": {"x": text}},),
    )
    with suppress(StudyError):
        assert header.space.domains.keys() == {"x"}
