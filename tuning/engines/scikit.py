"""scikit-learn's four search classes, unchanged, behind ask and tell."""

from __future__ import annotations

import csv
import io
import threading
import warnings
from collections import deque
from collections.abc import Mapping
from concurrent.futures import InvalidStateError

import joblib

from tuning.data.packing import by_identity, pack
from tuning.data.parts import Parts
from tuning.engines.capturing_backend import CapturingBackend, Fit
from tuning.engines.scikit_internals import Scores
from tuning.engines.scikit_search import arrays_of, make_search
from tuning.study.study import Study
from tuning.trial import EpochReport, FoldResult, Pause, Proposal, Status, TrialResult


class _Closed(Exception):
    """The engine was closed while the search was running."""


class ScikitEngine:
    """Runs `search.fit(X, y)` in a thread; each candidate of a round, with its folds, is a trial.

    Told results become what `_fit_and_score` returned, so a search that is resumed is told what is
    recorded and trains the rest: scikit-learn itself cannot resume (scikit-learn#17069).

    Args:
        study: Its engine names the class.
        parts: The data; `search_part` is what the search is given.

    Raises:
        StudyError: The space is too large for scikit-learn.
    """

    def __init__(self, study: Study, parts: Parts) -> None:
        self._study = study
        self._arrays = arrays_of(parts, study.cv)
        self._sign = -1 if study.objective.direction == "minimize" else 1
        self._search, self.notices = make_search(study, parts)
        self._thread = threading.Thread(target=self._fit, name="scikit-learn search", daemon=True)

        # What the search's thread and the one that asks share, under `_news`.
        self._news = threading.Condition()
        self._arriving: list[Fit] = []  # the first folds of a candidate
        self._ready: deque[list[Fit]] = deque()  # candidates with all their folds
        self._round_is_whole = False  # all candidates of the round have been handed over
        self._ended = False
        self._closing = False
        self._error: BaseException | None = None

        self._open: dict[int, list[Fit]] = {}
        self._next_number = 0
        self._numbers: dict[str, int] = {}  # candidate -> its trial in the newest round

    def ask(self, number: int) -> Proposal | Pause:
        """Return the next candidate.

        Waits until scikit-learn has handed it over, so the answer is certain.
        """
        if number != self._next_number:
            raise ValueError(
                f"asks come in order: expected trial {self._next_number}, got {number}"
            )
        if not self._thread.ident:
            self._thread.start()
        with self._news:
            self._news.wait_for(self._can_answer)
            if self._error is not None:
                raise self._error
            if not self._ready:
                return Pause.EXHAUSTED if self._ended else Pause.WAIT
            fits = self._ready.popleft()
        self._next_number += 1
        self._open[number] = fits
        return self._proposal(number, fits)

    def _can_answer(self) -> bool:
        waits_for_results = self._round_is_whole and bool(self._open)
        return bool(self._ready) or self._ended or waits_for_results

    def adopt(self, proposal: Proposal) -> bool:
        """Nothing: scikit-learn knows what it has proposed."""
        return False

    def report(self, report: EpochReport) -> bool:
        """scikit-learn hears of a fit when it has ended; nothing is pruned."""
        return False

    def tell(self, result: TrialResult) -> None:
        """Resolve the candidate's fits; without a score with NaN, scikit-learn's `error_score`."""
        folds = {}
        if result.status is Status.COMPLETED:
            folds = {fold.fold: fold for fold in result.folds}
        for fit in self._open.pop(result.number):
            fold = folds.get(fit.call.place.fold)
            fit.answer.set_result([self._answer(fit, fold)])

    def artifacts(self) -> Mapping[str, str]:
        """Return `cv_results.csv`, scikit-learn's `cv_results_`, once the search has ended."""
        results = getattr(self._search, "cv_results_", None)
        return {} if results is None else {"cv_results.csv": _as_csv(results)}

    def close(self) -> None:
        """End the search's thread."""
        with self._news:
            self._closing = True
            waiting = [*self._arriving]
            for fits in (*self._ready, *self._open.values()):
                waiting += fits
        for fit in waiting:
            _refuse(fit)
        if self._thread.ident:
            self._thread.join()

    def _fit(self) -> None:
        """Be the search's thread."""
        try:
            with (
                joblib.parallel_config(backend=CapturingBackend(self._take)),
                warnings.catch_warnings(),
            ):
                # A candidate that failed or diverged is NaN; the user reads it in the trial, not in
                # a warning.
                warnings.filterwarnings(
                    "ignore", message="One or more of the test scores are non-finite"
                )
                warnings.filterwarnings("ignore", message="The total space of parameters")
                self._search.fit(self._arrays["X"], self._arrays["y"])
        except _Closed:
            pass
        except BaseException as error:  # whatever it is, the thread that asks must hear of it
            self._error = error
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _take(self, fit: Fit) -> None:
        """Take one fit that scikit-learn hands over; they come candidate by candidate."""
        place = fit.call.place
        with self._news:
            if self._closing:
                raise _Closed
            self._arriving.append(fit)
            self._round_is_whole = place.is_last
            if place.is_last_fold:
                self._ready.append(self._arriving)
                self._arriving = []
                self._news.notify_all()

    def _proposal(self, number: int, fits: list[Fit]) -> Proposal:
        parameters = fits[0].call.parameters
        params = {name: parameters[name] for name in self._study.space if name in parameters}
        # A halving search sets the epochs of each round.
        parent = None
        if "epochs" in parameters and "epochs" not in self._study.space:
            parent = self._numbers.get(repr(params))
        self._numbers[repr(params)] = number

        calls = [tuple(fit.call) for fit in fits]
        return Proposal(
            number,
            params,
            epochs=int(parameters.get("epochs", self._study.epochs)),
            parent=parent,
            continued=False,
            call=pack(calls, by_identity(self._arrays)),
        )

    def _answer(self, fit: Fit, fold: FoldResult | None) -> Scores:
        """Return what `_fit_and_score` would have.

        `fit_error` is never set: were all set, scikit-learn would raise.
        """
        value = float("nan")
        seconds = 0.0
        scores: Scores = {}
        if fold is not None:
            value = self._sign * fold.value
            seconds = fold.seconds
            scores = fold.scores
        return {
            "test_scores": float(scores.get("test_scores", value)),
            "fit_time": float(scores.get("fit_time", seconds)),
            "score_time": float(scores.get("score_time", 0.0)),
            "n_test_samples": int(scores.get("n_test_samples", fit.call.test_rows)),
            "fit_error": None,
        }


def _refuse(fit: Fit) -> None:
    try:
        fit.answer.set_exception(_Closed())
    except InvalidStateError:
        return  # its trial has ended, and the answer is there already


def _as_csv(results: Scores) -> str:
    """Return one row a candidate; what does not exist under its conditions is empty."""
    import numpy as np

    columns: Scores = {
        name: np.ma.filled(np.ma.asarray(values, dtype=object), "")
        for name, values in results.items()
        if name != "params"  # said by the columns param_…
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
