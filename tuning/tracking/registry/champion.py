"""MLflow's registry: a study's winners as versions of one model, the best of them its champion.

    mlflow.pyfunc.load_model("models:/housing@champion")

A champion is followed only by a winner that is better beyond chance: by more than the larger of
the two spreads over fresh seeds. Winners of other data, of another objective or on other
validation rows cannot be compared, and leave it where it is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from tuning.errors import StudyError
from tuning.ledger.versions import differences, kind_of_values
from tuning.schema import WRONG_SHAPE, Json
from tuning.storage.durable import read_json
from tuning.tracking import mlflow_runs
from tuning.tracking.mlflow_internals import MODEL_VERSIONS
from tuning.tracking.mlflow_model import model_digest, shown_model
from tuning.tracking.mlflow_store import ensure_database
from tuning.winners.winner import Winner

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CHAMPION = "champion"
_TAG = "tuning.standing"
_MODEL = "tuning.model"  # of a version; what MLflow keeps itself does not come back with a search
_FORCE = "--force makes it the champion all the same"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """What decides between two winners; stands in a tag of a version.

    Attributes:
        search: `study/key`.
        mean, std: Of the objective over fresh seeds.
        n_seeds: How many they were.
        metric, direction: The objective.
        kind: What must be equal of two searches whose values are compared.
    """

    search: str
    mean: float
    std: float
    n_seeds: int
    metric: str
    direction: str
    kind: Json

    @classmethod
    def of(cls, winner: Winner) -> Self:
        """Return what is compared of a winner.

        Raises:
            StudyError: It has no mean.
        """
        standing = winner.record.standing
        if standing.mean is None or standing.std is None:
            raise StudyError(f"{winner.search}: the winner has no value on its fresh seeds")
        objective = winner.view.objective
        kind = {"data": winner.view.header.data.digest, **kind_of_values(winner.view.definition)}
        return cls(
            search=winner.search,
            mean=standing.mean,
            std=standing.std,
            n_seeds=len(standing.seeds),
            metric=objective.metric,
            direction=objective.direction,
            kind=json.loads(json.dumps(kind, default=str)),
        )

    @property
    def value_text(self) -> str:
        """The mean, with its spread where that is known."""
        spread = f" ± {self.std:.3g}" if self.n_seeds > 1 else ""
        return f"{self.mean:.6g}{spread}"

    def to_text(self) -> str:
        """Return it as a tag holds it."""
        return json.dumps(vars(self))

    @classmethod
    def from_text(cls, text: str | None) -> Self | None:
        """Return what a tag holds; None where it is none of ours."""
        try:
            return cls(**json.loads(text or ""))
        except WRONG_SHAPE:
            return None


@dataclass(frozen=True)
class Registered:
    """What came of it.

    Attributes:
        version: Of the model `name`.
        is_champion: Whether the alias stands at it now.
        reason: Why, in a sentence.
    """

    name: str
    version: int
    is_champion: bool
    reason: str


def register(winner: Winner, uri: str, *, force: bool = False) -> Registered:
    """Register a winner's model under its study's name; see the module for its champion.

    A winner that is registered already keeps its version.

    Args:
        winner: Whose search is in MLflow.
        uri: MLflow's.
        force: Make it the champion, whatever the present one is.

    Raises:
        StudyError: MLflow has not this winner's model.
    """
    contender = Contender.of(winner)
    ensure_database(uri)
    client = mlflow_runs.open_client(uri)
    logged = _logged(client, winner)

    name = winner.view.header.study
    champion = _champion(client, name)
    version = _version_of(client, name, logged)
    if version is None:
        _ensure_name(client, name)
        version = client.create_model_version(
            name,
            # Not "models:/…": MLflow looks it up in the store that the environment names.
            source=logged.artifact_location,
            run_id=logged.source_run_id,
            tags={
                "search": contender.search,
                contender.metric: contender.value_text,
                _TAG: contender.to_text(),
                _MODEL: logged.model_id,
            },
            description=winner.card,
            model_id=logged.model_id,
        )
        shown = json.dumps([{"name": name, "version": int(version.version)}])
        client.set_logged_model_tags(logged.model_id, {MODEL_VERSIONS: shown})

    number = int(version.version)
    moves, reason = _decided(contender, champion, number, force)
    if moves:
        client.set_registered_model_alias(name, CHAMPION, str(number))
    is_champion = moves or (champion is not None and int(champion.version) == number)
    return Registered(name, number, is_champion, reason)


def _decided(
    contender: Contender, champion: ModelVersion | None, number: int, force: bool
) -> tuple[bool, str]:
    """Return whether the alias moves, and why or why not."""
    if champion is None:
        return True, "there was none"
    if int(champion.version) == number:
        return False, "it was before"
    if force:
        return True, f"as you said; version {champion.version} was before"
    present = Contender.from_text(champion.tags.get(_TAG))
    if present is None:
        return False, (
            f"nothing is known of the champion's score, version {champion.version}: it was "
            f"registered by somebody else; {_FORCE}"
        )
    better, reason = beats(
        contender, present, called=f"version {champion.version} ({present.search})"
    )
    return better, reason if better else f"{reason}; {_FORCE}"


def beats(
    contender: Contender, champion: Contender, called: str = "the champion"
) -> tuple[bool, str]:
    """Return whether a winner is better than a champion beyond chance, and a sentence of it."""
    others = differences(champion.kind, contender.kind)
    if others:
        return False, f"it cannot be compared with {called}: {'; '.join(others)}"

    ours = f"{contender.metric} {contender.mean:.6g}"
    if min(contender.n_seeds, champion.n_seeds) < 2:
        return False, (
            f"on one fresh seed no spread is known: {ours}, {called} has {champion.mean:.6g}"
        )
    ours = f"{contender.metric} {contender.value_text}"
    theirs = f"{champion.value_text} of {called}"
    gain = contender.mean - champion.mean
    if contender.direction == "minimize":
        gain = -gain
    if gain > max(contender.std, champion.std):
        return True, f"{ours} beats {theirs}"
    return False, f"{ours} does not beat {theirs} beyond the spread"


def _logged(client: MlflowClient, winner: Winner) -> LoggedModel:
    place: Any = read_json(winner.view.folder / "mlflow.json") or {}
    logged = None
    if place.get("run_id"):
        logged = shown_model(
            client, place["experiment_id"], place["run_id"], model_digest(Path(winner.path))
        )
    if logged is None:
        raise StudyError(
            f"MLflow has not the model of {winner.search}; write it first: "
            f"python -m tuning sync {winner.search}"
        )
    return logged


def _champion(client: MlflowClient, name: str) -> ModelVersion | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_model_version_by_alias(name, CHAMPION)
    except MlflowException as error:
        # There is no model of this name, or it has no such alias.
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def _version_of(client: MlflowClient, name: str, logged: LoggedModel) -> ModelVersion | None:
    versions = client.search_model_versions(f"name = '{name}'")
    return next((each for each in versions if each.tags.get(_MODEL) == logged.model_id), None)


def _ensure_name(client: MlflowClient, name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name, description=f"Winners of the study {name}")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
