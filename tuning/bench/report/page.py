"""The report of a benchmark: one HTML file that needs no network, and pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tuning.bench.plan import BenchPlan
from tuning.bench.report import tables
from tuning.bench.report.charts import asked_times
from tuning.bench.report.figures import Panel, anytime_figure, write_anytime_png
from tuning.bench.report.ranks_figure import ranks_figure, write_ranks_png
from tuning.bench.report.words import method, rank_sentences, study_sentences
from tuning.bench.run import Benched
from tuning.bench.statistics.anytime import Budget, Score, bands
from tuning.bench.statistics.overview import Statistics, StudyFigures
from tuning.bench.statistics.records import AnytimeRun
from tuning.ledger.search import SearchFiles
from tuning.reports import plots
from tuning.reports.axes import describe
from tuning.reports.page import card, html_figure, html_text, write_page
from tuning.reports.summary import Trials
from tuning.reports.texts import seconds_text
from tuning.trial import Proposal, TrialResult

_MOST_DRAWN = 2000  # trials in the parallel coordinates; more are a grey field, and a slow one


@dataclass(frozen=True)
class Written:
    """Where a report is.

    Attributes:
        page: The HTML.
        pictures: PNGs of the same figures.
    """

    page: Path
    pictures: tuple[Path, ...]


def write_bench_report(
    folder: Path, benched: Sequence[Benched], plan: BenchPlan, found: Statistics
) -> Written:
    """Write page and pictures into `folder`; those of the same studies and budget are replaced.

    Raises:
        StorageError: The disk is full or read-only.
    """
    names = [each.looked.record.name for each in benched]
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", f"bench-{'-'.join(names)[:100]}-{plan.budget.text}")
    parts = [_heading(benched, plan), '<div class="grid">', _words(found)]
    if found.ranks is not None:
        note = "Mean ranks over the studies, 1 is the best; engines joined by a bar are not told apart (Nemenyi)."
        parts.append(
            card(
                "Ranks over the studies",
                html_figure("ranks", ranks_figure(found.ranks)),
                note,
                wide=True,
            )
        )
    for at, (each, told) in enumerate(zip(benched, found.studies, strict=True)):
        parts += _study(each, told, plan, at, titled=len(benched) > 1)
    parts += [_counting(plan, found), "</div>"]
    page = write_page(folder / f"{stem}.html", f"bench · {', '.join(names)}", "\n".join(parts))
    return Written(page, tuple(_pictures(folder / stem, benched, found)))


def _heading(benched: Sequence[Benched], plan: BenchPlan) -> str:
    runs = [run for each in benched for run in each.runs]
    chips: list[tuple[object, str]] = [(len(plan.choices), "engines"), (plan.seeds, "seeds")]
    chips += [
        (plan.budget.words, "for each search"),
        (f"{sum(run.epochs for run in runs):,}", "epochs in all"),
    ]
    chips.append((seconds_text(sum(run.seconds for run in runs)), "in training"))
    told = "".join(
        f'<span class="chip"><b>{html_text(count)}</b> {name}</span>' for count, name in chips
    )
    names = ", ".join(each.looked.record.name for each in benched)
    return f'<h1>Which engine? <span>{html_text(names)}</span></h1><div class="chips">{told}</div>'


def _words(found: Statistics) -> str:
    """Say what is supported; what is not, and what it would take, behind a fold: pairs are many."""
    said = _paragraphs([] if found.ranks is None else rank_sentences(found.ranks))
    for study in found.studies:
        told = study_sentences(study, found)
        first = 1 + max(1, sum(pair.verdict == "supported" for pair in study.pairs))
        said += _paragraphs(told[:first])
        if told[first:]:
            title = "Pairs that are not told apart, and how many more seeds it might take"
            said += f"<details><summary>{title}</summary>{_paragraphs(told[first:])}</details>"
    return f'<section class="card wide winner"><h2>What is supported</h2>{said}</section>'


def _paragraphs(sentences: Sequence[str]) -> str:
    return "".join(f"<p>{html_text(sentence)}</p>" for sentence in sentences)


def _study(
    benched: Benched, told: StudyFigures, plan: BenchPlan, at: int, *, titled: bool
) -> Iterator[str]:
    curves = [run.curve for run in benched.runs]
    if titled:
        yield f'<h1 class="wide">{html_text(told.study)}</h1>'
    unit = "seconds" if plan.budget.kind == "time" else "epochs"
    yield card("Standing", tables.standing(told, unit), tables.standing_note(told), wide=True)
    yield from _curves(curves, at)
    yield card("Each two engines", tables.pairs(told.pairs), tables.PAIRS_NOTE, wide=True)
    note = "The engine's own time: asking it for the proposal, and telling it the result before. Median over the seeds."
    yield card("Time per proposal", html_figure(f"asked-{at}", asked_times(curves)), note)
    yield from _parameters(benched, at)
    yield card(
        "Searches",
        f'<div class="tall">{tables.searches(benched.runs)}</div>',
        "Press a heading to sort.",
        wide=True,
    )
    yield _definition(benched)


def _curves(curves: Sequence[AnytimeRun], at: int) -> Iterator[str]:
    for panel in _panels(curves, "epochs") + _panels(curves, "seconds"):
        note = "Of the incumbent: median over the seeds, the band holds the middle half."
        name = f"curve-{at}-{panel.title}".replace(", ", "-").replace(" ", "-")
        yield card(panel.title, html_figure(name, anytime_figure(panel)), note)


def _panels(curves: Sequence[AnytimeRun], budget: Budget) -> list[Panel]:
    """Return validation and, where there are any, test scores over one budget."""
    metric = curves[0].metric
    engines = tuple(dict.fromkeys(run.engine for run in curves))
    tested = any(test is not None for run in curves for test in run.tests)
    parts: list[tuple[Score, str, str]] = [("validation", "Validation", metric)]
    parts += [("test", "Test", f"test {metric.removeprefix('val_')}")] if tested else []
    return [
        Panel(f"{part}, over {budget}", name, budget, bands(curves, budget, score), engines)
        for score, part, name in parts
    ]


def _parameters(benched: Benched, at: int) -> Iterator[str]:
    record, trials = benched.looked.record, _trials(benched)
    drawn = plots.draw(trials[:_MOST_DRAWN], record.space, record.objective)
    note = "Of all engines' trials together: what it took to be among the better ones (PED-ANOVA)."
    yield card(
        "Importance of the parameters", html_figure(f"importance-{at}", drawn.importance), note
    )
    few = f"The first {_MOST_DRAWN} of {len(trials)} trials. " if len(trials) > _MOST_DRAWN else ""
    note = f"{few}One line a completed trial, of any engine and seed. {drawn.note}"
    yield card(
        "All parameters at once", html_figure(f"parallel-{at}", drawn.parallel), note, wide=True
    )


def _trials(benched: Benched) -> Trials:
    """Return the finished trials of all searches, numbered anew, without curves and without copies."""
    space = benched.looked.record.space
    trials: list[tuple[Proposal, TrialResult]] = []
    for search in benched.looked.searches:
        files = SearchFiles(search.folder)
        for proposal in files.proposals(space):
            result = files.result(proposal.number)
            if result is not None and result.copied_from is None:
                number = len(trials)
                trials.append(
                    (replace(proposal, number=number), replace(result, number=number, folds=()))
                )
    return trials


def _definition(benched: Benched) -> str:
    record = benched.looked.record
    data = record.data
    rows: list[tuple[str, Any]] = [
        (name, describe(domain)) for name, domain in record.space.domains.items()
    ]
    rows += [
        ("epochs", f"at most {record.epochs} a trial"),
        ("patience", record.patience),
        ("folds", record.cv),
    ]
    rows += [
        (
            "rows",
            f"train {data.train} · validation {data.validation} · test {data.test}",
        )
    ]
    rows += [("data", f"{data.name}, sha256 {data.digest[:16]}")]
    rows += [(name, said) for name, notices in benched.looked.notices.items() for said in notices]
    body = "".join(
        f"<tr><td>{html_text(name)}</td><td>{html_text(value)}</td></tr>"
        for name, value in rows
        if value is not None
    )
    return card(
        "What was searched, and what the engines made of it",
        f"<table><tbody>{body}</tbody></table>",
        wide=True,
    )


def _counting(plan: BenchPlan, found: Statistics) -> str:
    rules = (
        f"Each search had {plan.budget.words}. Searches of one seed share splits and training seeds, whatever the "
        "engine; another seed is another split.",
        "Every trial counts with what it cost: pruned and failed ones too, one that failed before its first epoch as "
        "one epoch. An equal proposal is not trained again, but costs what it did the first time.",
        "A trial that was under way when the budget was used up brought nothing: its epochs count, its value does not.",
        "Seconds are those of training and validation, on one slot a search; the engine's own time is told apart.",
        "The incumbent is the completed trial with the best validation value so far. Its weights were also scored on "
        "the test part; no engine was told, nothing was chosen by it.",
    )
    listed = "".join(f"<li>{html_text(rule)}</li>" for rule in (*rules, *method(found)))
    return card("How it was counted", f"<ul>{listed}</ul>", wide=True)


def _pictures(stem: Path, benched: Sequence[Benched], found: Statistics) -> Iterator[Path]:
    for each in benched:
        name = each.looked.record.name
        curves = [run.curve for run in each.runs]
        budgets: tuple[Budget, ...] = ("epochs", "seconds")
        for budget in budgets:
            yield write_anytime_png(
                _panels(curves, budget), stem.with_name(f"{stem.name}-{name}-{budget}.png")
            )
    if found.ranks is not None:
        yield write_ranks_png(found.ranks, stem.with_name(f"{stem.name}-ranks.png"))
