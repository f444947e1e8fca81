"""`make courses`: run every study of the courses at its defaults and put their figures into the README."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click
import numpy as np

from tuning.dataset import Dataset
from tuning.errors import MissingError, TuningError
from tuning.home import tuning_home
from tuning.options import RunOptions
from tuning.reports.summary import Summary
from tuning.run import run_study
from tuning.study import Study, load_study

BEGIN, END = "<!-- courses: begin, written by `make courses` -->", "<!-- courses: end -->"
HEAD = ("study", "metric", "winner, test", "linear", "dummy", "known answer or target", "seconds")
OUTER_FOLDS = 5


@dataclass(frozen=True)
class Known:
    """What is known of a study.

    Attributes:
        metric: The one shown.
        said: In words.
        bound: The winner's test metric must reach it; None: no bound.
        outer: Judge it by the mean over 5 outer folds, since its test part alone is too small.
    """

    metric: str
    said: str
    bound: float | None = None
    outer: bool = False

    def reached(self, value: float) -> bool:
        """Whether the bound is met; smaller is better for rmse alone."""
        if self.bound is None:
            return True
        return value <= self.bound if self.metric == "rmse" else value >= self.bound


COURSES: Mapping[str, Known] = {
    "housing": Known("rmse", "≤ 0.56", 0.56),
    "housing_grid": Known("rmse", "the courses' grid: SGD, 30 epochs, 2 folds"),
    "wide_deep": Known("rmse", "the courses' wide & deep network"),
    "mnist": Known("accuracy", "≥ 0.92; 300–100 with Adam on 5,000 digits: 0.932–0.946", 0.92),
    "digits": Known("accuracy", "≥ 0.95", 0.95),
    "faces": Known("accuracy", "above the majority, 0.692", 0.692),
    "blobs": Known("accuracy", "≥ 0.90; the optimum is about 0.915", 0.90),
    "circles": Known("accuracy", "≥ 0.76; the Bayes limit is 0.829", 0.76),
    "moons": Known("accuracy", "above the straight line"),
    "iris": Known("accuracy", "≥ 0.93, mean of 5 outer folds", 0.93, outer=True),
    "iris_pair": Known("accuracy", "1: a line separates them", 1.0),
    "perceptron": Known("accuracy", "about the straight line's, 0.915"),
    "survived": Known("accuracy", "above the majority, 0.678", 0.678),
    "multilabel": Known("auc", "about the linear models'"),
    "multi_output": Known("rmse", "the noise, 0.05"),
}


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, or why nothing was."""

    study: str
    known: Known
    winner: float = float("nan")
    linear: float = float("nan")
    dummy: float = float("nan")
    seconds: float = 0.0
    skipped: str = ""
    failed: str = ""

    @property
    def cells(self) -> tuple[str, ...]:
        """The line's cells, in the order of `HEAD`."""
        if self.skipped or self.failed:
            return (f"`{self.study}`", self.known.metric, self.skipped or self.failed, "–", "–", self.known.said, "–")
        missed = "" if self.known.reached(self.winner) else " **missed**"
        figures = (f"{value:.3f}" for value in (self.linear, self.dummy))
        told = (f"`{self.study}`", self.known.metric, f"**{self.winner:.3f}**{missed}", *figures)
        return (*told, self.known.said, f"{self.seconds:.0f}")


@dataclass(frozen=True)
class OuterFold:
    """A data set whose test part is one of several folds, by class and shuffled; validation is left to the study."""

    data: Callable[[], Dataset]
    fold: int
    folds: int = field(default=OUTER_FOLDS)

    def __call__(self) -> Dataset:
        """Return the data set with its rows of training and test fixed."""
        from dataclasses import replace

        from sklearn.model_selection import StratifiedKFold

        whole = self.data()
        cut = StratifiedKFold(self.folds, shuffle=True, random_state=0).split(np.zeros(len(whole.y)), whole.y)
        train, test = list(cut)[self.fold]
        return replace(whole, parts={"train": train, "test": test})


def measured(name: str, known: Known, home: Path) -> Row:
    """Run a study afresh at its defaults; return its line."""
    try:
        summaries = [run_study(study, RunOptions(home=str(home), fresh=True)) for study in _searches(name, known)]
    except MissingError as error:
        click.echo(f"{name}: {error}", err=True)
        return Row(name, known, skipped="skipped: its data could not be fetched here")
    except TuningError as error:
        return Row(name, known, failed=f"failed: {str(error).splitlines()[0]}")
    return Row(
        name, known,
        winner=_mean(summaries, lambda s: s.test[known.metric]),
        linear=_mean(summaries, lambda s: s.linear[known.metric]),
        dummy=_mean(summaries, lambda s: s.dummy[known.metric]),
        seconds=sum(summary.total_s for summary in summaries),
    )  # fmt: skip


def _searches(name: str, known: Known) -> Iterator[Study | str]:
    if not known.outer:
        yield name
        return
    study = load_study(name)
    for fold in range(OUTER_FOLDS):
        yield study.with_(name=f"{name}-outer-{fold}", data=OuterFold(study.data, fold))


def _mean(summaries: Sequence[Summary], value: Callable[[Summary], float]) -> float:
    return statistics.fmean(map(value, summaries))


def markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    lines = [HEAD, tuple("---" if cell != "seconds" else "--:" for cell in HEAD), *(row.cells for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def put_between(text: str, table: str) -> str | None:
    """Return a README's text with the table between the two markers, or None where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}\n{end}{after}" if begin and end else None


@click.command("courses")
@click.argument("studies", nargs=-1)
@click.option("--readme", type=click.Path(path_type=Path), default=Path("README.md"), show_default=True)
def courses(studies: tuple[str, ...], readme: Path) -> int:
    """Run STUDIES (all of the courses where none is named) and write their figures into the README.

    The searches are made afresh in a state folder of their own, `courses` within TUNING_HOME. What needs the internet
    and does not get it is skipped, and says so. The README is written only when all of them were run.
    """
    unknown = [name for name in studies if name not in COURSES]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r}; there are: {', '.join(COURSES)}")
    home = tuning_home() / "courses"
    os.environ["TUNING_HOME"] = str(home)  # of the workers, which load the data
    rows = []
    for name in studies or COURSES:
        rows.append(measured(name, COURSES[name], tuning_home()))
        click.echo(" | ".join(rows[-1].cells), err=True)
    table = markdown(rows)
    click.echo(table)
    if not studies and readme.exists():
        written = put_between(readme.read_text(encoding="utf-8"), table)
        if written is None:
            click.echo(f"{readme} has no place for the table: put {BEGIN} and {END} into it", err=True)
        else:
            readme.write_text(written, encoding="utf-8")
    return 1 if any(row.failed or not (row.skipped or row.known.reached(row.winner)) for row in rows) else 0


if __name__ == "__main__":
    raise SystemExit(courses(standalone_mode=False))
