"""The tags of our runs in MLflow, and the data set's fields: every name is written down here.

To add a tag to the runs of trials, add a line to `_TRIAL_TAGS`; to that of a search, one to
`_SEARCH_TAGS`. A tag whose value is None or "" is left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tuning.ledger.records import WinnerRecord
from tuning.study.info import DatasetFacts
from tuning.tracking.base import Progress, SearchRecord
from tuning.tracking.mlflow_text import text_of, texts, without_secrets
from tuning.trial import Proposal, TrialResult

# MLflow's own tags: mlflow/utils/mlflow_tags.py and mlflow.org/docs/latest/tracking.
NOTE = "mlflow.note.content"
PARENT_RUN = "mlflow.parentRunId"

ATTEMPT_ID = "attempt_id"
"""Names one fit for ever; it is looked for before a run is made."""


@dataclass(frozen=True)
class EndedTrial:
    """What the tags of a trial are read from."""

    search: SearchRecord
    proposal: Proposal
    result: TrialResult


TrialTag: TypeAlias = Callable[[EndedTrial], object]
SearchTag: TypeAlias = Callable[[SearchRecord], object]

_TRIAL_TAGS: dict[str, TrialTag] = {
    "kind": lambda trial: "trial",
    "search": lambda trial: trial.search.id,
    "study": lambda trial: trial.search.study,
    "engine": lambda trial: trial.search.engine,
    "trial": lambda trial: trial.result.number,
    "attempt": lambda trial: trial.result.attempt,
    "status": lambda trial: trial.result.status.value,
    "seed": lambda trial: trial.result.seed,
    "device": lambda trial: trial.result.slot,
    "epochs_asked": lambda trial: trial.proposal.epochs,
    "parent_trial": lambda trial: trial.proposal.parent,
    "copied_from": lambda trial: trial.result.copied_from,
    "error": lambda trial: trial.result.error,
    "notes": lambda trial: "; ".join(trial.result.notices),
    "diagnosis": lambda trial: _diagnosis(trial.result),
}

_SEARCH_TAGS: dict[str, SearchTag] = {
    "kind": lambda search: "search",
    "search": lambda search: search.id,
    "study": lambda search: search.study,
    "engine": lambda search: search.engine,
    "objective": lambda search: f"{search.direction} {search.metric}",
    "mlflow.source.name": lambda search: f"studies/{search.study}",
    "mlflow.source.type": lambda search: "LOCAL",
    "mlflow.source.git.commit": lambda search: search.tags.get("git_commit"),
}


def attempt_id(search: str, kind: str, *ranks: int) -> str:
    """Return what names one fit for ever."""
    return "/".join([search, kind, *map(str, ranks)])


def trial_tags(search: SearchRecord, proposal: Proposal, result: TrialResult) -> dict[str, str]:
    """Return the tags of a trial's run."""
    trial = EndedTrial(search, proposal, result)
    own = {name: value_of(trial) for name, value_of in _TRIAL_TAGS.items()}
    return texts(_without_empty({**search.tags, **own}))


def search_tags(search: SearchRecord) -> dict[str, str]:
    """Return the tags of a search's run."""
    own = {name: value_of(search) for name, value_of in _SEARCH_TAGS.items()}
    return texts(_without_empty({**search.tags, **own}))


def progress_tags(search: SearchRecord, now: Progress) -> dict[str, str]:
    """Return the description at the head of a search's page, and its best trial."""
    counts = ", ".join(f"{count} {name}" for name, count in now.counts.items() if count)
    text = f"**{search.engine}** on study `{search.study}`: {now.finished} trials ({counts})."
    if now.best is None:
        return texts({NOTE: text})
    best = f"Best {search.metric}: **{now.best.value:.4g}** (trial {now.best.number})."
    return texts({NOTE: f"{text} {best}", "best_trial": now.best.number})


def winner_tags(winner: WinnerRecord) -> dict[str, str]:
    """Return the winner's parameters and the number of its trial."""
    params = {f"winner.{name}": value for name, value in winner.params.items()}
    return texts({**params, "winner_trial": winner.number})


def dataset_texts(dataset: DatasetFacts) -> dict[str, str]:
    """Return the fields of MLflow's `Dataset` entity."""
    name = dataset.name or "data"
    source = dataset.source or name
    is_url = source.startswith("http")
    columns = [{"name": name, "type": "double", "required": True} for name in dataset.features]
    profile = {
        "rows": dataset.rows,
        "train": dataset.train,
        "validation": dataset.validation,
        "test": dataset.test,
        "input_shape": dataset.input_shape,
        "task": dataset.task,
        "classes": dataset.classes,
        "unit": dataset.unit,
    }
    return {
        "name": text_of(name, 500),
        "digest": dataset.digest[:16] or "unknown",
        "source_type": "http" if source.startswith(("http://", "https://")) else "local",
        "source": json.dumps({"url" if is_url else "uri": without_secrets(source)}),
        "schema": json.dumps({"mlflow_colspec": columns} if columns else {}),
        "profile": json.dumps({fact: value for fact, value in profile.items() if value}),
    }


def _diagnosis(result: TrialResult) -> str:
    return "; ".join(f"{finding.name}: {finding.words}" for finding in result.diagnosis)


def _without_empty(tags: Mapping[str, object]) -> dict[str, object]:
    return {name: value for name, value in tags.items() if value not in (None, "")}
