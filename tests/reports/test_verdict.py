"""A winner that is no better than a baseline is called that where a reader looks first."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from tuning.ledger.winner import Margin, NoBetter
from tuning.reports import tables
from tuning.reports.verdict import verdict

TIE = NoBetter(
    baseline="dummy",
    metric="accuracy",
    winner=0.99,
    theirs=0.99,
    margin=Margin(difference=0.0, standard_error=0.0),
    always="'no'",
)


def test_the_sentence_names_the_rival_and_both_figures():
    assert verdict(None) == ""
    assert verdict(TIE) == (
        "The winner is no better than always predicting 'no': accuracy 0.9900 against 0.9900 "
        "on the test part, a margin of 0 ± 0."
    )
    linear = replace(TIE, baseline="linear", winner=0.995)
    assert verdict(linear).startswith("The winner is no better than the linear baseline: ")


def test_it_stands_before_the_table(summary):
    console = Console(record=True, width=200)
    tables.summary(console, replace(summary, verdict=verdict(TIE), threshold=0.125))
    text = console.export_text()
    assert text.index("no better than always predicting") < text.index("val_rmse")
    assert "the second class begins at a probability of 0.125" in text
