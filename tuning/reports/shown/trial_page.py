"""`tuning show SEARCH TRIAL`: one trial, its parameters, how it ended, its curves."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from tuning.ledger.view.search_view import SearchView
from tuning.ledger.view.trial_reader import TrialView
from tuning.reports.shown.plot import Points, plot
from tuning.reports.shown.rows import trials_text, when
from tuning.reports.summary import plain_json
from tuning.reports.texts import (
    figure,
    one_line,
    seconds_text,
    value_text,
    with_spread,
)
from tuning.schema import JsonObject
from tuning.trial import WARNING, TrialResult

_PLOT_WIDTH = 76
_LOSSES = ("loss", "val_loss")


def trial_json(view: SearchView, trial: TrialView) -> JsonObject:
    """Return what `--json` prints of a trial: its ask and all of its result."""
    result = trial.result
    whole: JsonObject = {
        "search": view.name,
        "number": trial.number,
        "params": dict(trial.proposal.params),
        "epochs": trial.proposal.epochs,
        "parent": trial.proposal.parent,
        "status": _status(view, trial),
        "rank": rank_of(view, trial.number),
        "metric": view.objective.metric,
        "result": None if result is None else result.to_json(),
        "curve": [] if result is None else list(result.curve),
    }
    plain: JsonObject = plain_json(whole)
    return plain


def rank_of(view: SearchView, number: int) -> int | None:
    """Return a trial's place among the completed ones, from 1; None where it is none of them."""
    places = (i for i, (_, each) in enumerate(view.ranked(), 1) if each.number == number)
    return next(places, None)


def trial_parts(view: SearchView, trial: TrialView, *, width: int) -> Iterator[RenderableType]:
    """Yield what is shown of a trial, from top to bottom.

    Args:
        view: Its search.
        trial: With its curves.
        width: Of the terminal, in characters.
    """
    yield _headline(view, trial)
    yield _parameters(view, trial)
    result = trial.result
    if result is None:
        yield Text(f"\nAsked for on {when(trial.asked_at)}; it has not ended.")
        return

    yield _facts(result, trial)
    if result.error:
        yield Text(f"\n{_clean(result.error)}", "red")
    yield from _folds(view, result)
    yield from _curves(view, result, width)
    yield from _findings(result)


def _status(view: SearchView, trial: TrialView) -> str:
    if trial.result is not None:
        return trial.result.status.value
    return "running" if view.running else "not ended"


def _headline(view: SearchView, trial: TrialView) -> Text:
    result = trial.result
    parts = [f" of {one_line(view.name)} · {_status(view, trial)}"]
    if result is not None and result.value is not None:
        value = with_spread(result.value, result.spread)
        parts.append(f" · {one_line(view.objective.metric)} {value}")
    rank = rank_of(view, trial.number)
    if rank is not None:
        parts.append(f" · number {rank} of {trials_text(len(view.ranked()), None)}")
    if view.winner is not None and view.winner.number == trial.number:
        parts.append(" · the winner")
    return Text.assemble((f"trial {trial.number}", "bold"), *parts, "\n")


def _parameters(view: SearchView, trial: TrialView) -> Table:
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    table.add_column("name")
    table.add_column("value", overflow="fold")
    for name, value in trial.proposal.params.items():
        table.add_row(Text(one_line(name)), Text(value_text(value), "bold"))
    fixed = view.definition.get("fixed") or {}
    for name, text in fixed.items():
        table.add_row(Text(one_line(name)), Text(f"{one_line(str(text))} (fixed)", "dim"))
    return table


def _facts(result: TrialResult, trial: TrialView) -> Text:
    lines = [
        f"{result.epochs} epochs in {seconds_text(result.seconds)} on {one_line(result.slot)}, "
        f"seed {result.seed}, ended {when(result.ended_at)}"
    ]
    if result.copied_from is not None:
        lines = [f"the result of trial {result.copied_from}, which has equal parameters"]
    elif result.from_search:
        lines = [f"told by {one_line(result.from_search)}"]
    if trial.proposal.parent is not None:
        how = "goes on from" if trial.proposal.continued else "is a longer go at"
        lines.append(f"it {how} trial {trial.proposal.parent}")
    if result.attempt > 1:
        lines.append(f"attempt {result.attempt}: those before lost their worker")
    if result.batch_size is not None:
        lines.append(f"memory had room for batches of {result.batch_size} rows")
    metrics = [f"{one_line(name)} {figure(name, value)}" for name, value in result.metrics.items()]
    if metrics:
        lines.append(", ".join(metrics))
    for constraint, violation in result.violations.items():
        held = "broken" if violation > 0 else "kept"
        lines.append(f"{one_line(constraint)}: {held}")
    return Text("".join(f"\n{line}" for line in lines))


def _folds(view: SearchView, result: TrialResult) -> Iterator[RenderableType]:
    if len(result.folds) < 2:
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("fold", one_line(view.objective.metric), "best epoch", "seconds", "seed"):
        table.add_column(heading, justify="right")
    for fold in result.folds:
        value = figure(view.objective.metric, fold.value)
        epoch = str(fold.best_epoch)
        table.add_row(str(fold.fold), value, epoch, f"{fold.seconds:.1f}", str(fold.seed))
    yield Text("")
    yield table


def _curves(view: SearchView, result: TrialResult, width: int) -> Iterator[RenderableType]:
    metric = view.objective.metric
    pictures = [(metric,)] if metric in _LOSSES else [(metric,), _LOSSES]
    for names in pictures:
        lines = {name: _points(result, name) for name in names}
        # One point is no curve.
        lines = {name: points for name, points in lines.items() if len(points) > 1}
        picture = plot(lines, width=min(width, _PLOT_WIDTH), height=8, x_label="epoch")
        if picture:
            yield Text("")
            yield from picture


def _points(result: TrialResult, name: str) -> Points:
    return [(row["epoch"], row[name]) for row in result.curve if name in row]


def _findings(result: TrialResult) -> Iterator[RenderableType]:
    lines = [f"{each.severity}: {one_line(each.words)}" for each in result.diagnosis]
    lines += [one_line(notice.removeprefix(WARNING)) for notice in result.notices]
    if lines:
        yield Text.assemble(("\nWhat was said", "bold"), *(f"\n  {line}" for line in lines))


def _clean(error: str) -> str:
    """Return an error without secrets and control characters, its lines kept."""
    return "\n".join(one_line(line) for line in error.splitlines() if line.strip())
