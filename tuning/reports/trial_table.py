"""The report's table of all trials, sortable by every column."""

from __future__ import annotations

from tuning.reports.page import card, cell, html_cell, html_text, row, table
from tuning.reports.summary import Trials
from tuning.reports.texts import figure, value_text, with_spread
from tuning.space.space import Space
from tuning.study.objective import Objective
from tuning.trial import Proposal, TrialResult

_AFTER_THE_METRIC = ("epochs", "seconds", "seed", "slot", "status", "diagnosis", "notes")


def trial_table_card(
    trials: Trials, space: Space, objective: Objective, winner_number: int | None
) -> str:
    """Return a row for each trial; the winner's stands out."""
    # A changed space may have lost parameters that earlier trials have.
    in_trials = [name for proposal, _ in trials for name in proposal.params]
    names = list(dict.fromkeys([*space, *in_trials]))

    # Several objectives, and what constraints look at.
    figures = list(dict.fromkeys(name for _, result in trials for name in _figures(result)))
    figures = [name for name in figures if name != objective.metric]
    heads = ["trial", *names, objective.metric, *figures, *_AFTER_THE_METRIC]
    rows = [
        row(
            [*_proposal_cells(proposal, names), *_result_cells(result, figures)],
            "won" if result.number == winner_number else "",
        )
        for proposal, result in trials
    ]
    whole = table(
        rows, (f"<th><button>{html_text(head)}</button></th>" for head in heads), "sortable"
    )
    body = f'<div class="tall scroll">{whole}</div>'
    return card("Trials", body, "Press a heading to sort.", wide=True)


def _proposal_cells(proposal: Proposal, names: list[str]) -> list[str]:
    """Return the trial's number and its parameters."""
    cells = [_sorted_cell(proposal.number)]
    for name in names:
        if name in proposal.params:
            value = proposal.params[name]
            cells.append(cell(value_text(value), sort_key=value))
        else:
            cells.append(cell("", sort_key=""))
    return cells


def _figures(result: TrialResult) -> list[str]:
    """Return the names of the figures beside the objective that the study asks for."""
    if result.values is None and not result.violations:
        return []
    return list(result.metrics)


def _figure_cell(result: TrialResult, name: str) -> str:
    value = result.metrics.get(name)
    text = "" if value is None else figure(name, value)
    return cell(text, sort_key="" if value is None else value)


def _result_cells(result: TrialResult, figures: list[str]) -> list[str]:
    """Return how the trial ended, in the order of the headings."""
    status = result.status.value
    tag = f'<span class="tag {status}">{status}</span>'
    findings = ", ".join(finding.name for finding in result.diagnosis)

    value = with_spread(result.value, result.spread)
    return [
        cell(value, sort_key="" if result.value is None else result.value),
        *(_figure_cell(result, name) for name in figures),
        _sorted_cell(result.epochs),
        cell(f"{result.seconds:.1f}", sort_key=result.seconds),
        _sorted_cell(result.seed),
        _sorted_cell(result.slot),
        html_cell(tag, sort_key=status),
        _sorted_cell(findings),
        cell("; ".join(_notes(result)), sort_key=""),
    ]


def _notes(result: TrialResult) -> list[str]:
    """Return what else there is to know: whose copy it is, its error, its notices."""
    notes = []
    if result.copied_from is not None:
        notes.append(f"as trial {result.copied_from}")
    if result.from_search:
        notes.append(f"told by {result.from_search}")
    if result.error:
        notes.append(result.error)
    return [*notes, *result.notices]


def _sorted_cell(value: object) -> str:
    return cell(value, sort_key=value)
