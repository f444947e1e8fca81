"""A benchmark's statistics in sentences: what is supported, what is not, what it would take."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.bench.statistics.overview import EngineFigures, Statistics, StudyFigures
from tuning.bench.statistics.pairs import Pair
from tuning.bench.statistics.ranks import Ranks
from tuning.reports.texts import score

_MOST_SEEDS = 1000  # beyond, nobody would wait for them


def sentences(statistics: Statistics) -> list[str]:
    """Return all that is to be said, the studies first, then the ranks over them."""
    lines = []
    for study in statistics.studies:
        lines += study_sentences(study, statistics)
    if statistics.ranks is not None:
        lines += rank_sentences(statistics.ranks)
    return lines


def study_sentences(study: StudyFigures, statistics: Statistics) -> list[str]:
    """Return what one study says: who is best, then each pair, supported ones first."""
    if all(engine.validation is None for engine in study.engines):
        return [
            f"{study.study}: no engine's median search completed a trial, "
            "so there is nothing to compare."
        ]

    lines = [_best_sentence(study, statistics)]
    if not study.pairs:
        return lines
    if all(pair.n < study.seeds_needed for pair in study.pairs):
        return [*lines, _too_few_seeds(study, statistics.alpha)]

    supported = [pair for pair in study.pairs if pair.verdict == "supported"]
    others = [pair for pair in study.pairs if pair.verdict != "supported"]
    lines += [supported_sentence(pair, study, statistics.alpha) for pair in supported]
    if not supported:
        lines.append(f"{study.study}: no difference between two engines is supported.")
    lines += [unsupported_sentence(pair, study) for pair in others]
    return lines


def supported_sentence(pair: Pair, study: StudyFigures, alpha: float = 0.05) -> str:
    """Return one supported difference in words."""
    word = "lower" if study.direction == "minimize" else "higher"
    gain = ""
    if pair.gain is not None:
        gain = f", by {score(pair.gain)} in the median{_interval(pair)}"
    return (
        f"{study.study}: {pair.first} reaches a {word} {study.metric} than {pair.second}{gain}; "
        f"{_wins(pair)}, {_p_holm(pair, study)}. Supported.{_on_test(pair, alpha)}"
    )


def unsupported_sentence(pair: Pair, study: StudyFigures) -> str:
    """Return why a pair is not told apart, and how many more seeds might do it."""
    head = f"{study.study}: {pair.first} and {pair.second}"
    if pair.verdict == "no pairs":
        return f"{head} have no seed in common and cannot be compared."

    if pair.verdict == "equal":
        return (
            f"{head} ended with equal values on all {_seeds(pair.n)}; "
            "no number of seeds is known to tell them apart."
        )

    if not pair.effect:
        return f"{head} are not told apart, and neither is ahead ({_wins(pair)})."
    return (
        f"{head} are not told apart ({_wins(pair)}, {_p_holm(pair, study)}). "
        f"{more_seeds(pair.seeds_more)}"
    )


def more_seeds(seeds: int | None) -> str:
    """Return how many seeds are missing, in words."""
    if seeds is None:
        return "Neither is ahead, so more seeds have nothing to confirm."

    if seeds > _MOST_SEEDS:
        count = f"more than {_MOST_SEEDS:,} more seeds"
    else:
        count = f"about {_seeds(seeds, 'more ')}"
    return (
        f"If the difference seen so far is real, {count} would be needed to support it "
        "with 80 % power."
    )


def rank_sentences(ranks: Ranks) -> list[str]:
    """Return what the ranks over studies say."""
    order = ", ".join(
        f"{engine} {rank:.2f}" for engine, rank in zip(ranks.engines, ranks.ranks, strict=True)
    )
    lines = [f"Mean ranks over {ranks.studies} studies (1 is best): {order}."]

    p = probability(ranks.friedman.p)
    difference = f"{ranks.critical_difference:.2f}"
    if ranks.friedman.p > ranks.alpha:
        lines.append(
            f"Over these studies the engines are not told apart (Friedman, p = {p}); "
            "more studies are needed."
        )
    elif not ranks.supported:
        lines.append(
            f"The engines do differ (Friedman, p = {p}), but no two of them by the critical "
            f"difference of {difference} ranks (Nemenyi): "
            "these studies are too few to say which."
        )
    else:
        pairs = "; ".join(f"{better} ranks above {worse}" for better, worse in ranks.supported)
        lines.append(
            f"Supported over these studies (Friedman, p = {p}; Nemenyi, critical difference "
            f"{difference}): {pairs}."
        )
    if ranks.left_out:
        engines = ", ".join(ranks.left_out)
        lines.append(f"Not ranked, since they did not run on every study: {engines}.")
    return lines


def method(statistics: Statistics) -> list[str]:
    """Return how the figures were computed, for the foot of a report."""
    level = f"{1 - statistics.alpha:.0%}"
    return [
        "An engine's score is the last incumbent's validation value; its test score decides "
        "nothing. A search that has ended keeps its incumbent; one without a completed trial is "
        "worse than any other.",
        "Pairs: Wilcoxon's signed-rank test over seeds (two-sided, zeros split evenly), Holm's "
        "correction over all pairs of a study, supported at "
        f"p ≤ {statistics.alpha:g}; test scores are tested only where that is so.",
        f"Intervals: {level} percentile bootstrap of the median. Bands: quartiles over seeds.",
        "Normalised regret: 0 is the best value known on the study, 1 the median of the first "
        "completed trials; beyond that, and before a trial is completed, it is 1. Area: its mean "
        "over the budget.",
        "Seeds needed: normal approximation of the signed-rank test (Noether 1987) at the observed "
        "effect, 80 % power, the level of Holm's first step; rather too many where the effect is "
        "large.",
        "Ranks: of the medians on each study; Friedman's test by permutation, Nemenyi's critical "
        "difference (Demšar 2006).",
    ]


def probability(p: float) -> str:
    """Write a p-value with two digits, `< 0.0001` below."""
    if p < 1e-4:
        return "< 0.0001"
    return f"{p:.2g}" if p < 0.1 else f"{p:.2f}"


def _best_sentence(study: StudyFigures, statistics: Statistics) -> str:
    """Say which engine has the best median, and against which others that is supported."""
    best, *others = study.engines
    median = (
        f"{study.study}: the best median {study.metric} "
        f"after {_amount(study.end, statistics.budget)} is {score(best.validation)}, "
        f"by {best.engine} over {_seeds(best.runs)}"
    )
    if not others:
        return f"{median}."

    beaten = [
        pair.second
        for pair in study.pairs
        if pair.verdict == "supported" and pair.first == best.engine
    ]
    rest = [engine.engine for engine in others if engine.engine not in beaten]
    note = _without_trials(study.engines)
    if not beaten:
        others_in_words = rest[0] if len(rest) == 1 else f"any of the other {len(rest)}"
        return f"{median}; that it is better than {others_in_words} is not supported.{note}"
    not_against = f", not against {_listed(rest)}" if rest else ""
    return f"{median}; supported against {_listed(beaten)}{not_against}.{note}"


def _too_few_seeds(study: StudyFigures, alpha: float) -> str:
    seeds = max(pair.n for pair in study.pairs)
    missing = _seeds(study.seeds_needed - seeds, "more ")
    comparisons = f" in {len(study.pairs)} comparisons" if len(study.pairs) > 1 else ""
    return (
        f"{study.study}: {_seeds(seeds)} can support no difference, however large: "
        f"p ≤ {alpha:g}{comparisons} takes at least {study.seeds_needed} seeds for each engine. "
        f"At least {missing} would be needed."
    )


def _without_trials(engines: Sequence[EngineFigures]) -> str:
    """Name the engines of which a search completed no trial; "" where there is none."""
    note = ""
    for engine in engines:
        failed = engine.runs - engine.with_value
        if failed:
            note += f" {engine.engine}: {failed} of {engine.runs} searches completed no trial."
    return note


def _on_test(pair: Pair, alpha: float) -> str:
    """Say whether the test scores agree; "" where they were not tested."""
    if pair.test_p is None:
        return ""
    p = probability(pair.test_p)
    agrees = pair.test_p <= alpha and pair.test_gain is not None and pair.test_gain > 0
    if agrees:
        return f" The test set says the same (p = {p})."
    return f" The test set does not confirm it (p = {p})."


def _wins(pair: Pair) -> str:
    text = f"better in {pair.wins}, worse in {pair.losses} of {_seeds(pair.n)}"
    return f"{text}, {pair.ties} ties" if pair.ties else text


def _p_holm(pair: Pair, study: StudyFigures) -> str:
    text = f"p = {probability(pair.p_holm)}"
    if len(study.pairs) > 1:
        text += f" after correction for {len(study.pairs)} comparisons"
    return text


def _interval(pair: Pair) -> str:
    if pair.interval is None:
        return ""
    low, high = pair.interval
    return f" ({score(low)} to {score(high)})"


def _amount(end: float, budget: str) -> str:
    return f"{end:,.0f} {budget}" if end >= 10 else f"{end:.3g} {budget}"


def _seeds(count: int, kind: str = "") -> str:
    return f"{count} {kind}seed" if count == 1 else f"{count} {kind}seeds"


def _listed(names: Sequence[str]) -> str:
    """Write "a", "a and b", "a, b and c"."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
