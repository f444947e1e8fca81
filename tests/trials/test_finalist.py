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
from tuning.trials.jobs import FinalistJob, Stopped
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
