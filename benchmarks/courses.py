"""`make courses`: run every study of the courses at its defaults and put their figures into the
README.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np

from tuning.data.dataset import Dataset
from tuning.errors import MissingError, TuningError
from tuning.executors.forkserver import ForkServer
from tuning.ledger.records import Margin
from tuning.reports.summary import Summary
from tuning.search.header import git_commit
from tuning.search.options import RunOptions
from tuning.search.run import run_study
from tuning.search.stop_request import go_on_after
from tuning.storage.durable import read_json, write_json
from tuning.storage.home import tuning_home
from tuning.study.study import Study, load_study

BEGIN, END = "<!-- courses: begin, written by `make courses` -->", "<!-- courses: end -->"
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
_FIGURES = ("winner", "linear", "dummy", "ahead", "error", "seconds")
SURE = 2.0
"""Standard errors of the difference from which on a winner counts as better, or worse, than the
linear baseline.
"""


@dataclass(frozen=True)
class Known:
    """What is known of a study.

    Attributes:
        metric: The one shown, that of the study's objective.
        said: In words.
        bound: The winner's test metric must reach it; None: no bound.
        bends: A straight line is not enough here: the winner must be better than the linear
            baseline.
        outer: Judge it by the mean over 5 outer folds, since its test part alone is too small.
    """

    metric: str
    said: str
    bound: float | None = None
    bends: bool = False
    outer: bool = False

    def reached(self, value: float) -> bool:
        """Whether the bound is met; smaller is better for rmse alone."""
        if self.bound is None:
            return True
        return value <= self.bound if self.metric == "rmse" else value >= self.bound


COURSES: Mapping[str, Known] = {
    "housing": Known("rmse", "≤ 0.56", 0.56, bends=True),
    "housing_grid": Known("rmse", "the courses' grid: SGD, 30 epochs, 2 folds"),
    "wide_deep": Known("rmse", "the courses' wide & deep network"),
    "mnist": Known(
        "accuracy", "≥ 0.92; 300–100 with Adam on 5,000 digits: 0.932–0.946", 0.92, bends=True
    ),
    "digits": Known("accuracy", "≥ 0.95", 0.95),
    "faces": Known("accuracy", "above the majority, 0.692", 0.692),
    "blobs": Known("accuracy", "≥ 0.90; the optimum is about 0.915", 0.90),
    "circles": Known("accuracy", "≥ 0.76; the Bayes limit is 0.829", 0.76, bends=True),
    "moons": Known("accuracy", "above the straight line", bends=True),
    "iris": Known("accuracy", "≥ 0.93, mean of 5 outer folds", 0.93, outer=True),
    "iris_pair": Known("accuracy", "1: a line separates them", 1.0),
    "perceptron": Known("accuracy", "about the straight line's, 0.915"),
    "survived": Known("accuracy", "above the majority, 0.678", 0.678),
    "multilabel": Known("auc", "about the linear models'"),
    "multi_output": Known("rmse", "the noise, 0.05"),
}


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, or why nothing was.

    Attributes:
        ahead, error: How much better than the linear baseline the winner is on the test part, and
            the standard error of that difference.
    """

    study: str
    known: Known
    winner: float = float("nan")
    linear: float = float("nan")
    dummy: float = float("nan")
    ahead: float = float("nan")
    error: float = float("nan")
    seconds: float = 0.0
    skipped: str = ""
    failed: str = ""

    @property
    def verdict(self) -> str:
        """The winner against the linear baseline: better, worse, or as good as far as the test part
        tells.
        """
        if abs(self.ahead) <= SURE * self.error:
            return "as good"
        return "better" if self.ahead > 0 else "worse"

    @property
    def faults(self) -> tuple[str, ...]:
        """What keeps the study from what is asked of it; a skipped one has none."""
        if self.skipped or self.failed:
            return (self.failed,) if self.failed else ()
        missed = () if self.known.reached(self.winner) else ("missed",)
        allowed = ("better",) if self.known.bends else ("better", "as good")
        return (
            missed
            if self.verdict in allowed
            else (*missed, f"{self.verdict}, not {' or '.join(allowed)}")
        )

    @property
    def cells(self) -> tuple[str, ...]:
        """The line's cells, in the order of `HEAD`."""
        if told := self.skipped or self.failed:
            return (f"`{self.study}`", self.known.metric, told, "–", "–", "–", self.known.said, "–")
        faults = f" **{'; '.join(self.faults)}**" if self.faults else ""
        figures = (f"{value:.3f}" for value in (self.linear, self.dummy))
        ahead = f"{self.ahead:+.3f} ± {self.error:.3f}, {self.verdict}"
        told_first = (
            f"`{self.study}`",
            self.known.metric,
            f"**{self.winner:.3f}**{faults}",
            *figures,
            ahead,
        )
        return (*told_first, self.known.said, f"{self.seconds:.0f}")


@dataclass(frozen=True)
class OuterFold:
    """A data set whose test part is one of several folds, by class and shuffled; validation is left
    to the study.
    """

    data: Callable[[], Dataset]
    fold: int
    folds: int = field(default=OUTER_FOLDS)

    def __call__(self) -> Dataset:
        """Return the data set with its rows of training and test fixed."""
        from dataclasses import replace

        from sklearn.model_selection import StratifiedKFold

        whole = self.data()
        cut = StratifiedKFold(self.folds, shuffle=True, random_state=0).split(
            np.zeros(len(whole.y)), whole.y
        )
        train, test = list(cut)[self.fold]
        return replace(whole, parts={"train": train, "test": test})


def measured(name: str, known: Known, home: Path, forkserver: ForkServer | None = None) -> Row:
    """Run a study afresh at its defaults; return its line."""
    options = RunOptions(home=str(home), fresh=True)
    try:
        summaries = [_searched(study, options, forkserver) for study in _searches(name, known)]
    except MissingError as error:
        click.echo(f"{name}: {error}", err=True)
        return Row(name, known, skipped="skipped: its data could not be fetched here")
    except TuningError as error:
        return Row(name, known, failed=f"failed: {str(error).splitlines()[0]}")
    unknown = Margin(difference=math.nan, standard_error=math.nan)
    margins = [summary.margin or unknown for summary in summaries]
    errors = [margin.standard_error for margin in margins]
    return Row(
        name,
        known,
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


def kept(name: str, known: Known, home: Path) -> Row | None:
    """Return the line of a study that an earlier `make courses` has measured, unless the study has
    changed since.
    """
    stored = read_json(_row_file(name, home))
    if stored is None or stored.get("of") != _measured(name):
        return None
    return Row(name, known, **stored["figures"])


def keep(row: Row, home: Path) -> None:
    """Remember a line that was measured, for a later `make courses`."""
    if not (row.skipped or row.failed):
        figures = {figure: getattr(row, figure) for figure in _FIGURES}
        write_json(_row_file(row.study, home), {"of": _measured(row.study), "figures": figures})


def _measured(name: str) -> list[Any]:
    """Return what a line was measured of: the study with its budget, and this code."""
    study = load_study(name)
    return [study.hash, study.trials, study.top_k, study.seeds, git_commit()]


def _row_file(name: str, home: Path) -> Path:
    return home / "rows" / f"{name}.json"


def markdown(rows: Sequence[Row]) -> str:
    """Return the table."""
    lines = [
        HEAD,
        tuple("---" if cell != "seconds" else "--:" for cell in HEAD),
        *(row.cells for row in rows),
    ]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def put_between(text: str, table: str) -> str | None:
    """Return a README's text with the table between the two markers, or None where it has none."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    return f"{before}{begin}\n{table}\n{end}{after}" if begin and end else None


@click.command("courses")
@click.argument("studies", nargs=-1)
@click.option(
    "--readme", type=click.Path(path_type=Path), default=Path("README.md"), show_default=True
)
@click.option(
    "--again", is_flag=True, help="Also run those whose figures are kept from an earlier call."
)
def courses(studies: tuple[str, ...], readme: Path, again: bool) -> int:
    """Run STUDIES (all of the courses where none is named) and write their figures into the README.

    The searches are made afresh in a state folder of their own, `courses` within TUNING_HOME. A
    study that was run there and has not changed since is not run again. What needs the internet and
    does not get it is skipped, and says so. The README is written only when all of them were asked
    for.
    """
    unknown = [name for name in studies if name not in COURSES]
    if unknown:
        raise click.BadParameter(f"{unknown[0]!r}; there are: {', '.join(COURSES)}")
    home = tuning_home(
        str(tuning_home() / "courses")
    )  # the data is fetched into TUNING_HOME's own cache
    rows = list(_rows(studies or tuple(COURSES), home, again=again))
    table = markdown(rows)
    click.echo(table)
    if not studies and readme.exists():
        written = put_between(readme.read_text(encoding="utf-8"), table)
        if written is None:
            click.echo(
                f"{readme} has no place for the table: put {BEGIN} and {END} into it", err=True
            )
        else:
            readme.write_text(written, encoding="utf-8")
    return 1 if any(row.faults for row in rows) else 0


def _rows(names: Sequence[str], home: Path, *, again: bool) -> Iterator[Row]:
    with ForkServer() as forkserver:
        for name in names:
            row = None if again else kept(name, COURSES[name], home)
            if row is None:
                row = measured(name, COURSES[name], home, forkserver)
                keep(row, home)
            click.echo(" | ".join(row.cells), err=True)
            yield row


if __name__ == "__main__":
    raise SystemExit(courses(standalone_mode=False))
