"""scikit-learn's GridSearchCV, RandomizedSearchCV and both halving searches, unchanged, behind ask
and tell.
"""

from __future__ import annotations

import csv
import io
import threading
import warnings
from collections import deque
from collections.abc import Mapping
from concurrent.futures import InvalidStateError
from typing import Any

import joblib

from tuning.data.packing import by_identity, pack
from tuning.data.parts import Parts
from tuning.engines.capturing_backend import CapturingBackend, Fit
from tuning.engines.scikit_search import arrays_of, make_search
from tuning.study.study import Study
from tuning.trial import EpochReport, FoldResult, Pause, Proposal, Status, TrialResult


class _Closed(Exception):
    """The engine was closed while the search was running."""


class ScikitEngine:
    """Runs `search.fit(X, y)` in a thread; each candidate of a round is a trial, with all its
    folds.

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
        self._known = arrays_of(parts, study.cv)
        self._sign = -1 if study.objective.direction == "minimize" else 1
        self._search, self.notices = make_search(study, parts)
        self._news = threading.Condition()
        self._thread = threading.Thread(target=self._fit, name="scikit-learn search", daemon=True)
        self._arriving: list[Fit] = []
        self._ready: deque[list[Fit]] = deque()
        self._whole = False  # all candidates of the round have been handed over
        self._open: dict[int, list[Fit]] = {}
        self._asked = 0
        self._numbers: dict[str, int] = {}  # candidate -> its trial in the newest round
        self._ended = self._closing = False
        self._error: BaseException | None = None

    def ask(self, number: int) -> Proposal | Pause:
        """Return the next candidate; waits until scikit-learn has handed it over, so the answer is
        certain.
        """
        if number != self._asked:
            raise ValueError(f"asks come in order: expected trial {self._asked}, got {number}")
        if not self._thread.ident:
            self._thread.start()
        with self._news:
            self._news.wait_for(lambda: self._ready or self._ended or (self._whole and self._open))
            if self._error is not None:
                raise self._error
            if not self._ready:
                return Pause.EXHAUSTED if self._ended else Pause.WAIT
            fits = self._ready.popleft()
        self._asked += 1
        self._open[number] = fits
        return self._proposal(number, fits)

    def adopt(self, proposal: Proposal) -> bool:
        """Nothing: scikit-learn knows what it has proposed."""
        return False

    def report(self, report: EpochReport) -> bool:
        """scikit-learn hears of a fit when it has ended; nothing is pruned."""
        return False

    def tell(self, result: TrialResult) -> None:
        """Resolve the candidate's fits; those without a score get NaN, scikit-learn's
        `error_score`.
        """
        folds = (
            {fold.fold: fold for fold in result.folds} if result.status is Status.COMPLETED else {}
        )
        for fit in self._open.pop(result.number):
            fit.answer.set_result([self._answer(fit, folds.get(fit.place[2]))])

    def artifacts(self) -> Mapping[str, str]:
        """Return `cv_results.csv`: `cv_results_` as scikit-learn made it, once the search has
        ended.
        """
        results = getattr(self._search, "cv_results_", None)
        return {} if results is None else {"cv_results.csv": _as_csv(results)}

    def close(self) -> None:
        """End the search's thread."""
        with self._news:
            self._closing = True
            waiting = [
                *self._arriving,
                *(f for fits in (*self._ready, *self._open.values()) for f in fits),
            ]
        for fit in waiting:
            _refuse(fit)
        if self._thread.ident:
            self._thread.join()

    def _fit(self) -> None:
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
                self._search.fit(self._known["X"], self._known["y"])
        except _Closed:
            pass
        except BaseException as error:  # whatever it is, the thread that asks must hear of it
            self._error = error
        finally:
            with self._news:
                self._ended = True
                self._news.notify_all()

    def _take(self, fit: Fit) -> None:
        candidate, candidates, fold, folds = fit.place
        with self._news:
            if self._closing:
                raise _Closed
            self._arriving.append(fit)
            self._whole = (candidate, fold) == (candidates - 1, folds - 1)
            if fold == folds - 1:
                self._ready.append(self._arriving)
                self._arriving = []
                self._news.notify_all()

    def _proposal(self, number: int, fits: list[Fit]) -> Proposal:
        given = fits[0].parameters
        params = {name: given[name] for name in self._study.space if name in given}
        parent = self._numbers.get(repr(params)) if "epochs" in given else None
        self._numbers[repr(params)] = number
        call = pack([(fit.args, fit.kwargs) for fit in fits], by_identity(self._known))
        epochs = int(given.get("epochs", self._study.epochs))
        return Proposal(number, params, epochs, parent, continued=False, call=call)

    def _answer(self, fit: Fit, fold: FoldResult | None) -> dict[str, Any]:
        """Return what `_fit_and_score` would have. `fit_error` is never set: were all set,
        scikit-learn would raise.
        """
        value = float("nan") if fold is None else self._sign * fold.value
        scores = {} if fold is None else fold.scores
        return {
            "test_scores": float(scores.get("test_scores", value)),
            "fit_time": float(scores.get("fit_time", 0.0 if fold is None else fold.seconds)),
            "score_time": float(scores.get("score_time", 0.0)),
            "n_test_samples": int(scores.get("n_test_samples", len(fit.kwargs["test"]))),
            "fit_error": None,
        }


def _refuse(fit: Fit) -> None:
    try:
        fit.answer.set_exception(_Closed())
    except InvalidStateError:
        return  # told already


def _as_csv(results: Mapping[str, Any]) -> str:
    """Return one row a candidate; what does not exist under its conditions is empty."""
    import numpy as np

    columns: dict[str, Any] = {
        name: np.ma.filled(np.ma.asarray(values, dtype=object), "")
        for name, values in results.items()
        if name != "params"  # said by the columns param_…
    }
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return text.getvalue()
