"""The report of a benchmark: one HTML file that needs no network, and pictures beside it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuning.bench.plan import BenchPlan
from tuning.bench.report import tables
from tuning.bench.report.charts import asked_times
from tuning.bench.report.figures import Panel, anytime_figure, write_anytime_png
from tuning.bench.report.ranks_figure import ranks_figure, write_ranks_png
from tuning.bench.report.words import method, rank_sentences, study_sentences
from tuning.bench.run import BenchedStudy
from tuning.bench.statistics.anytime import Budget, Score, bands
from tuning.bench.statistics.overview import Statistics, StudyFigures
from tuning.bench.statistics.records import AnytimeRun
from tuning.ledger.search import SearchFiles
from tuning.reports import plots
from tuning.reports.axes import describe
from tuning.reports.page import card, cell, html_figure, html_text, row, table, write_page
from tuning.reports.summary import Trials
from tuning.reports.texts import seconds_text
from tuning.trial import Proposal, TrialResult

_MOST_DRAWN = 2000  # trials in the parallel coordinates; more are a grey field, and a slow one

_BUDGETS: tuple[Budget, ...] = ("epochs", "seconds")


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
    folder: Path, studies: Sequence[BenchedStudy], plan: BenchPlan, statistics: Statistics
) -> Written:
    """Write page and pictures into `folder`; those of the same studies and budget are replaced.

    Raises:
        StorageError: The disk is full or read-only.
    """
    names = [study.name for study in studies]
    stem = f"bench-{'-'.join(names)[:100]}-{plan.budget.text}"
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", stem)

    parts = [_heading(studies, plan), '<div class="grid">', _conclusions(statistics)]
    if statistics.ranks is not None:
        parts.append(
            card(
                "Ranks over the studies",
                html_figure("ranks", ranks_figure(statistics.ranks)),
                "Mean ranks over the studies, 1 is the best; engines joined by a bar are not told "
                "apart (Nemenyi).",
                wide=True,
            )
        )
    for place, (study, figures) in enumerate(zip(studies, statistics.studies, strict=True)):
        if len(studies) > 1:
            parts.append(f'<h1 class="wide">{html_text(study.name)}</h1>')
        parts += _study_cards(study, figures, plan, place)
    parts += [_rules(plan, statistics), "</div>"]

    page = write_page(folder / f"{stem}.html", f"bench · {', '.join(names)}", "\n".join(parts))
    return Written(page, tuple(_pictures(folder / stem, studies, statistics)))


def _heading(studies: Sequence[BenchedStudy], plan: BenchPlan) -> str:
    names = ", ".join(study.name for study in studies)
    runs = [run for study in studies for run in study.runs]
    epochs = sum(run.epochs for run in runs)
    seconds = sum(run.seconds for run in runs)

    chips = (
        _chip(len(plan.choices), "engines"),
        _chip(plan.seeds, "seeds"),
        _chip(plan.budget.words, "for each search"),
        _chip(f"{epochs:,}", "epochs in all"),
        _chip(seconds_text(seconds), "in training"),
    )
    return (
        f"<h1>Which engine? <span>{html_text(names)}</span></h1>"
        f'<div class="chips">{"".join(chips)}</div>'
    )


def _chip(amount: object, label: str) -> str:
    return f'<span class="chip"><b>{html_text(amount)}</b> {label}</span>'


def _conclusions(statistics: Statistics) -> str:
    """Say what is supported; what is not stands behind a fold, for pairs are many."""
    body = ""
    if statistics.ranks is not None:
        body += _paragraphs(rank_sentences(statistics.ranks))

    for study in statistics.studies:
        sentences = study_sentences(study, statistics)
        supported = sum(pair.verdict == "supported" for pair in study.pairs)
        n_open = 1 + max(1, supported)  # who is best, then the supported ones, or that none is
        body += _paragraphs(sentences[:n_open])

        folded = sentences[n_open:]
        if folded:
            title = "Pairs that are not told apart, and how many more seeds it might take"
            body += f"<details><summary>{title}</summary>{_paragraphs(folded)}</details>"
    return card("What is supported", body, wide=True, kind="winner")


def _paragraphs(sentences: Sequence[str]) -> str:
    return "".join(f"<p>{html_text(sentence)}</p>" for sentence in sentences)


def _study_cards(
    study: BenchedStudy, figures: StudyFigures, plan: BenchPlan, place: int
) -> Iterator[str]:
    """Yield all cards of one study; `place` makes the names of its figures unique on the page."""
    curves = [run.curve for run in study.runs]
    unit = "seconds" if plan.budget.kind == "time" else "epochs"
    yield card("Standing", tables.standing(figures, unit), tables.standing_note(figures), wide=True)

    for panel in [*_panels(curves, "epochs"), *_panels(curves, "seconds")]:
        name = f"curve-{place}-{panel.title}".replace(", ", "-").replace(" ", "-")
        yield card(
            panel.title,
            html_figure(name, anytime_figure(panel)),
            "Of the incumbent: median over the seeds, the band holds the middle half.",
        )

    yield card("Each two engines", tables.pairs(figures.pairs), tables.PAIRS_NOTE, wide=True)
    yield card(
        "Time per proposal",
        html_figure(f"asked-{place}", asked_times(curves)),
        "The engine's own time: asking it for the proposal, and telling it the result before. "
        "Median over the seeds.",
    )
    yield from _parameter_cards(study, place)

    yield card(
        "Searches",
        f'<div class="tall">{tables.searches(study.runs)}</div>',
        "Press a heading to sort.",
        wide=True,
    )
    yield _definition(study)


def _panels(curves: Sequence[AnytimeRun], budget: Budget) -> list[Panel]:
    """Return validation and, where there are any, test scores over one budget."""
    metric = curves[0].metric
    has_tests = any(test is not None for curve in curves for test in curve.tests)
    panels = [_panel(curves, budget, "validation", f"Validation, over {budget}", metric)]
    if has_tests:
        test_metric = f"test {metric.removeprefix('val_')}"
        panels.append(_panel(curves, budget, "test", f"Test, over {budget}", test_metric))
    return panels


def _panel(
    curves: Sequence[AnytimeRun], budget: Budget, score: Score, title: str, metric: str
) -> Panel:
    return Panel(
        title=title,
        metric=metric,
        unit=budget,
        bands=bands(curves, budget, score),
        names=tuple(dict.fromkeys(curve.engine for curve in curves)),
    )


def _parameter_cards(study: BenchedStudy, place: int) -> Iterator[str]:
    info = study.study.info
    trials = _trained_trials(study)
    drawn = plots.draw(trials[:_MOST_DRAWN], info.space, info.objective)
    yield card(
        "Importance of the parameters",
        html_figure(f"importance-{place}", drawn.importance),
        "Of all engines' trials together: what it took to be among the better ones (PED-ANOVA).",
    )

    note = f"One line a completed trial, of any engine and seed. {drawn.note}"
    if len(trials) > _MOST_DRAWN:
        note = f"The first {_MOST_DRAWN} of {len(trials)} trials. {note}"
    yield card(
        "All parameters at once", html_figure(f"parallel-{place}", drawn.parallel), note, wide=True
    )


def _trained_trials(study: BenchedStudy) -> Trials:
    """Return the finished trials of all searches, numbered anew, without curves and copies."""
    space = study.study.info.space
    trials: list[tuple[Proposal, TrialResult]] = []
    for search in study.study.searches:
        files = SearchFiles(search.folder)
        for proposal in files.proposals(space):
            result = files.result(proposal.number)
            if result is None or result.copied_from is not None:
                continue

            number = len(trials)
            numbered = replace(proposal, number=number)
            trials.append((numbered, replace(result, number=number, folds=())))
    return trials


def _definition(study: BenchedStudy) -> str:
    info = study.study.info
    data = info.data
    rows: list[tuple[str, object]] = []
    for name, domain in info.space.domains.items():
        rows.append((name, describe(domain)))
    rows += [
        ("compared by", study.study.compared_by or None),
        ("epochs", f"at most {info.epochs} a trial"),
        ("patience", info.patience),
        ("folds", info.cv),
        ("rows", f"train {data.train} · validation {data.validation} · test {data.test}"),
        ("data", f"{data.name}, sha256 {data.digest[:16]}"),
    ]
    for engine, notices in study.study.notices.items():
        rows += [(engine, notice) for notice in notices]

    body = table(row([cell(name), cell(value)]) for name, value in rows if value is not None)
    return card("What was searched, and what the engines made of it", body, wide=True)


def _rules(plan: BenchPlan, statistics: Statistics) -> str:
    rules = (
        f"Each search had {plan.budget.words}. Searches of one seed share splits and training "
        "seeds, whatever the engine; another seed is another split.",
        "Every trial counts with what it cost: pruned and failed ones too, one that failed before "
        "its first epoch as one epoch. An equal proposal is not trained again, but costs what it "
        "did the first time.",
        "A trial that was running when the budget was used up brought nothing: its epochs count, "
        "its value does not.",
        "Seconds are those of training and validation, on one slot a search; the engine's own time "
        "is reported apart.",
        "The incumbent is the completed trial with the best validation value so far. Its weights "
        "were also scored on the test set; no engine saw that score, nothing was chosen by it.",
    )
    items = "".join(f"<li>{html_text(rule)}</li>" for rule in (*rules, *method(statistics)))
    return card("How it was counted", f"<ul>{items}</ul>", wide=True)


def _pictures(
    stem: Path, studies: Sequence[BenchedStudy], statistics: Statistics
) -> Iterator[Path]:
    for study in studies:
        curves = [run.curve for run in study.runs]
        for budget in _BUDGETS:
            path = stem.with_name(f"{stem.name}-{study.name}-{budget}.png")
            yield write_anytime_png(_panels(curves, budget), path)
    if statistics.ranks is not None:
        yield write_ranks_png(statistics.ranks, stem.with_name(f"{stem.name}-ranks.png"))
