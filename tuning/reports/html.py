"""The report of one search: a single HTML file that needs no network."""

from __future__ import annotations

import importlib
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from tuning.errors import StorageError
from tuning.ledger.records import SearchHeader, WinnerRecord
from tuning.reports import plots
from tuning.reports.axes import describe
from tuning.reports.importance import LEAST_TRIALS
from tuning.reports.page import card, html_figure, html_text, write_page
from tuning.reports.summary import Trials, count_trials, ranked
from tuning.reports.texts import failure_groups, score, seconds_text, shown, spread
from tuning.study.objective import Objective
from tuning.study.space import Space
from tuning.trial import Proposal, TrialResult

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_BASELINES = (
    ("linear", "linear baseline, test"),
    ("perceptron", "perceptron, test"),
    ("dummy", "dummy baseline, test"),
)


def load_libraries(completed: int) -> threading.Thread:
    """Import in a thread what `write_report` will need, for while the driver waits for workers;
    return the thread.

    Args:
        completed: Trials; where they are enough for importances, Optuna's bring scikit-learn: a
            second.
    """
    names = (
        ("plotly.subplots", "optuna.importance")
        if completed >= LEAST_TRIALS
        else ("plotly.subplots",)
    )

    def load() -> None:
        with suppress(ImportError):  # told by `write_report`
            for name in names:
                importlib.import_module(name)

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
) -> Path:
    """Write `<folder>/<search id>.html` and return its path; a report that is there already is
    replaced.

    Args:
        folder: `<TUNING_HOME>/reports`; made where it is missing.
        header: Of the search; the last of its definitions is shown.
        trials: Every finished trial.
        winner: None: none was chosen.
        space: For the types and scales of the parameters.
        objective: What the trials were judged by.
        range_tests: Cards (HTML) of the range tests from which a learning rate has its bounds.

    Raises:
        StorageError: The disk is full or read-only, or the id cannot be a file's name.
    """
    name = header.id
    if not _ID.fullmatch(name):
        raise StorageError(
            f"search id {name!r} cannot be the name of a report; use letters, digits, '.', '_', '-'"
        )
    drawn = plots.draw(trials, space, objective)
    parts = (
        _heading(header, trials),
        '<div class="grid">',
        _winner(winner, header.data.unit, objective),
        _failures(trials),
        _diagnosis(winner, trials, objective),
        card("Best so far", html_figure("history", drawn.history), drawn.note),
        card("Learning curves", html_figure("curves", drawn.curves), "The best five in colour."),
        card(
            "All parameters at once",
            html_figure("parallel", drawn.parallel),
            "One line a completed trial. " + drawn.note,
            wide=True,
        ),
        card("Each parameter alone", _scroll(drawn.slices, len(space)), wide=True),
        range_tests,
        _importance(drawn),
        _definition(header, winner, space),
        _trial_table(trials, space, objective, winner),
        "</div>",
    )
    title = f"{header.study} · {header.engine}"
    return write_page(folder / f"{name}.html", title, "\n".join(parts))


def _heading(header: SearchHeader, trials: Trials) -> str:
    begun = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(header.created_at))
    chips: list[tuple[int | str, str]] = [
        (count, name) for name, count in count_trials(trials).items()
    ]
    chips.append((sum(result.epochs for _, result in trials), "epochs"))
    chips.append((seconds_text(sum(result.training_s for _, result in trials)), "in training"))
    shown_chips = "".join(
        f'<span class="chip"><b>{count}</b> {name}</span>' for count, name in chips
    )
    return (
        f"<h1>{html_text(header.study)} <span>{html_text(header.engine)}</span></h1>"
        f'<p class="soft">search <code>{html_text(header.id)}</code> begun {begun}</p>'
        f'<div class="chips">{shown_chips}</div>'
    )


def _winner(winner: WinnerRecord | None, unit: str, objective: Objective) -> str:
    if winner is None:
        return card("Winner", "<p>None was chosen: no trial was trained again on fresh seeds.</p>")
    params = "".join(
        f"<code>{html_text(n)} = {html_text(shown(v))}</code>" for n, v in winner.params.items()
    )
    standing = winner.standing
    test = winner.evaluation.test
    baseline = winner.evaluation.baseline
    metrics = list(dict.fromkeys([objective.name, *test]))
    mean = f"{score(standing.mean)} ± {spread(standing.std or 0.0)}"
    rows = [("winner, validation", [mean, *[""] * (len(metrics) - 1)], "")]
    rows.append(("winner, test", [score(test.get(m)) for m in metrics], "lead"))
    for key, label in _BASELINES:
        if values := baseline.get(key):
            rows.append((label, [score(values.get(m)) for m in metrics], ""))
    head = "".join(f'<th class="n">{html_text(m)}</th>' for m in metrics)
    body = "".join(
        f'<tr class="{kind}"><td>{label}</td>{"".join(f"<td class=n>{html_text(c)}</td>" for c in cells)}</tr>'
        for label, cells, kind in rows
    )
    of_target = f" One unit of the target is {html_text(unit)}." if unit else ""
    by_seed = zip(standing.seeds, standing.values, strict=True)
    seeds = ", ".join(f"{seed}: {score(value)}" for seed, value in by_seed)
    return (
        f'<section class="card winner"><h2>Winner: trial {winner.number}</h2>'
        f'<div class="params">{params}</div>'
        f"<table><thead><tr><th></th>{head}</tr></thead><tbody>{body}</tbody></table>"
        f'<p class="soft">The best mean over {len(standing.seeds)} fresh seeds ({html_text(seeds)}); '
        f"the test part was looked at once.{of_target}</p></section>"
    )


def _failures(trials: Trials) -> str:
    groups = failure_groups(trials)
    if not groups:
        return card("What failed", "<p>Nothing.</p>")
    rows = "".join(
        f"<tr><td class=n>{len(g.numbers)} ×</td><td>{html_text(g.text)}<br><span class=soft>"
        f"trial{'s' * (len(g.numbers) > 1)} {', '.join(map(str, g.numbers))}</span></td></tr>"
        for g in groups
    )
    return card("What failed", f'<div class="tall"><table><tbody>{rows}</tbody></table></div>')


def _diagnosis(winner: WinnerRecord | None, trials: Trials, objective: Objective) -> str:
    """Say what is wrong with the winner and the best trials, and how often each verdict was given
    in all.
    """
    won = None if winner is None else winner.number
    best = [result for _, result in ranked(trials, objective)[:5]]
    shown_first = [result for _, result in trials if result.number == won]
    rows = "".join(
        f"<tr{' class=won' if result.number == won else ''}><td class=n>{result.number}</td>"
        f'<td><span class="tag {html_text(verdict.severity)}">{html_text(verdict.name)}</span></td>'
        f"<td>{html_text(verdict.words)}</td></tr>"
        for result in {r.number: r for r in [*shown_first, *best]}.values()
        for verdict in result.diagnosis
    )
    counts = Counter(verdict.name for _, result in trials for verdict in result.diagnosis)
    told = ", ".join(f"{name} {count}" for name, count in counts.most_common())
    note = f"Of all {len(trials)} trials: {told}." if told else "No trial has a verdict."
    head = '<thead><tr><th class="n">trial</th><th>verdict</th><th>what was seen, and what to try</th></tr></thead>'
    table = f"<table>{head}<tbody>{rows}</tbody></table>"
    return card("Diagnosis", table if rows else "<p>The best trials: nothing.</p>", note, wide=True)


def _importance(drawn: plots.Plots) -> str:
    if drawn.importance is None:
        return card(
            "Importance of the parameters", f"<p>Told from {LEAST_TRIALS} completed trials on.</p>"
        )
    note = "What it took to be among the better trials (PED-ANOVA); a guess while trials are few."
    return card("Importance of the parameters", html_figure("importance", drawn.importance), note)


def _definition(header: SearchHeader, winner: WinnerRecord | None, space: Space) -> str:
    versions = header.versions
    spelled = {name: describe(domain) for name, domain in space.domains.items()}
    pairs = list(_flat({**versions[-1], "space": spelled}))
    facts = {
        "study_hash": header.study_hash,
        "data": header.data.to_json(),
        "git_commit": header.git_commit,
        "versions_of": header.versions_of,
    }
    pairs += _flat({name: fact for name, fact in facts.items() if fact})
    if winner is not None:
        pairs.append(("fresh seeds", ", ".join(map(str, winner.standing.seeds))))
    if len(versions) > 1:
        pairs.append(("versions", f"{len(versions)}; the last is shown"))
    rows = "".join(
        f"<tr><td>{html_text(name)}</td><td><code>{html_text(value)}</code></td></tr>"
        for name, value in pairs
    )
    return card(
        "Definition and seeds", f'<div class="tall"><table><tbody>{rows}</tbody></table></div>'
    )


def _flat(definition: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in definition.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def _trial_table(
    trials: Trials, space: Space, objective: Objective, winner: WinnerRecord | None
) -> str:
    names = list(dict.fromkeys([*space, *(n for p, _ in trials for n in p.params)]))
    heads = [
        "trial",
        *names,
        objective.metric,
        "epochs",
        "seconds",
        "seed",
        "slot",
        "status",
        "diagnosis",
        "notices",
    ]
    head = "".join(f"<th><button>{html_text(name)}</button></th>" for name in heads)
    won = None if winner is None else winner.number
    body = "".join(_trial_row(p, r, names, won) for p, r in trials)
    table = f'<table class="sortable"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return card(
        "Trials", f'<div class="tall scroll">{table}</div>', "Press a heading to sort.", wide=True
    )


def _trial_row(proposal: Proposal, result: TrialResult, names: list[str], won: int | None) -> str:
    status = result.status.value
    cells = [_cell(result.number, str(result.number))]
    cells += [
        _cell(proposal.params[n], shown(proposal.params[n]))
        if n in proposal.params
        else "<td data-v></td>"
        for n in names
    ]
    value = "" if result.value is None else result.value
    cells += [
        _cell(value, score(result.value)),
        _cell(result.epochs, str(result.epochs)),
        _cell(result.seconds, f"{result.seconds:.1f}"),
        _cell(result.seed, str(result.seed)),
        _cell(result.slot, result.slot),
        f'<td data-v="{status}"><span class="tag {status}">{status}</span></td>',
    ]
    cells.append(_cell(*[", ".join(verdict.name for verdict in result.diagnosis)] * 2))
    copied = [f"as trial {result.copied_from}"] if result.copied_from is not None else []
    cells.append(_cell("", "; ".join([*copied, *filter(None, [result.error]), *result.notices])))
    return f"<tr{' class=won' if result.number == won else ''}>{''.join(cells)}</tr>"


def _cell(key: Any, text: str) -> str:
    return f'<td data-v="{html_text(key)}">{html_text(text)}</td>'


def _scroll(figure: Any, columns: int) -> str:
    return f'<div class="scroll"><div style="min-width:{170 * columns}px">{html_figure("slices", figure)}</div></div>'
