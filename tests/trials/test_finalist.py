"""Finalists: parameters trained again on fresh seeds."""

from __future__ import annotations

from dataclasses import replace

import cloudpickle
import numpy as np
import pytest

from tests.trials.small_study import ScriptedContext, study
from tuning.ledger.records import read_record
from tuning.ledger.winner import FinalistOutcome
from tuning.study.study import derive_seed
from tuning.trainer.forward import predict
from tuning.trial import Answer
from tuning.trials.checkpoint import load_checkpoint
from tuning.trials.finalist import train_finalist
from tuning.trials.folds import prepare_fit
from tuning.trials.jobs import ALL_ROWS, FinalistJob, Stopped
from tuning.trials.worker_study import load_worker_study


def finalist(folder, defined, index=0, lr=0.05):
    return FinalistJob(
        source=cloudpickle.dumps(defined),
        overrides={},
        number=7,
        params={"lr": lr},
        epochs=defined.epochs,
        index=index,
        file=folder / f"{index}.json",
    )


def value_of(job):
    return train_finalist(job, ScriptedContext()).value


def test_a_finalist_keeps_its_outcome_beside_its_weights(tmp_path):
    job = finalist(tmp_path, study())
    outcome = train_finalist(job, ScriptedContext())
    assert outcome == read_record(FinalistOutcome, tmp_path / "0.json")
    assert (outcome.number, outcome.index, outcome.epochs) == (7, 0, 4)
    assert outcome.seed == derive_seed(1, "finalist", 0)

    worker_study = load_worker_study(job.source, {})
    fold = worker_study.fold(0)
    point = worker_study.study.split_params({"lr": 0.05})
    model = prepare_fit(worker_study, point, fold, epochs=4, seed=1).fit.model
    load_checkpoint(tmp_path / outcome.weights, model)
    errors = predict(model, fold.scoring.X)[:, 0] - fold.scoring.y
    assert float(np.sqrt(np.mean(errors**2))) == pytest.approx(outcome.value, rel=1e-5)


def test_a_finalist_is_the_same_on_the_same_seed_and_another_on_another(tmp_path):
    defined = study(fixed={"dropout": 0.2})
    first = value_of(finalist(tmp_path / "a", defined, index=0))
    again = value_of(finalist(tmp_path / "b", defined, index=0))
    other = value_of(finalist(tmp_path / "c", defined, index=1))
    assert first == again != other


def test_the_value_of_a_finalist_is_the_mean_of_its_folds_trained_alone(tmp_path):
    whole = finalist(tmp_path, study(cv=2))
    alone = [replace(whole, file=tmp_path / f"fold-{fold}.json", fold=fold) for fold in range(2)]
    values = [value_of(job) for job in alone]
    assert value_of(whole) == pytest.approx(np.mean(values), rel=1e-6)


def test_a_finalist_that_diverges_has_no_value(tmp_path):
    assert value_of(finalist(tmp_path, study(epochs=30), lr=1e30)) is None


def test_a_finalist_that_is_stopped_leaves_no_outcome(tmp_path):
    with pytest.raises(Stopped):
        train_finalist(finalist(tmp_path, study()), ScriptedContext(Answer.STOP))
    assert not (tmp_path / "0.json").exists()


@pytest.mark.parametrize("cv", [None, 2])
def test_a_finalist_that_is_stopped_goes_on_at_its_epoch_to_the_same_weights(tmp_path, cv):
    defined = study(fixed={"dropout": 0.2}, cv=cv)
    fold = None if cv is None else ALL_ROWS
    undisturbed = replace(finalist(tmp_path / "a", defined), fold=fold)
    outcome = train_finalist(undisturbed, ScriptedContext())

    stopped = replace(finalist(tmp_path / "b", defined), fold=fold)
    with pytest.raises(Stopped):
        train_finalist(stopped, ScriptedContext(Answer.STOP, at=1))
    context = ScriptedContext()
    again = train_finalist(stopped, context)
    assert [report.epoch for report in context.reports] == [3, 4]
    assert (again.value, again.epochs) == (outcome.value, outcome.epochs)
    theirs, ours = (np.load(tmp_path / name / outcome.weights) for name in ("a", "b"))
    assert all(np.array_equal(theirs[name], ours[name]) for name in theirs.files)
    assert sorted(path.name for path in (tmp_path / "b").glob("0.*")) == ["0.json", "0.npz"]


def test_what_was_kept_of_another_finalist_is_not_taken_up(tmp_path):
    first = replace(finalist(tmp_path, study()), digest="a")
    with pytest.raises(Stopped):
        train_finalist(first, ScriptedContext(Answer.STOP, at=1))
    context = ScriptedContext()
    train_finalist(replace(first, digest="b"), context)
    assert [report.epoch for report in context.reports] == [1, 2, 3, 4]


def test_a_finalist_that_is_stopped_at_its_last_epoch_has_ended(tmp_path):
    outcome = train_finalist(finalist(tmp_path, study()), ScriptedContext(Answer.STOP, at=3))
    assert outcome == read_record(FinalistOutcome, tmp_path / "0.json")
