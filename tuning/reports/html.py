"""The report of one search: a single HTML file that needs no network."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from pathlib import Path

from tuning.errors import StorageError
from tuning.ledger.records import SearchHeader
from tuning.ledger.usage import Usage
from tuning.ledger.winner import WinnerRecord
from tuning.reports import cards, plots
from tuning.reports.importance import LEAST_TRIALS
from tuning.reports.page import write_page
from tuning.reports.summary import Trials
from tuning.reports.trial_table import trial_table_card
from tuning.space.space import Space
from tuning.study.objective import Objective

# No folder and no hidden file; short enough for a file's name with its ending.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")

_NOTHING = Usage()


def load_libraries(completed: int) -> threading.Thread:
    """Import in a thread what `write_report` will need, while the driver waits for workers.

    Args:
        completed: Trials; where they are enough for importances, Optuna's module for them is
            imported, too: it brings scikit-learn, which costs a second.

    Returns:
        The thread.
    """

    def load() -> None:
        with suppress(ImportError):  # `write_report` raises it
            import plotly.subplots  # noqa: F401

            if completed >= LEAST_TRIALS:
                import optuna.importance  # noqa: F401

    thread = threading.Thread(target=load, name="report-libraries")
    thread.start()
    return thread


def write_report(
    folder: Path,
    *,
    header: SearchHeader,
    trials: Trials,
    winner: WinnerRecord | None,
    space: Space,
    objective: Objective,
    range_tests: str = "",
    used: Usage = _NOTHING,
) -> Path:
    """Write `<folder>/<search id>.html`, in place of the report that is there.

    Args:
        folder: `<TUNING_HOME>/reports`; made where it is missing.
        header: Of the search; the last of its definitions is shown.
        trials: Every finished trial.
        winner: None: none was chosen.
        space: For the types and scales of the parameters.
        objective: What the trials were judged by.
        range_tests: Cards (HTML) of the range tests from which a learning rate has its bounds.
        used: What the search has used.

    Returns:
        The path.

    Raises:
        StorageError: The disk is full or read-only, or the id cannot be a file's name.
    """
    if not _ID.fullmatch(header.id):
        raise StorageError(
            f"search id {header.id!r} cannot be the name of a report; "
            "use letters, digits, '.', '_', '-'"
        )

    figures = plots.draw(trials, space, objective)
    winner_number = None if winner is None else winner.number
    parts = [
        cards.head_of_page(header, trials, used),
        '<div class="grid">',
        cards.winner_card(winner, header.data.unit, header.objectives or (objective,)),
        cards.failures_card(trials),
        cards.pareto_card(trials, header.objectives, winner_number),
        cards.diagnosis_card(trials, objective, winner_number),
        *cards.figure_cards(figures, len(space)),
        range_tests,
        cards.importance_card(figures),
        cards.definition_card(header, winner, space),
        trial_table_card(trials, space, objective, winner_number),
        "</div>",
    ]
    title = f"{header.study} · {header.engine}"
    return write_page(folder / f"{header.id}.html", title, "\n".join(parts))
