"""What is said at the head of a report where the winner is no better than a baseline."""

from __future__ import annotations

from tuning.ledger.winner import NoBetter
from tuning.reports.texts import score, spread


def verdict(no_better: NoBetter | None) -> str:
    """Return a sentence in plain text; "" where the winner beats its baselines."""
    if no_better is None:
        return ""
    lead = no_better.margin
    return (
        f"The winner is no better than {rival_text(no_better)}: "
        f"{no_better.metric} {score(no_better.winner)} against {score(no_better.theirs)} on the "
        f"test set, a margin of {score(lead.difference)} ± {spread(lead.standard_error)}."
    )


def rival_text(no_better: NoBetter) -> str:
    """Return what the winner is no better than, in words."""
    if no_better.baseline != "dummy":
        return f"the {no_better.baseline} baseline"
    return f"always predicting {no_better.always or 'the same'}"
