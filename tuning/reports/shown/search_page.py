"""`tuning show SEARCH`: best trials, winner, finalists, their curve, what was said, what next."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from tuning.ledger.view.search_view import SearchView
from tuning.ledger.view.standings import FinalistView
from tuning.reports.shown.commands import Step, steps_json
from tuning.reports.shown.plot import plot
from tuning.reports.shown.rows import trials_text, when
from tuning.reports.summary import (
    Summary,
    Winner,
    best_json,
    pareto_front,
    plain_json,
    ranked,
    with_winner,
)
from tuning.reports.tables import best_table, score_table
from tuning.reports.texts import (
    clock_text,
    failure_lines,
    one_line,
    over_seeds,
    params_text,
    seconds_text,
)
from tuning.schema import JsonObject
from tuning.trial import WARNING

BEST_TRIALS = 10
_MOST_LINES = 8  # of what was said, and of trials that run
_PLOT_WIDTH = 76


def summary_of(view: SearchView) -> Summary:
    """Return a search as the end of its last run has shown it, but for what only that run knew."""
    header = view.header
    front = pareto_front(view.ended, header.objectives)
    summary = Summary(
        study=header.study,
        engine=header.engine,
        search=header.id,
        status=view.status,
        objective=header.objective,
        objectives=header.objectives,
        pareto={} if front is None else front.to_json(),
        trials=view.ended,
        unit=header.data.unit,
        training_s=view.training_s,
        report=None if view.report_file is None else str(view.report_file),
    )
    if view.winner is None:
        return summary
    # Where the folder lies now, not where it did when the model was saved.
    return replace(
        with_winner(summary, view.winner, view.winner_params),
        model=None if view.model_file is None else str(view.model_file),
    )


def search_json(view: SearchView, steps: Sequence[Step]) -> JsonObject:
    """Return what `--json` prints of a search, plain JSON types."""
    summary = summary_of(view)
    finalists = [_finalist_json(finalist) for finalist in view.finalists]
    running = [
        {"number": trial.number, "params": dict(trial.proposal.params)} for trial in view.open
    ]
    whole: JsonObject = {
        "search": view.name,
        "id": view.header.id,
        "study": view.header.study,
        "engine": view.header.engine_name,
        "status": view.status,
        "budget": view.budget,
        "trials": view.counts,
        "best": best_json(summary.best, view.objective),
        "winner": None if summary.winner is None else summary.winner.to_json(),
        "finalists": finalists,
        "test": dict(summary.test),
        "baseline": {"dummy": dict(summary.dummy), "linear": dict(summary.linear)},
        "open": running,
        "said": said(view),
        "report": summary.report,
        "model": summary.model,
        "next": steps_json(list(steps)),
    }
    plain: JsonObject = plain_json(whole)
    return plain


def search_parts(
    view: SearchView, steps: Sequence[Step], *, width: int, best: int = BEST_TRIALS
) -> Iterator[RenderableType]:
    """Yield what is shown of a search, from top to bottom.

    Args:
        view: The search.
        steps: What to do next.
        width: Of the terminal, in characters.
        best: How many of the best trials are listed.
    """
    summary = summary_of(view)
    yield headline(view)
    if summary.verdict:
        yield Text(f"{one_line(summary.verdict)}\n", "bold red")
    yield from _best(summary, width, best)
    if summary.winner is not None:
        yield from _winner(summary, summary.winner)
    yield from _finalists(view)
    yield from best_so_far(view, width)
    yield from _open(view)
    yield from _said(view)
    if steps:
        longest = max(len(step.what) for step in steps)
        lines = [f"{step.what:<{longest}}  {one_line(step.how)}" for step in steps]
        yield _section("What to do next", lines)


def headline(view: SearchView) -> Text:
    """Return the search's name, status and counts."""
    done = sum(not result.never_trained for _, result in view.ended)
    outcomes = [f"{count} {outcome}" for outcome, count in view.counts.items() if count]
    listed = f": {', '.join(outcomes)}" if outcomes else ""
    at = "" if view.last is None or view.running else f" on {when(view.last.at)}"
    error = "" if view.last is None or view.running else one_line(view.last.error)
    return Text.assemble(
        (one_line(view.name), "bold"),
        f" · {one_line(view.status)}{at} · {trials_text(done, view.budget)}{listed}\n",
        (f"{error}\n" if error else "", "bold red"),
    )


def _best(summary: Summary, width: int, best: int) -> Iterator[RenderableType]:
    front = pareto_front(summary.trials, summary.objectives)
    trials = ranked(summary.trials, summary.objective)
    if front is not None:
        yield Text(f"Pareto front: {trials_text(len(front.trials), None)}\n")
        trials = list(front.trials)
    if not trials:
        yield Text("No trial has a value yet.")
        return
    yield best_table(trials[:best], summary, width)
    if len(trials) > best:
        yield Text(f"… and {trials_text(len(trials) - best, None)} more", "dim")


def _winner(summary: Summary, winner: Winner) -> Iterator[RenderableType]:
    params = params_text(winner.params)
    yield Text.assemble(("\nWinner", "bold green"), f": trial {winner.number}, {params}\n")
    yield score_table(summary)
    if summary.not_scored:
        yield Text(one_line(f"The winner is not scored: {summary.not_scored}"), "bold red")


def _finalists(view: SearchView) -> Iterator[RenderableType]:
    if not view.finalists:
        return
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for heading in ("trial", one_line(view.objective.metric), "seeds"):
        table.add_column(heading, justify="right")
    table.add_column("parameters", overflow="fold")
    for finalist in view.finalists:
        won = view.winner is not None and finalist.number == view.winner.number
        table.add_row(
            str(finalist.number),
            _finalist_value(view, finalist),
            str(len(finalist.values)),
            Text(params_text(view.space.decode_known(finalist.params))),
            style="bold green" if won else None,
        )
    yield Text("\nFinalists, on fresh seeds", "bold")
    yield table


def _finalist_value(view: SearchView, finalist: FinalistView) -> str:
    if finalist.mean is None:
        return "diverged or failed"
    n_seeds = len(finalist.values)
    return over_seeds(view.objective.metric, finalist.mean, finalist.spread, n_seeds)


def best_so_far(view: SearchView, width: int) -> Iterator[RenderableType]:
    """Yield a picture of the best value so far, over the completed trials by number."""
    points: list[tuple[float, float]] = []
    best: float | None = None
    for result in view.completed():
        value = result.value
        if value is None:
            continue
        if best is None or view.objective.key(value) < view.objective.key(best):
            if best is not None:
                points.append((float(result.number), best))  # a step, not a slope
            best = value
        points.append((float(result.number), best))
    if len(points) < 2:
        return
    metric = f"best {view.objective.metric} so far"
    yield Text("")
    yield from plot({metric: points}, width=min(width, _PLOT_WIDTH), height=8, x_label="trial")


def _open(view: SearchView) -> Iterator[RenderableType]:
    if not view.open:
        return
    now = time.time()
    lines = []
    for trial in view.open[:_MOST_LINES]:
        asked_at = trial.asked_at
        since = f"for {clock_text(now - asked_at)}, " if asked_at and view.running else ""
        lines.append(f"trial {trial.number}: {since}{params_text(trial.proposal.params)}")
    rest = len(view.open) - _MOST_LINES
    if rest > 0:
        lines.append(f"… and {trials_text(rest, None)} more")
    title = (
        "Asked for, and not ended" if view.running else "Not ended: the same command trains them"
    )
    yield _section(title, lines)


def said(view: SearchView) -> list[str]:
    """Return what is to be known of the trials: failures, the winner's diagnosis, notices."""
    lines = failure_lines(view.ended)
    number = None if view.winner is None else view.winner.number
    if number is None and view.ended:
        best = view.ranked()
        number = best[0][1].number if best else None
    for _, result in view.ended:
        if result.number == number:
            lines += [f"trial {number}: {one_line(each.words)}" for each in result.diagnosis[:1]]

    notices = Counter(notice for _, result in view.ended for notice in result.notices)
    for notice, count in notices.most_common(_MOST_LINES):
        text = one_line(notice.removeprefix(WARNING))
        lines.append(f"{text} ({trials_text(count, None)})")
    return lines


def _said(view: SearchView) -> Iterator[RenderableType]:
    lines = said(view)
    if view.training_s:
        lines.append(f"{seconds_text(view.training_s)} of training, over all trials")
    if lines:
        yield _section("What was said", lines)


def _section(title: str, lines: Sequence[str]) -> Text:
    return Text.assemble((f"\n{title}", "bold"), *(f"\n  {line}" for line in lines))


def _finalist_json(finalist: FinalistView) -> JsonObject:
    return {
        "number": finalist.number,
        "params": dict(finalist.params),
        "mean": finalist.mean,
        "spread": finalist.spread,
        "seeds": list(finalist.seeds),
        "values": list(finalist.values),
    }


def print_parts(console: Console, parts: Iterator[RenderableType]) -> None:
    """Print the parts of a page; a path or command is never broken over lines."""
    for part in parts:
        console.print(part, soft_wrap=isinstance(part, Text))
