"""What we read of scikit-learn's scorers is there, and is what they do."""

from __future__ import annotations

from sklearn.metrics import fbeta_score, get_scorer, make_scorer, max_error

from tuning.study.fingerprint import metric_fingerprint
from tuning.study.scorer_internals import (
    accepts_weights,
    is_scorer,
    reads_classes,
    scored_function,
)


def test_a_scorer_tells_its_function_its_predictions_and_its_weights():
    scorer = make_scorer(fbeta_score, beta=2)
    assert is_scorer(scorer)
    assert not is_scorer(fbeta_score)
    assert scored_function(scorer) is fbeta_score
    assert reads_classes(scorer)
    assert not reads_classes(get_scorer("roc_auc"))
    assert accepts_weights(scorer)
    assert not accepts_weights(make_scorer(max_error, greater_is_better=False))


def test_a_scorers_settings_are_part_of_its_fingerprint():
    by_two = metric_fingerprint(make_scorer(fbeta_score, beta=2))
    assert by_two == metric_fingerprint(make_scorer(fbeta_score, beta=2))
    assert by_two != metric_fingerprint(make_scorer(fbeta_score, beta=3))
    assert by_two != metric_fingerprint(fbeta_score)
