"""MLflow's registry: versions of a study's model, and a champion that only a better one follows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.tracking.writer.searches import winner
from tests.winners.test_winner import won
from tuning.cli.main import main
from tuning.storage.durable import write_json
from tuning.tracking.base import SearchRecord
from tuning.tracking.mlflow_store import MLflowPlace, ensure_database
from tuning.tracking.mlflow_tracker import MlflowTracker
from tuning.tracking.registry.champion import Contender, beats

CHAMPION = Contender(
    search="toy/a",
    mean=0.5,
    std=0.02,
    n_seeds=3,
    metric="val_rmse",
    direction="minimize",
    kind={"data": "0123", "seed": 1},
)


def test_a_winner_that_is_better_by_more_than_both_spreads_beats_the_champion():
    better = replace(CHAMPION, mean=0.47, std=0.01)
    assert beats(better, CHAMPION) == (
        True,
        "val_rmse 0.47 ± 0.01 beats 0.5 ± 0.02 of the champion",
    )
    assert not beats(replace(better, mean=0.485), CHAMPION)[0]
    assert not beats(replace(better, std=0.04), CHAMPION)[0]


def test_where_more_is_better_a_smaller_value_does_not_beat():
    champion = replace(CHAMPION, direction="maximize")
    assert not beats(replace(champion, mean=0.4), champion)[0]
    assert beats(replace(champion, mean=0.6), champion)[0]


def test_one_seed_tells_no_spread():
    better = replace(CHAMPION, mean=0.1, n_seeds=1)
    assert beats(better, CHAMPION) == (
        False,
        "on one fresh seed no spread is known: val_rmse 0.1, the champion has 0.5",
    )


@pytest.mark.parametrize("changed", [{"data": "4567"}, {"seed": 2}, {"cv": 5}])
def test_other_data_or_validation_rows_are_not_compared(changed):
    other = replace(CHAMPION, mean=0.1, kind={**CHAMPION.kind, **changed})
    is_better, reason = beats(other, CHAMPION)
    assert not is_better
    assert reason.startswith("it cannot be compared with the champion: ")
    assert next(iter(changed)) in reason


def shown(home, uri, mean, engine="optuna:tpe"):
    """A search of `toy` whose winner has this mean, and is in MLflow."""
    files = won(home, engine=engine)
    standing = replace(
        winner(1).standing,
        seeds=(1, 2, 3),
        weights=("0.npz",) * 3,
        values=(mean - 0.01, mean, mean + 0.01),
    )
    files.write_winner(replace(files.winner, standing=standing))
    tracker = MlflowTracker(uri, home)
    tracker.begin(SearchRecord.from_header(files.require_header()))
    tracker.record_winner(files.winner, files.folder / "winner.keras")
    place = MLflowPlace(
        tracking_uri=uri, experiment_id=tracker.experiment_id, run_id=tracker.run_id
    )
    write_json(files.folder / "mlflow.json", place.to_json())
    tracker.close()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*type hint")  # MLflow's own, of its own classes
def test_the_champion_moves_to_a_better_winner_alone(tmp_path, monkeypatch, capsys):
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    ensure_database(uri)
    client = MlflowClient(uri, registry_uri=uri)

    def exported(name, *options):
        words = ["export", f"toy/{name}", "--to", "registry", "--home", str(tmp_path)]
        assert main([*words, *options]) == 0
        return capsys.readouterr().out

    def champion():
        return int(client.get_model_version_by_alias("toy", "champion").version)

    shown(tmp_path, uri, 0.5)
    assert "version 1 of toy\nit is the champion: there was none" in exported("optuna-tpe")
    assert "version 1 of toy\nit is the champion: it was before" in exported("optuna-tpe")
    shown(tmp_path, uri, 0.495, "optuna:random")
    said = exported("optuna-random")
    assert "version 2 of toy\nit is not the champion: val_rmse 0.495 ± 0.01 does not beat" in said
    assert "0.5 ± 0.01 of version 1 (toy/optuna-tpe) beyond the spread; --force makes" in said
    assert champion() == 1
    tags = client.get_model_version("toy", "1").tags
    assert (tags["search"], tags["val_rmse"]) == ("toy/optuna-tpe", "0.5 ± 0.01")
    shown(tmp_path, uri, 0.4, "optuna:qmc")
    assert "version 3 of toy\nit is the champion" in exported("optuna-qmc")
    assert champion() == 3
    assert "as you said; version 3 was before" in exported("optuna-random", "--force")
    assert champion() == 2

    import mlflow

    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    loaded = mlflow.pyfunc.load_model("models:/toy@champion")
    np.testing.assert_allclose(loaded.predict(np.array([[1.0, 10.0]])).ravel(), [11.0])


@pytest.mark.slow
def test_a_winner_that_is_not_in_mlflow_says_what_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    won(tmp_path)
    words = ["export", "toy", "--to", "registry", "--home", str(tmp_path)]
    assert main(words) == 2
    assert "write it first: python -m tuning sync toy/optuna-tpe" in capsys.readouterr().err


def test_force_is_of_the_registry_alone(tmp_path, capsys):
    won(tmp_path)
    words = ["export", "toy", "--to", str(tmp_path / "x"), "--force", "--home", str(tmp_path)]
    assert main(words) == 2
    assert "--force is of --to registry" in capsys.readouterr().err
