"""A winner's card: what it is, what it was made of, how good it is, and what it is not for."""

from __future__ import annotations

from collections.abc import Iterator

from tuning.errors import StudyError
from tuning.ledger.view.search_view import SearchView
from tuning.ledger.winner import WinnerRecord
from tuning.storage.secrets import without_secrets

_FEW = 100
"""Rows of a test set below which the card warns of its scores."""


def card_of(view: SearchView) -> str:
    """Return the card in Markdown.

    Raises:
        StudyError: The search has no winner.
    """
    if view.winner is None:
        raise StudyError(f"{view.name} has no winner")
    parts = (
        [f"# {view.header.study}: the winner of {view.name}"],
        _use(view),
        _data(view),
        _search(view, view.winner),
        _scores(view, view.winner),
        _limits(view, view.winner),
    )
    return without_secrets("\n\n".join("\n".join(part) for part in parts) + "\n")


def _use(view: SearchView) -> Iterator[str]:
    yield "## Use"
    yield ""
    yield "```python"
    yield "import tuning"
    yield ""
    yield f'winner = tuning.load_winner("{view.name}")'
    yield "winner.predict(rows)"
    yield "```"


def _data(view: SearchView) -> Iterator[str]:
    data = view.header.data
    yield "## Data"
    yield ""
    yield f"- {data.name}: {data.rows} rows, task {data.task}"
    yield f"- {data.train} training, {data.validation} validation and {data.test} test rows"
    if data.source:
        yield f"- source: {data.source}"
    if data.features:
        yield f"- inputs: {', '.join(data.features)}"
    if data.classes:
        yield f"- classes: {', '.join(data.classes)}"
    if data.unit:
        yield f"- one unit of the target: {data.unit}"
    yield f"- digest: {data.digest}"


def _search(view: SearchView, winner: WinnerRecord) -> Iterator[str]:
    header = view.header
    counts = ", ".join(f"{count} {name}" for name, count in view.counts.items() if count)
    yield "## Search"
    yield ""
    yield f"- {header.engine}, {header.objective.name}, seed {header.seed}; trials: {counts}"
    yield f"- trial {winner.number}, chosen on fresh seeds among {len(winner.finalists)}:"
    for name, value in view.winner_params.items():
        yield f"  - {name} = {value!r}"
    versions = ", ".join(f"{name} {version}" for name, version in header.versions_of.items())
    if versions:
        yield f"- trained with {versions}"
    yield f"- id {header.id}, code {header.git_commit or 'under no git commit'}"


def _scores(view: SearchView, winner: WinnerRecord) -> Iterator[str]:
    standing = winner.standing
    evaluation = winner.evaluation
    yield "## Scores"
    yield ""
    if standing.mean is not None:
        n_seeds = len(standing.seeds)
        spread = f" ± {standing.std:.4g} (standard deviation)" if n_seeds > 1 else ""
        over = f"{n_seeds} fresh seeds" if n_seeds > 1 else "one fresh seed"
        yield f"- {view.objective.metric}: {standing.mean:.6g}{spread} over {over}"
    for name, value in evaluation.test.items():
        rivals = [
            f"{rival} baseline {scores[name]:.6g}"
            for rival, scores in evaluation.baseline.items()
            if name in scores
        ]
        beside = f" ({', '.join(rivals)})" if rivals else ""
        yield f"- {name} of the test set: {value:.6g}{beside}"
    if evaluation.not_scored:
        yield f"- no score of the test set: {evaluation.not_scored}"
    if evaluation.threshold is not None:
        yield f"- the second class from a probability of {evaluation.threshold:.6g} on"


def _limits(view: SearchView, winner: WinnerRecord) -> Iterator[str]:
    evaluation = winner.evaluation
    yield "## Limits"
    yield ""
    yield "- The scores hold for rows like those of the test set; for others nothing is known."
    if len(winner.standing.seeds) < 2:
        yield "- It was trained on one fresh seed: how much the score varies is not known."
    if 0 < view.header.data.test < _FEW:
        yield f"- The test set has {view.header.data.test} rows: its scores are uncertain."
    if evaluation.no_better is not None:
        yield "- It is no better than a baseline, beyond chance."
    if evaluation.file_fault:
        yield f"- {evaluation.file_fault}"
