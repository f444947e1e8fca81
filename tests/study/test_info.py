"""`StudyInfo`: a study without its functions, as the driver gets it."""

from __future__ import annotations

import json
import pickle
from dataclasses import fields, replace

import numpy as np
import pytest

from tuning.data.dataset import Dataset
from tuning.data.parts import split
from tuning.space.space import Int
from tuning.study.engine_spec import engine_specs
from tuning.study.info import DatasetFacts, dataset_facts, describe
from tuning.study.objective import Maximize
from tuning.study.study import Study

LABELS = np.array([0, 1, 1, 1] * 6)


def build_model(n=1):
    return None


def data():
    return Dataset(
        "flowers", np.zeros((24, 3)), LABELS, "binary", ("a", "b"), unit="", source="a garden"
    )


STUDY = Study(
    name="small",
    builder=build_model,
    data=data,
    objective=Maximize("val_auc"),
    space={"n": Int(1, 9)},
    epochs=7,
    cv=2,
)
PARTS = split(data(), seed=0)
RECORD = describe(
    STUDY, dataset_facts(data(), PARTS), file="small.py", notices=("an axis was cut",)
)


def test_a_record_has_the_studys_fields_and_where_it_comes_from():
    shared = {f.name for f in fields(Study)} & {f.name for f in fields(RECORD)} - {"data"}
    assert {n: getattr(RECORD, n) for n in shared} == {n: getattr(STUDY, n) for n in shared}
    assert (RECORD.study_file, RECORD.notices) == ("small.py", ("an axis was cut",))
    assert RECORD.doc == __doc__.splitlines()[0]


def test_a_record_comes_through_a_pipe_without_any_function():
    sent = pickle.dumps(RECORD)
    assert pickle.loads(sent) == RECORD  # noqa: S301 - made above
    assert b"build_model" not in sent


def test_the_definition_is_the_studys_with_the_datas_digest():
    assert RECORD.definition == {**STUDY.definition(), "data_digest": data().digest}
    assert RECORD.hash == STUDY.hash


def test_the_facts_of_the_data_are_plain():
    assert RECORD.data.to_json() == {
        "name": "flowers",
        "task": "binary",
        "digest": data().digest,
        "rows": 24,
        "features": [],
        "unit": "",
        "classes": ["a", "b"],
        "source": "a garden",
        "input_shape": [3],
        "majority": 0.75,
        "train": len(PARTS.train),
        "validation": len(PARTS.validation),
        "test": len(PARTS.test),
    }


def test_the_facts_of_the_data_come_through_a_file():
    stored = json.loads(json.dumps(RECORD.data.to_json()))
    assert DatasetFacts.from_json(stored) == RECORD.data


def test_facts_that_an_older_file_does_not_hold_have_their_defaults():
    facts = DatasetFacts.from_json({"name": "houses", "digest": "ab", "later": 1})
    assert facts == DatasetFacts(name="houses", digest="ab")


def test_a_regression_has_no_majority():
    table = replace(data(), y=np.zeros(24), task="regression", classes=())
    assert dataset_facts(table).majority == 0.0


def test_workers_tell_another_definition_and_other_data_by_one_word():
    other_data = replace(data(), X=np.ones((24, 3)))
    longer = describe(STUDY.with_(epochs=8), dataset_facts(data()))
    elsewhere = describe(STUDY, dataset_facts(other_data))
    more_trials = describe(STUDY.with_(trials=99), dataset_facts(data()))
    assert len({RECORD.pinned, longer.pinned, elsewhere.pinned}) == 3
    assert more_trials.pinned == RECORD.pinned


@pytest.mark.parametrize("engine", engine_specs())
def test_only_engines_that_do_not_learn_are_asked_ahead(engine):
    learns = engine_specs()[engine].learns  # test_catalog.py has the rows proved
    assert replace(RECORD, engine=engine).open_per_slot == (1 if learns else 2)


def test_a_sequence_of_classes_has_the_majority_of_its_steps():
    data = Dataset("tags", np.zeros((2, 3, 1)), np.array([[0, 1, 1], [2, 1, 1]]), "multiclass")
    assert dataset_facts(data).majority == pytest.approx(4 / 6)
