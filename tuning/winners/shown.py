"""A winner in a line, and as a notebook shows it: without TensorFlow."""

from __future__ import annotations

from collections.abc import Iterator

from tuning.ledger.view.search_view import SearchView
from tuning.ledger.winner import WinnerRecord
from tuning.study.display.html import block, facts, table


def line_of(view: SearchView, record: WinnerRecord) -> str:
    """Return `Winner('churn/optuna-tpe': trial 14, val_auc 0.992 ± 0.0005)`."""
    value = _value(record)
    of_value = f", {view.objective.metric} {value}" if value else ""
    return f"Winner('{view.name}': trial {record.number}{of_value})"


def html_of(view: SearchView, record: WinnerRecord) -> str:
    """Return parameters, value and scores of the test set as HTML."""
    params = ", ".join(f"{name}={_short(value)}" for name, value in view.winner_params.items())
    seeds = len(record.standing.seeds)
    over = f"{seeds} fresh seeds" if seeds > 1 else "one fresh seed"
    about = [
        ("data", view.header.data.name),
        ("trained with", params),
        (f"{view.objective.metric} over {over}", _value(record)),
        ("classes", ", ".join(view.header.data.classes)),
        ("model", record.evaluation.model and view.folder / "winner.keras"),
    ]
    test = record.evaluation.test
    scores = ""
    if test:
        scores = table(("on the test set", *test), _scores(record))
    title = f"The winner of {view.name}: trial {record.number}"
    return block(title, facts(about), scores, note=record.evaluation.not_scored)


def _value(record: WinnerRecord) -> str:
    standing = record.standing
    if standing.mean is None:
        return ""
    spread = f" ± {standing.std:.2g}" if len(standing.seeds) > 1 else ""
    return f"{standing.mean:.4g}{spread}"


def _scores(record: WinnerRecord) -> Iterator[list[str]]:
    test = record.evaluation.test
    yield ["winner", *(f"{value:.4g}" for value in test.values())]
    for rival, scores in record.evaluation.baseline.items():
        cells = [f"{scores[name]:.4g}" if name in scores else "" for name in test]
        yield [f"{rival} baseline", *cells]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
