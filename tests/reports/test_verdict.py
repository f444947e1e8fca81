"""A winner that is no better than a baseline is called that where a reader looks first."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from tests.reports.test_html import winner_of
from tuning.ledger.winner import Evaluation, Margin, NoBetter
from tuning.reports import cards, tables
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
        "on the test set, a margin of 0 ± 0."
    )
    linear = replace(TIE, baseline="linear", winner=0.995)
    assert verdict(linear).startswith("The winner is no better than the linear baseline: ")


def test_it_stands_before_the_table(summary):
    console = Console(record=True, width=200)
    tables.summary(console, replace(summary, verdict=verdict(TIE), threshold=0.125))
    text = console.export_text()
    assert text.index("no better than always predicting") < text.index("val_rmse")
    assert "the second class begins at a probability of 0.125" in text


LOOKED_UP = "inputs: left as they are (the model looks them up)"
IMPORTS = ("from own.layers import Doubled, twice", "from own.losses import pinball<1>")


def test_what_was_done_to_the_inputs_and_what_a_reader_imports_stand_on_lines_of_their_own(summary):
    console = Console(record=True, width=200)
    tables.summary(console, replace(summary, prepared=LOOKED_UP, imports=IMPORTS))
    lines = [line.strip() for line in console.export_text().splitlines()]
    assert LOOKED_UP in lines
    assert f"needs    {'; '.join(IMPORTS)}" in lines


def test_json_has_them_where_they_say_something(summary):
    assert not {"prepared", "imports"} & set(summary.to_json())
    whole = replace(summary, prepared=LOOKED_UP, imports=IMPORTS).to_json()
    assert (whole["prepared"], whole["imports"]) == (LOOKED_UP, list(IMPORTS))


def test_the_winners_card_has_them_where_they_say_something(summary):
    plain = Evaluation(test=summary.test)
    card = cards.winner_card(winner_of(summary.winner, plain), "", [summary.objective])
    assert "To load" not in card

    told = replace(plain, prepared=LOOKED_UP, imports=IMPORTS)
    card = cards.winner_card(winner_of(summary.winner, told), "", [summary.objective])
    assert "Inputs: left as they are (the model looks them up)." in card
    assert "first run <code>from own.layers import Doubled, twice</code>, " in card
    assert "<code>from own.losses import pinball&lt;1&gt;</code>." in card
