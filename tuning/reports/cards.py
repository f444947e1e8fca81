"""The cards of a search's report, each a piece of HTML; only the table of trials is elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence

from tuning.ledger.placement import PlanRecord
from tuning.ledger.records import SearchHeader
from tuning.ledger.usage import Usage
from tuning.ledger.winner import Standing, WinnerRecord
from tuning.reports.axes import describe
from tuning.reports.importance import LEAST_TRIALS
from tuning.reports.page import (
    card,
    cell,
    heading,
    html_cell,
    html_figure,
    html_text,
    row,
    soft,
    table,
)
from tuning.reports.plots import Plots, front_figure
from tuning.reports.summary import ParetoFront, Trials, count_trials, flat, pareto_front, ranked
from tuning.reports.texts import (
    failure_groups,
    figure,
    over_seeds,
    params_text,
    score,
    seconds_text,
    value_text,
)
from tuning.reports.verdict import verdict
from tuning.space.space import Space
from tuning.study.objective import Objective

_BASELINES = {
    "linear": "linear baseline, test",
    "perceptron": "perceptron, test",
    "dummy": "dummy baseline, test",
}
_NO_WINNER = (
    "None was chosen: the search has not come so far, or none of the best trials had a value on "
    "each of its fresh seeds and kept to the constraints."
)
_BEST_TRIALS = 5  # whose findings are shown
_SLICE_WIDTH = 170  # pixels; narrower, a parameter's marks would touch


def head_of_page(header: SearchHeader, trials: Trials, used: Usage) -> str:
    """Return study and engine, when the search began, how much was trained and what that used."""
    began = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(header.created_at))
    n_epochs = sum(result.epochs for _, result in trials)
    training_s = sum(result.training_s for _, result in trials)

    chips = [_chip(count, outcome) for outcome, count in count_trials(trials).items()]
    chips.append(_chip(n_epochs, "epochs"))
    chips.append(_chip(seconds_text(training_s), "in training"))
    if used.cpu_s:
        chips.append(_chip(seconds_text(used.cpu_s), "of processor time"))
    if used.gpu_s:
        chips.append(_chip(seconds_text(used.gpu_s), "on GPUs"))
    return (
        f"<h1>{html_text(header.study)} <span>{html_text(header.engine)}</span></h1>"
        f'<p class="soft">search <code>{html_text(header.id)}</code> begun {began}</p>'
        f'<div class="chips">{"".join(chips)}</div>'
    )


def _chip(figure: int | str, text: str) -> str:
    return f'<span class="chip"><b>{figure}</b> {text}</span>'


def placement_card(plan: PlanRecord | None) -> str:
    """Return where the trials ran, and the timings that said so; "" where nothing was planned."""
    if plan is None:
        return ""
    heads = [heading("structure"), heading("an epoch on a core"), heading("on a GPU")]
    rows = [
        row([cell(each.structure or "all networks"), cell(each.on_cpu), cell(each.on_gpu)])
        for each in plan.rows
    ]
    return card("Where trials ran", table(rows, heads), plan.words)


def winner_card(winner: WinnerRecord | None, unit: str, objectives: Sequence[Objective]) -> str:
    """Return the winner's parameters, and its scores beside those of the baselines.

    Args:
        winner: None: none was chosen.
        unit: Of the target, e.g. `100,000 USD`; "" for none.
        objectives: Their metrics are the first columns.
    """
    if winner is None:
        return card("Winner", f"<p>{_NO_WINNER}</p>")

    params = [
        f"<code>{html_text(name)} = {html_text(value_text(value))}</code>"
        for name, value in winner.params.items()
    ]
    sentence = verdict(winner.evaluation.no_better)
    warning = f"<p><b>{html_text(sentence)}</b></p>" if sentence else ""
    standing = winner.standing
    values_by_seed = zip(standing.seeds, standing.values, strict=True)
    seeds = ", ".join(f"{seed}: {score(value)}" for seed, value in values_by_seed)
    choice = "The best mean" if len(objectives) == 1 else "Chosen on the front by the means"
    note = (
        f"{choice} over {len(standing.seeds)} fresh seeds ({seeds}); "
        "the test set was looked at once."
    )
    if winner.evaluation.threshold is not None:
        threshold = score(winner.evaluation.threshold)
        note += f" From a probability of {threshold} on a row is of the second class."
    if unit:
        note += f" One unit of the target is {unit}."
    if winner.evaluation.not_scored:
        warning += f"<p><b>{html_text(f'Not scored: {winner.evaluation.not_scored}')}</b></p>"
    body = f'{warning}<div class="params">{"".join(params)}</div>'
    body += _score_table(winner, objectives) + soft(note) + _of_its_file(winner)
    return card(f"Winner: trial {winner.number}", body, kind="winner")


def _of_its_file(winner: WinnerRecord) -> str:
    """Say what was done to the inputs, and what a reader of the model's file must import."""
    lines = []
    if winner.evaluation.prepared:
        prepared = winner.evaluation.prepared
        lines.append(html_text(f"{prepared[0].upper()}{prepared[1:]}."))
    if winner.evaluation.imports:
        codes = [f"<code>{html_text(line)}</code>" for line in winner.evaluation.imports]
        lines.append(f"To load the model, first run {', '.join(codes)}.")
    if winner.evaluation.file_fault:
        lines.append(html_text(f"{winner.evaluation.file_fault}."))
    return "".join(f'<p class="soft">{line}</p>' for line in lines)


def _score_table(winner: WinnerRecord, objectives: Sequence[Objective]) -> str:
    evaluation = winner.evaluation
    names = [objective.name for objective in objectives]
    metrics = list(dict.fromkeys([*names, *evaluation.test]))

    def scores_row(label: str, scores: Mapping[str, float], kind: str = "") -> str:
        cells = [cell(figure(metric, scores.get(metric)), "n") for metric in metrics]
        return row([cell(label), *cells], kind)

    # Only the objectives, the first columns, are known on the validation set.
    empty = [cell("", "n") for _ in metrics[len(names) :]]
    rows = []
    for standing in (winner.standing, *_other_finalists(winner, objectives)):
        label = "winner" if standing is winner.standing else f"trial {standing.number}"
        cells = [cell(text, "n") for text in _means(standing, objectives)]
        rows.append(row([cell(f"{label}, validation"), *cells, *empty]))
    rows += [
        scores_row("winner, test", evaluation.test, "lead"),
    ]
    for name, label in _BASELINES.items():
        if evaluation.baseline.get(name):
            rows.append(scores_row(label, evaluation.baseline[name]))
    return table(rows, [heading(""), *(heading(metric, "n") for metric in metrics)])


def _other_finalists(winner: WinnerRecord, objectives: Sequence[Objective]) -> list[Standing]:
    """Return what the winner of several objectives was chosen among: each is good at something."""
    if len(objectives) == 1:
        return []
    return [each for each in winner.finalists if each.number != winner.number]


def _means(standing: Standing, objectives: Sequence[Objective]) -> list[str]:
    """Return of each objective the mean over fresh seeds and its spread."""
    n_seeds = len(standing.seeds)
    first = objectives[0].metric
    texts = [over_seeds(first, standing.mean, standing.std, n_seeds)]
    for name in (objective.metric for objective in objectives[1:]):
        mean, deviation = standing.mean_of(name), standing.std_of(name)
        texts.append(over_seeds(name, mean, deviation, n_seeds))
    return texts


def failures_card(trials: Trials) -> str:
    """Return what failed, the most frequent first, with the numbers of the trials."""
    groups = failure_groups(trials)
    if not groups:
        return card("What failed", "<p>Nothing.</p>")

    rows = []
    for group in groups:
        word = "trial" if len(group.numbers) == 1 else "trials"
        numbers = ", ".join(str(number) for number in group.numbers)
        text = f'{html_text(group.text)}<br><span class="soft">{word} {numbers}</span>'
        rows.append(row([cell(f"{len(group.numbers)} ×", "n"), html_cell(text)]))
    return card("What failed", f'<div class="tall">{table(rows)}</div>')


def diagnosis_card(trials: Trials, objective: Objective, winner_number: int | None) -> str:
    """Return the findings on the winner and the best trials, and how often each was made in all."""
    results = {result.number: result for _, result in trials}
    numbers = [result.number for _, result in ranked(trials, objective)[:_BEST_TRIALS]]
    # The winner may be none of the best: it was chosen on fresh seeds.
    if winner_number in results:
        numbers.insert(0, winner_number)

    rows = []
    for number in dict.fromkeys(numbers):
        for finding in results[number].diagnosis:
            tag = (
                f'<span class="tag {html_text(finding.severity)}">{html_text(finding.name)}</span>'
            )
            cells = [cell(number, "n"), html_cell(tag), cell(finding.words)]
            rows.append(row(cells, "won" if number == winner_number else ""))

    counts = Counter(finding.name for _, result in trials for finding in result.diagnosis)
    note = ""
    if counts:
        frequencies = ", ".join(f"{name} {count}" for name, count in counts.most_common())
        note = f"Of all {len(trials)} trials: {frequencies}."

    body = "<p>The winner and the best trials have no finding.</p>"
    if not counts:
        body = "<p>No trial has a finding.</p>"
    if rows:
        heads = [heading("trial", "n"), heading("finding")]
        body = table(rows, [*heads, heading("what was seen, and what to try")])
    return card("Diagnosis", body, note, wide=True)


def figure_cards(figures: Plots, n_parameters: int) -> list[str]:
    """Return a card for each figure of the trials' values."""
    width = _SLICE_WIDTH * n_parameters
    slices = f'<div style="min-width:{width}px">{html_figure("slices", figures.slices)}</div>'

    return [
        card("Best so far", html_figure("history", figures.history), figures.note),
        card("Learning curves", html_figure("curves", figures.curves), "The best five in colour."),
        card(
            "All parameters at once",
            html_figure("parallel", figures.parallel),
            f"One line a completed trial. {figures.note}",
            wide=True,
        ),
        card("Each parameter alone", f'<div class="scroll">{slices}</div>', wide=True),
    ]


def pareto_card(trials: Trials, objectives: Sequence[Objective], winner_number: int | None) -> str:
    """Return the front as a picture and a table; "" for a search of one objective."""
    known = pareto_front(trials, objectives)
    if known is None:
        return ""

    heads = [heading("trial", "n"), heading("parameters")]
    heads += [heading(objective.metric, "n") for objective in objectives]
    rows = []
    for proposal, result in known.trials:
        name = f"{result.number} (knee)" if result.number == known.knee else result.number
        cells = [cell(name, "n"), cell(params_text(proposal.params))]
        values = zip(objectives, result.values or (), strict=False)
        cells += [cell(figure(objective.metric, value), "n") for objective, value in values]
        rows.append(row(cells, "won" if result.number == winner_number else ""))

    body = html_figure("pareto", front_figure(trials, known))
    body += f'<div class="tall scroll">{table(rows, heads)}</div>'
    return card("Pareto front", body, _front_note(known), wide=True)


def _front_note(known: ParetoFront) -> str:
    directions = ", ".join(f"{each.direction} {each.metric}" for each in known.objectives)
    note = (
        f"{directions}. No trial beats one of these in everything; trial {known.knee} is the knee, "
        "where the least of one is given up for the others."
    )
    if known.hypervolume is not None:
        note += f" Hypervolume: {known.hypervolume:.1%} of the box that all trials span."
    return note


def importance_card(figures: Plots) -> str:
    """Return each parameter's share of the importance."""
    title = "Importance of the parameters"
    if figures.importance is None:
        return card(title, f"<p>Shown from {LEAST_TRIALS} completed trials on.</p>")
    note = "What it took to be among the better trials (PED-ANOVA); a guess while trials are few."
    return card(title, html_figure("importance", figures.importance), note)


def definition_card(header: SearchHeader, winner: WinnerRecord | None, space: Space) -> str:
    """Return the definition that the search went by last, its data and versions, and the seeds."""
    domains = {name: describe(domain) for name, domain in space.domains.items()}
    facts = {
        "study_hash": header.study_hash,
        "data": header.data.to_json(),
        "git_commit": header.git_commit,
        "begun_with": header.source,
        "versions_of": header.versions_of,
    }
    known_facts = {name: fact for name, fact in facts.items() if fact}

    entries = dict(flat({**header.definition, "space": domains}))
    entries |= dict(flat(known_facts))
    if winner is not None:
        entries["fresh seeds"] = ", ".join(str(seed) for seed in winner.standing.seeds)
    if len(header.versions) > 1:
        entries["versions"] = f"{len(header.versions)}; the last is shown"

    rows = []
    for name, value in entries.items():
        rows.append(row([cell(name), html_cell(f"<code>{html_text(value)}</code>")]))
    return card("Definition and seeds", f'<div class="tall">{table(rows)}</div>')
