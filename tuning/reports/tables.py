"""The end of a run on the terminal: the best trials, the winner, failures, where to look next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich import box
from rich.console import Console, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from tuning.reports.summary import ParetoFront, Summary, Trials, Winner, pareto_front, ranked
from tuning.reports.texts import (
    call_here,
    count_text,
    failure_lines,
    figure,
    one_line,
    over_seeds,
    params_text,
    score,
    seconds_text,
    used_text,
    value_text,
    with_spread,
)
from tuning.study.objective import Objective
from tuning.trial import Finding, Proposal, TrialResult

IN_UNITS = ("rmse", "mae", "medae", "max_error", "pinball")  # on the target's own scale
BEST_TRIALS = 5


def summary(console: Console, summary: Summary) -> None:
    """Print how a search ended."""
    for part in _parts(console, summary):
        # A path that is broken over lines cannot be copied.
        console.print(part, soft_wrap=isinstance(part, Text))


def best_table(trials: Trials, summary: Summary, width: int) -> Table:
    """Return a table of `trials`: a column for each parameter, one for all where room is short.

    Args:
        trials: The rows, in their order.
        summary: Of the search they belong to; its winner stands out.
        width: Of the terminal, in characters.
    """
    names = list(dict.fromkeys(name for proposal, _ in trials for name in proposal.params))
    # Rich squeezes columns until they fit; on a wide console a table tells what it would like.
    console = Console(width=1000)
    for gap in (1, 0):
        table = _best_table(trials, summary, names, gap)
        if Measurement.get(console, console.options, table).maximum <= width:
            return table
    return _best_table(trials, summary, None, gap=1)


def score_table(summary: Summary) -> Table:
    """Return the winner's validation and test scores beside those of the baselines."""
    names = [objective.name for objective in summary.objectives or (summary.objective,)]
    metrics = list(dict.fromkeys([*names, *summary.test]))
    table = _plain_table("")
    for metric in metrics:
        table.add_column(Text(one_line(metric)), justify="right")

    if summary.winner is not None:
        # Only the objectives, the first columns, are known on the validation part.
        winner = summary.winner
        n_seeds = len(winner.seeds)
        validation = [over_seeds(names[0], winner.mean, winner.std, n_seeds)]
        validation += [_mean(summary.winner, each) for each in summary.objectives[1:]]
        empty = [""] * (len(metrics) - len(names))
        table.add_row("winner, validation", *validation, *empty)
        table.add_row("winner, test", *_scores(summary.test, metrics), style="bold")
    if summary.linear:
        table.add_row("linear baseline, test", *_scores(summary.linear, metrics))
    if summary.dummy:
        table.add_row("dummy baseline, test", *_scores(summary.dummy, metrics))
    return table


def _parts(console: Console, summary: Summary) -> Iterator[RenderableType]:
    yield _headline(summary)
    if summary.verdict:
        yield Text(f"{one_line(summary.verdict)}\n", "bold red")

    best = ranked(summary.trials, summary.objective)[:BEST_TRIALS]
    front = pareto_front(summary.trials, summary.objectives)
    if front is not None:
        best = list(front.trials)
        yield Text(_front_line(front))
    if best:
        yield best_table(best, summary, console.width)
    if summary.winner is not None:
        params = params_text(summary.winner.params)
        yield Text.assemble(
            ("\nWinner", "bold green"), f": trial {summary.winner.number}, {params}\n"
        )
        yield score_table(summary)
        if summary.not_scored:
            yield Text(one_line(f"The winner is not scored: {summary.not_scored}"), "bold red")
        yield Text(_footnote(summary), "dim")
        if summary.prepared:
            yield Text(one_line(summary.prepared), "dim")
    elif not best:
        yield Text("No trial gave a value.", "bold red")

    used = used_text(summary.cpu_s, summary.gpu_s)
    if used:
        yield Text(f"The search used {used}.", "dim")

    diagnosis = _diagnosis(summary)
    if diagnosis:
        yield Padding(Text.assemble(("Diagnosis", "bold"), f" of {diagnosis}"), (1, 0, 0, 0))
    failures = failure_lines(summary.trials)
    if failures:
        yield _section("Not completed", failures)
    yield _section("Where to look next", _next_steps(summary))


def _headline(summary: Summary) -> Text:
    counts = []
    for outcome, count in summary.counts.items():
        if count or outcome == "completed":
            counts.append(f"{count} {outcome}")
    name = one_line(f"{summary.study} · {summary.engine}")
    ending = f" {one_line(summary.status)} after {_time(summary)}: {_part_done(summary)}"
    return Text.assemble("\n", (name, "bold"), ending, ", ".join(counts), "\n")


def _time(summary: Summary) -> str:
    """Write how long the search took, over all its runs."""
    if not summary.search_s:
        return seconds_text(summary.total_s)
    text = seconds_text(summary.search_s)
    return text if summary.runs < 2 else f"{text} in {summary.runs} runs"


def _part_done(summary: Summary) -> str:
    """Write `4 of 8 trials, ` where there are fewer than were asked for; else ""."""
    # Those never trained have cost nothing, and do not count.
    done = sum(not result.never_trained for _, result in summary.trials)
    if summary.budget is None or done >= summary.budget:
        return ""
    return f"{done} of {count_text(summary.budget, 'trial')}, "


def _section(title: str, lines: Sequence[str]) -> Text:
    return Text.assemble((f"\n{title}", "bold"), *(f"\n  {line}" for line in lines))


def _best_table(trials: Trials, summary: Summary, names: list[str] | None, gap: int) -> Table:
    """Return the table; `names`: a column for each of these parameters, None: one for all."""
    table = _plain_table("trial", gap)
    if names is None:
        table.add_column("parameters", overflow="fold")
    else:
        for name in names:
            table.add_column(Text(one_line(name)), justify="right", overflow="fold")
    metrics = [each.metric for each in summary.objectives or (summary.objective,)]
    for heading in (*map(one_line, metrics), "epochs", "seconds"):
        table.add_column(Text(heading), justify="right", no_wrap=True)
    table.add_column("status", no_wrap=True)

    winner_number = None if summary.winner is None else summary.winner.number
    for proposal, result in trials:
        table.add_row(
            str(result.number),
            *_params_cells(proposal, names),
            *_values(result, metrics),
            str(result.epochs),
            f"{result.seconds:.1f}",
            result.status.value,
            style="bold green" if result.number == winner_number else None,
        )
    return table


def _mean(winner: Winner, objective: Objective) -> str:
    """Return mean and spread of one objective over the fresh seeds."""
    known = winner.mean_and_std(objective.metric)
    if known is None:
        return "–"
    return over_seeds(objective.metric, *known, len(winner.seeds))


def _front_line(front: ParetoFront) -> str:
    """Say what the table holds where there are several objectives."""
    trials = count_text(len(front.trials), "trial")
    line = f"Pareto front: {trials}, trial {front.knee} is the knee"
    if front.hypervolume is not None:
        line += f", hypervolume {front.hypervolume:.1%}"
    return f"{line}\n"


def _values(result: TrialResult, metrics: Sequence[str]) -> list[str]:
    """Return a cell for each objective; of a single one its spread over seeds too."""
    if result.values:
        return [figure(*each) for each in zip(metrics, result.values, strict=True)]
    return [with_spread(result.value, result.spread)]


def _params_cells(proposal: Proposal, names: list[str] | None) -> list[Text]:
    """Return a text for each parameter, "" where the trial does not have it."""
    params = proposal.params
    if names is None:
        return [Text(params_text(params))]
    return [Text(value_text(params[name]) if name in params else "") for name in names]


def _plain_table(first: str, gap: int = 1) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=(0, gap, 0, 0), show_edge=False, header_style="bold")
    table.add_column(first, justify="right" if first else "left", no_wrap=True)
    return table


def _scores(scores: Mapping[str, float], metrics: list[str]) -> list[str]:
    return [figure(metric, scores[metric]) if metric in scores else "–" for metric in metrics]


def _footnote(summary: Summary) -> str:
    n_seeds = len(summary.winner.seeds) if summary.winner else 0
    if n_seeds == 1:
        note = "one fresh seed only: the spread is not known"
    else:
        note = f"± is the spread over {n_seeds} fresh seeds"

    if any(result.spread is not None for _, result in summary.trials):
        note += "; behind a trial's value, that over its own seeds"

    measured = {summary.objective.name, *summary.test}
    if summary.threshold is not None:
        note += f"; the second class begins at a probability of {score(summary.threshold)}"
    metrics = [metric for metric in IN_UNITS if metric in measured]
    metrics += sorted(metric for metric in measured if metric.startswith("pinball_"))
    if metrics and summary.unit:
        note += f"; {' and '.join(metrics)} in {one_line(summary.unit)}"
    return note


def _diagnosis(summary: Summary) -> str:
    """Return the first finding on the winner, or on the best trial where there is no winner.

    "" where that trial is healthy.
    """
    number = None
    if summary.winner is not None:
        number = summary.winner.number
    elif summary.best is not None:
        number = summary.best[1].number

    findings: list[Finding] = []
    for _, result in summary.trials:
        if result.number == number:
            findings += result.diagnosis
    return f"trial {number}: {one_line(findings[0].words)}" if findings else ""


def _next_steps(summary: Summary) -> list[str]:
    ui = call_here(with_make="make ui", plain="python -m tuning ui")
    steps = {
        "MLflow": ui if summary.tracking_uri else "",
        "report": summary.report,
        "model": summary.model,
        "needs": "; ".join(summary.imports) if summary.model else "",
        "continue": summary.again,
    }
    return [f"{name:<9}{one_line(step)}" for name, step in steps.items() if step]
