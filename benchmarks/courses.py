"""`make courses`: run every study of the courses; put their figures into docs/courses.md."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import click
import numpy as np

from tuning.data.dataset import Dataset
from tuning.errors import MissingError, TuningError
from tuning.executors.forkserver import ForkServer
from tuning.ledger.header import git_commit
from tuning.ledger.winner import Margin
from tuning.reports.summary import Summary
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.search.stop_request import go_on_after
from tuning.storage.durable import read_json, write_json
from tuning.storage.home import tuning_home
from tuning.study.study import Study, load_study

BEGIN = "<!-- courses: begin, written by `make courses` -->"
END = "<!-- courses: end -->"
HEAD = (
    "study",
    "metric",
    "winner, test",
    "linear",
    "dummy",
    "ahead of linear",
    "known answer or target",
    "seconds",
)
OUTER_FOLDS = 5

_FIGURES = ("winner", "linear", "dummy", "ahead", "error", "seconds")  # those that are remembered

SURE = 2.0
"""From so many standard errors of the difference on a winner is better, or worse, than linear."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """What is known of a study.

    Attributes:
        metric: The one shown, that of the study's objective.
        words: What is known, for the table.
        bound: The winner's test metric must reach it; None: no bound.
        bends: A straight line is not enough here: the winner must be better than the linear
            baseline.
        outer: Judge it by the mean over 5 outer folds, since its test part alone is too small.
    """

    metric: str
    words: str
    bound: float | None = None
    bends: bool = False
    outer: bool = False

    def reached(self, value: float) -> bool:
        """Whether the bound is met; smaller is better for rmse alone."""
        if self.bound is None:
            return True
        return value <= self.bound if self.metric == "rmse" else value >= self.bound


COURSES: Mapping[str, Known] = {
    "housing": Known(metric="rmse", words="≤ 0.56", bound=0.56, bends=True),
    "housing_grid": Known(metric="rmse", words="the courses' grid: SGD, 30 epochs, 2 folds"),
    "wide_deep": Known(metric="rmse", words="the courses' wide & deep network"),
    "mnist": Known(
        metric="accuracy",
        words="≥ 0.92; 300–100 with Adam on 5,000 digits: 0.932–0.946",
        bound=0.92,
        bends=True,
    ),
    "digits": Known(metric="accuracy", words="≥ 0.95", bound=0.95),
    "faces": Known(metric="accuracy", words="above the majority, 0.692", bound=0.692),
    "blobs": Known(metric="accuracy", words="≥ 0.90; the optimum is about 0.915", bound=0.90),
    "circles": Known(
        metric="accuracy", words="≥ 0.76; the Bayes limit is 0.829", bound=0.76, bends=True
    ),
    "moons": Known(metric="accuracy", words="above the straight line", bends=True),
    "iris": Known(metric="accuracy", words="≥ 0.93, mean of 5 outer folds", bound=0.93, outer=True),
    "iris_pair": Known(metric="accuracy", words="1: a line separates them", bound=1.0),
    "perceptron": Known(metric="accuracy", words="about the straight line's, 0.915"),
    "survived": Known(metric="accuracy", words="above the majority, 0.678", bound=0.678),
    "multilabel": Known(metric="auc", words="about the linear models'"),
    "multi_output": Known(metric="rmse", words="the noise, 0.05"),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table: what was measured, or why nothing was.

    Attributes:
        study: Its name.
        known: What is known of it.
        winner: The winner's metric on the test part.
        linear: That of the linear baseline.
        dummy: That of a model that looks at no feature.
        ahead: How much better than the linear baseline the winner is on the test part.
        error: The standard error of that difference.
        seconds: Of the whole search.
        skipped: Why it was not run, else "".
        failed: Why it gave no figures, else "".
    """

    study: str
    known: Known
    winner: float = math.nan
    linear: float = math.nan
    dummy: float = math.nan
    ahead: float = math.nan
    error: float = math.nan
    seconds: float = 0.0
    skipped: str = ""
    failed: str = ""

    @property
    def verdict(self) -> str:
        """The winner against the linear baseline, as far as the test part tells."""
        if abs(self.ahead) <= SURE * self.error:
            return "as good"
        return "better" if self.ahead > 0 else "worse"

    @property
    def faults(self) -> tuple[str, ...]:
        """What keeps the study from what is asked of it; a skipped one has none."""
        if self.skipped:
            return ()
        if self.failed:
            return (self.failed,)

        faults = []
        if not self.known.reached(self.winner):
            faults.append("missed")
        allowed = ("better",) if self.known.bends else ("better", "as good")
        if self.verdict not in allowed:
            faults.append(f"{self.verdict}, not {' or '.join(allowed)}")
        return tuple(faults)

    @property
    def cells(self) -> tuple[str, ...]:
        """The line's cells, in the order of `HEAD`."""
        name = f"`{self.study}`"
        reason = self.skipped or self.failed
        if reason:
            return (name, self.known.metric, reason, "–", "–", "–", self.known.words, "–")

        faults = f" **{'; '.join(self.faults)}**" if self.faults else ""
        return (
            name,
            self.known.metric,
            f"**{self.winner:.3f}**{faults}",
            f"{self.linear:.3f}",
            f"{self.dummy:.3f}",
            f"{self.ahead:+.3f} ± {self.error:.3f}, {self.verdict}",
            self.known.words,
            f"{self.seconds:.0f}",
        )


@dataclass(frozen=True)
class OuterFold:
    """A data set whose test part is one of several folds, by class and shuffled.

    The validation part is left to the study.
    """

    data: Callable[[], Dataset]
    fold: int
    folds: int = field(default=OUTER_FOLDS)

    def __call__(self) -> Dataset:
        """Return the data set with its rows of training and test fixed."""
        from sklearn.model_selection import StratifiedKFold

        whole = self.data()
        folds = StratifiedKFold(self.folds, shuffle=True, random_state=0)
        no_features = np.zeros(len(whole.y))  # it stratifies by y alone
        train, test = list(folds.split(no_features, whole.y))[self.fold]
        return replace(whole, parts={"train": train, "test": test})


def measured(name: str, known: Known, home: Path, forkserver: ForkServer | None = None) -> Row:
    """Run a study afresh at its defaults; return its line."""
    options = RunOptions(home=str(home), fresh=True)
    try:
        summaries = [_searched(study, options, forkserver) for study in _searches(name, known)]
    except MissingError as error:
        click.echo(f"{name}: {error}", err=True)
        return Row(study=name, known=known, skipped="skipped: its data could not be fetched here")
    except TuningError as error:
        reason = str(error).splitlines()[0]
        return Row(study=name, known=known, failed=f"failed: {reason}")

    unknown = Margin(difference=math.nan, standard_error=math.nan)
    margins = [summary.margin or unknown for summary in summaries]
    errors = [margin.standard_error for margin in margins]
    return Row(
        study=name,
        known=known,
        winner=statistics.fmean(summary.test[known.metric] for summary in summaries),
        linear=statistics.fmean(summary.linear[known.metric] for summary in summaries),
        dummy=statistics.fmean(summary.dummy[known.metric] for summary in summaries),
        ahead=statistics.fmean(margin.difference for margin in margins),
        error=math.hypot(*errors) / len(errors),
        seconds=sum(summary.total_s for summary in summaries),
    )


def _searched(study: Study | str, options: RunOptions, forkserver: ForkServer | None) -> Summary:
    summary = run_study(study, options, forkserver=forkserver)
    go_on_after(summary.status)
    return summary


def _searches(name: str, known: Known) -> Iterator[Study | str]:
    if not known.outer:
        yield name
        return
    study = load_study(name)
    for fold in range(OUTER_FOLDS):
        yield study.with_(name=f"{name}-outer-{fold}", data=OuterFold(study.data, fold))


def remembered(name: str, known: Known, home: Path) -> Row | None:
    """Return the line that an earlier call has measured; None where the study has changed since."""
    stored = read_json(_row_file(name, home))
    if stored is None or stored.get("of") != _what_was_measured(name):
        return None
    return Row(study=name, known=known, **stored["figures"])


def remember(row: Row, home: Path) -> None:
    """Remember a line that was measured, for a later `make courses`."""
    if row.skipped or row.failed:
        return
    figures = {figure: getattr(row, figure) for figure in _FIGURES}
    of = _what_was_measured(row.study)
    write_json(_row_file(row.study, home), {"of": of, "figures": figures})


def _what_was_measured(name: str) -> list[Any]:
    """Return what a line was measured of: the study with its budget, and this code."""
    study = load_study(name)
    return [study.hash, study.trials, study.top_k, study.seeds, git_commit()]


def _row_file(name: str, home: Path) -> Path:
    return home / "rows" / f"{name}.json"


def markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    rule = tuple("--:" if cell == "seconds" else "---" for cell in HEAD)
    lines = [HEAD, rule, *(row.cells for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def put_between(text: str, table: str, first: str = BEGIN, last: str = END) -> str | None:
    """Return a page's text with the table between two markers, or None where it has none."""
    before, begin, rest = text.partition(first)
    _, end, after = rest.partition(last)
    if not begin or not end:
        return None
    return f"{before}{begin}\n{table}\n{end}{after}"


@click.command("courses")
@click.argument("studies", nargs=-1)
@click.option(
    "--page",
    type=click.Path(path_type=Path),
    default=Path("docs/courses.md"),
    show_default=True,
    help="The page whose table is written.",
)
@click.option(
    "--again", is_flag=True, help="Also run those whose figures an earlier call has left."
)
def courses(studies: tuple[str, ...], page: Path, again: bool) -> int:
    """Run STUDIES (all of the courses where none is named) and write their figures into a page.

    The searches are made afresh in a state folder of their own, `courses` within TUNING_HOME. A
    study that was run there and has not changed since is not run again. What needs the internet and
    does not get it is skipped, and says so. The page is written only when all of them were asked
    for.
    """
    unknown = [name for name in studies if name not in COURSES]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r}; there are: {', '.join(COURSES)}")

    # The data is fetched into TUNING_HOME's own cache.
    home = tuning_home(str(tuning_home() / "courses"))
    rows = list(_rows(studies or tuple(COURSES), home, again=again))
    table = markdown(rows)
    click.echo(table)

    if not studies and page.exists():
        text = put_between(page.read_text(encoding="utf-8"), table)
        if text is None:
            hint = f"put {BEGIN} and {END} into it"
            click.echo(f"{page} has no place for the table: {hint}", err=True)
        else:
            page.write_text(text, encoding="utf-8")
    return 1 if any(row.faults for row in rows) else 0


def _rows(names: Sequence[str], home: Path, *, again: bool) -> Iterator[Row]:
    with ForkServer() as forkserver:
        for name in names:
            known = COURSES[name]
            row = None if again else remembered(name, known, home)
            if row is None:
                row = measured(name, known, home, forkserver)
                remember(row, home)
            click.echo(" | ".join(row.cells), err=True)
            yield row


if __name__ == "__main__":
    raise SystemExit(courses(standalone_mode=False))
