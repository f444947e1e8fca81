"""The tags of our runs in MLflow, and the data set's fields: every name is written down here.

To add a tag to the runs of trials, add a line to `trial_tags`; to that of a search, one to
`search_tags`. A tag whose value is None or "" is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from tuning.ledger.placement import PlanRecord
from tuning.ledger.winner import Evaluation, WinnerRecord
from tuning.schema import Json
from tuning.study.info import DatasetFacts
from tuning.tracking.base import Progress, SearchRecord
from tuning.tracking.mlflow_text import text_of, texts, without_secrets
from tuning.trial import Proposal, TrialResult

# MLflow's own tags: mlflow/utils/mlflow_tags.py and mlflow.org/docs/latest/tracking.
NOTE = "mlflow.note.content"
PARENT_RUN = "mlflow.parentRunId"

ATTEMPT_ID = "attempt_id"
"""Names one fit for ever; it is looked for before a run is made."""

SUPERSEDED_BY = "superseded_by"
"""On a deleted run: the attempt whose result counts in place of this one's."""


def attempt_id(search: str, kind: str, *ranks: int | str) -> str:
    """Return what names one fit for ever."""
    return "/".join([search, kind, *map(str, ranks)])


def trial_tags(search: SearchRecord, proposal: Proposal, result: TrialResult) -> dict[str, str]:
    """Return the tags of a trial's run: to add one, add a line."""
    return _as_tags(
        {
            **search.tags,
            "kind": "trial",
            "search": search.id,
            "study": search.study,
            "engine": search.engine,
            "trial": result.number,
            "attempt": result.attempt,
            "status": result.status.value,
            "seed": result.seed,
            "device": result.slot,
            "epochs_asked": proposal.epochs,
            "batch_size_used": result.batch_size,  # where memory made it less than the parameter
            "data_digest": result.data_digest,  # where arguments of the data are searched
            "parent_trial": proposal.parent,
            "copied_from": result.copied_from,
            "from_search": result.from_search,  # whose result it is, where it was told
            "error": result.error,
            "notes": "; ".join(result.notices),
            "diagnosis": _diagnosis(result),
        }
    )


def search_tags(search: SearchRecord) -> dict[str, str]:
    """Return the tags of a search's run: to add one, add a line."""
    return _as_tags(
        {
            **search.tags,
            "kind": "search",
            "search": search.id,
            "study": search.study,
            "engine": search.engine,
            "objective": f"{search.direction} {search.metric}",
            "mlflow.source.name": f"studies/{search.study}",
            "mlflow.source.type": "LOCAL",
            "mlflow.source.git.commit": search.tags.get("git_commit"),
        }
    )


def progress_tags(search: SearchRecord, now: Progress) -> dict[str, str]:
    """Return the description at the head of a search's page, and its best trial."""
    counts = ", ".join(f"{count} {name}" for name, count in now.counts.items() if count)
    trials = "1 trial" if now.finished == 1 else f"{now.finished} trials"
    text = f"**{search.engine}** on study `{search.study}`: {trials} ({counts})."
    if now.best is None:
        return texts({NOTE: text})
    best = f"Best {search.metric}: **{now.best.value:.4g}** (trial {now.best.number})."
    return texts({NOTE: f"{text} {best}", "best_trial": now.best.number})


def search_name(search: SearchRecord) -> str:
    """Return the name of a search's run: engine, budget, validation, and the end of its id."""
    plan = search.params
    words = [search.engine]
    if "study.trials" in plan:
        words.append(f"{plan['study.trials']} trials")
    if "study.epochs" in plan:
        words.append(f"{plan['study.epochs']} epochs")
    if "study.cv" in plan:
        words.append(f"cv {plan['study.cv']}")
    return f"{', '.join(words)} ({search.id.rsplit('-', 1)[-1]})"


def experiment_note(search: SearchRecord) -> str:
    """Return the description of a study's experiment."""
    text = f"Study `{search.study}`: {search.direction} {search.metric}"
    data = search.dataset
    if data is not None and data.name:
        text += f" on {data.name} ({data.rows:,} rows)"
    return f"{text}. A run is a search; below it are its trials, and its finalists on fresh seeds."


def winner_note(search: SearchRecord, winner: WinnerRecord) -> str:
    """Return what a search's page says of its winner: scores beside the baselines, parameters."""
    standing = winner.standing
    text = f"**Winner: trial {winner.number}**"
    if standing.mean is not None:
        n_seeds = len(standing.values)
        text += f", {search.metric} **{standing.mean:.4g}** ± {standing.std:.2g}"
        text += f" on {n_seeds} fresh seeds" if n_seeds > 1 else " on a fresh seed"
    params = ", ".join(f"`{name}={value}`" for name, value in winner.params.items())
    return f"{text}: {params}\n\n{_score_table(winner.evaluation)}".strip()


def _score_table(evaluation: Evaluation) -> str:
    rows = {"winner": evaluation.test, **evaluation.baseline}
    metrics = list(evaluation.test)
    if not metrics:
        return ""
    lines = [
        f"| on the test set | {' | '.join(metrics)} |",
        f"|---|{'--:|' * len(metrics)}",
    ]
    for name, scores in rows.items():
        cells = [f"{scores[metric]:.4g}" if metric in scores else "" for metric in metrics]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def winner_tags(winner: WinnerRecord) -> dict[str, str]:
    """Return the winner's parameters, the number of its trial, and what its reader should know."""
    params = {f"winner.{name}": value for name, value in winner.params.items()}
    tags: dict[str, object] = {**params, "winner_trial": winner.number}
    no_better = winner.evaluation.no_better
    if no_better is not None:  # under `winner.`, so that it goes when another winner comes
        tags["winner.no_better_than"] = no_better.always or no_better.baseline
    if winner.evaluation.not_scored:
        tags["winner.not_scored"] = winner.evaluation.not_scored
    if winner.evaluation.prepared:
        tags["winner.prepared"] = winner.evaluation.prepared
    if winner.evaluation.imports:
        tags["winner.imports"] = "; ".join(winner.evaluation.imports)
    return texts(tags)


def front_tags(front: Json) -> dict[str, str]:
    """Return the trials of the Pareto front of several objectives, e.g. `3, 7 (knee), 12`."""
    numbers = [member["number"] for member in front["front"]]
    words = [f"{number} (knee)" if number == front["knee"] else str(number) for number in numbers]
    share = front["hypervolume"]
    return _as_tags(
        {
            "pareto": ", ".join(words),
            "pareto_knee": front["knee"],
            "pareto_hypervolume": None if share is None else f"{share:.4f}",
        }
    )


def plan_tags(plan: PlanRecord) -> dict[str, str]:
    """Return where the trials of a search ran, and the timings that said so."""
    return _as_tags(
        {
            "placement": plan.words,
            "placement.devices": plan.mode,
            "placement.timings": "; ".join(row.words for row in plan.rows),
        }
    )


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


def _as_tags(values: Mapping[str, object]) -> dict[str, str]:
    return texts({name: value for name, value in values.items() if value not in (None, "")})
