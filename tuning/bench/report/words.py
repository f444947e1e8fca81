"""A benchmark's statistics in sentences: which differences are supported, which are not, and what
it would take.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tuning.bench.statistics.overview import EngineFigures, Statistics, StudyFigures
from tuning.bench.statistics.pairs import Pair
from tuning.bench.statistics.ranks import Ranks
from tuning.reports.texts import score

_MOST_SEEDS = 1000  # beyond, nobody would wait for them


def sentences(found: Statistics) -> list[str]:
    """Return all that is to be said, the studies first, then the ranks over them."""
    told = [sentence for study in found.studies for sentence in study_sentences(study, found)]
    return told + (rank_sentences(found.ranks) if found.ranks is not None else [])


def study_sentences(study: StudyFigures, found: Statistics) -> list[str]:
    """Return what one study says: who is best, then each pair, supported ones first."""
    if all(engine.validation is None for engine in study.engines):
        return [
            f"{study.study}: no engine's median search completed a trial, so there is nothing to compare."
        ]
    told = [_best(study, found)]
    if study.pairs and all(pair.n < study.seeds_needed for pair in study.pairs):
        told.append(_too_few(study, found.alpha))
        return told
    supported = [pair for pair in study.pairs if pair.verdict == "supported"]
    told += [supported_sentence(pair, study, found.alpha) for pair in supported]
    if study.pairs and not supported:
        told.append(f"{study.study}: no difference between two engines is supported.")
    told += [
        unsupported_sentence(pair, study) for pair in study.pairs if pair.verdict != "supported"
    ]
    return told


def supported_sentence(pair: Pair, study: StudyFigures, alpha: float = 0.05) -> str:
    """Return one supported difference in words."""
    word = "lower" if study.direction == "minimize" else "higher"
    gain = "" if pair.gain is None else f", by {score(pair.gain)} in the median{_between(pair)}"
    tested = f"p = {probability(pair.p_holm)}{_corrected(study)}"
    return (
        f"{study.study}: {pair.first} reaches a {word} {study.metric} than {pair.second}{gain}; "
        f"{_record(pair)}, {tested}. Supported.{_test_words(pair, alpha)}"
    )


def unsupported_sentence(pair: Pair, study: StudyFigures) -> str:
    """Return why a pair is not told apart, and how many more seeds might do it."""
    head = f"{study.study}: {pair.first} and {pair.second}"
    if pair.verdict == "no pairs":
        return f"{head} have no seed in common and cannot be compared."
    if pair.verdict == "equal":
        return f"{head} ended with equal values on all {_seeds(pair.n)}; no number of seeds is known to part them."
    if not pair.effect:
        return f"{head} are not told apart and lean to neither side ({_record(pair)})."
    return (
        f"{head} are not told apart ({_record(pair)}, p = {probability(pair.p_holm)}{_corrected(study)}). "
        f"{more_seeds(pair.seeds_more)}"
    )


def more_seeds(seeds: int | None) -> str:
    """Return how many seeds are missing, in words."""
    if seeds is None:
        return "There is no lean that more seeds could confirm."
    count = (
        f"more than {_MOST_SEEDS:,} more seeds"
        if seeds > _MOST_SEEDS
        else f"about {_seeds(seeds, 'more ')}"
    )
    return (
        f"If the lean seen so far is real, {count} would be needed to support it with 80 % power."
    )


def rank_sentences(ranks: Ranks) -> list[str]:
    """Return what the ranks over studies say."""
    order = ", ".join(
        f"{name} {value:.2f}" for name, value in zip(ranks.engines, ranks.ranks, strict=True)
    )
    told = [f"Mean ranks over {ranks.studies} studies (1 is best): {order}."]
    p = probability(ranks.friedman.p)
    if ranks.friedman.p > ranks.alpha:
        told.append(
            f"Over these studies the engines are not told apart (Friedman, p = {p}); more studies are needed."
        )
    elif not ranks.supported:
        told.append(
            f"The engines do differ (Friedman, p = {p}), but no two of them by the critical difference of "
            f"{ranks.critical_difference:.2f} ranks (Nemenyi): these studies are too few to say which."
        )
    else:
        pairs = "; ".join(f"{better} ranks above {worse}" for better, worse in ranks.supported)
        told.append(
            f"Supported over these studies (Friedman, p = {p}; Nemenyi, critical difference "
            f"{ranks.critical_difference:.2f}): {pairs}."
        )
    if ranks.left_out:
        told.append(
            f"Not ranked, for they did not run on every study: {', '.join(ranks.left_out)}."
        )
    return told


def method(found: Statistics) -> list[str]:
    """Return how the figures were computed, for the foot of a report."""
    level = f"{1 - found.alpha:.0%}"
    return [
        "An engine's score is the last incumbent's validation value; its test score steers nothing. A search that has "
        "ended keeps its incumbent; one without a completed trial is worse than any other.",
        f"Pairs: Wilcoxon's signed-rank test over seeds (two-sided, zeros split evenly), Holm's correction over all "
        f"pairs of a study, supported at p ≤ {found.alpha:g}; test scores are tested only where that is so.",
        f"Intervals: {level} percentile bootstrap of the median. Bands: quartiles over seeds.",
        "Normalised regret: 0 is the best value known on the study, 1 the median of the first completed trials; beyond "
        "that, and before a trial is completed, it is 1. Area: its mean over the budget.",
        "Seeds needed: normal approximation of the signed-rank test (Noether 1987) at the observed effect, 80 % power, "
        "the level of Holm's first step; rather too many where the effect is large.",
        "Ranks: of the medians on each study; Friedman's test by permutation, Nemenyi's critical difference (Demšar "
        "2006).",
    ]


def probability(p: float) -> str:
    """Write a p-value with two digits, `< 0.0001` below."""
    return "< 0.0001" if p < 1e-4 else f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _best(study: StudyFigures, found: Statistics) -> str:
    first = study.engines[0]
    ahead = [
        pair.second
        for pair in study.pairs
        if pair.verdict == "supported" and pair.first == first.engine
    ]
    rest = [engine.engine for engine in study.engines[1:] if engine.engine not in ahead]
    median = (
        f"{study.study}: the best median {study.metric} after {_amount(study.end, found.budget)} is "
        f"{score(first.validation)}, by {first.engine} over {_seeds(first.runs)}"
    )
    if not study.engines[1:]:
        return f"{median}."
    if not ahead:
        return f"{median}; that it is better than {_any(rest)} is not supported.{_failed(study.engines)}"
    tail = f", not against {_listed(rest)}" if rest else ""
    return f"{median}; supported against {_listed(ahead)}{tail}.{_failed(study.engines)}"


def _too_few(study: StudyFigures, alpha: float) -> str:
    most = max(pair.n for pair in study.pairs)
    count = len(study.pairs)
    of = f" in {count} comparisons" if count > 1 else ""
    return (
        f"{study.study}: {_seeds(most)} can support no difference, however large: p ≤ {alpha:g}{of} takes at least "
        f"{study.seeds_needed} seeds for each engine. {_seeds(study.seeds_needed - most, 'more ')} would be the least."
    )


def _failed(engines: Sequence[EngineFigures]) -> str:
    return "".join(
        f" {engine.engine}: {engine.runs - engine.with_value} of {engine.runs} searches completed no trial."
        for engine in engines
        if engine.with_value < engine.runs
    )


def _test_words(pair: Pair, alpha: float) -> str:
    if pair.test_p is None:
        return ""
    if pair.test_p <= alpha and pair.test_gain is not None and pair.test_gain > 0:
        return f" The test part says the same (p = {probability(pair.test_p)})."
    return f" The test part does not bear it out (p = {probability(pair.test_p)})."


def _record(pair: Pair) -> str:
    ties = f", {pair.ties} ties" if pair.ties else ""
    return f"better in {pair.wins}, worse in {pair.losses} of {_seeds(pair.n)}{ties}"


def _between(pair: Pair) -> str:
    if pair.interval is None:
        return ""
    low, high = pair.interval
    return f" ({score(low)} to {score(high)})"


def _corrected(study: StudyFigures) -> str:
    return f" after correction for {len(study.pairs)} comparisons" if len(study.pairs) > 1 else ""


def _amount(end: float, budget: str) -> str:
    return f"{end:,.0f} {budget}" if end >= 10 else f"{end:.3g} {budget}"


def _seeds(count: int, kind: str = "") -> str:
    return f"{count} {kind}seed{'s' * (count != 1)}"


def _any(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"any of the other {len(names)}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(_pieces(names))


def _pieces(names: Sequence[str]) -> Iterator[str]:
    yield from names[:-2]
    yield " and ".join(names[-2:])
