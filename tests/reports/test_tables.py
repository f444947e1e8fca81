from __future__ import annotations

from dataclasses import replace
from io import StringIO

from rich.console import Console

from tuning.reports import tables
from tuning.reports.summary import Summary
from tuning.trial import Finding, Status


def printed(summary: Summary, width: int = 80) -> list[str]:
    console = Console(file=StringIO(), width=width, color_system=None)
    tables.summary(console, summary)
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_the_summary_fits_eighty_columns_but_for_its_first_line_and_the_paths(summary: Summary):
    assert max(map(len, printed(summary)[2:])) <= 80


def test_the_five_best_are_listed_with_a_column_for_each_parameter(summary: Summary):
    lines = printed(summary)
    counts = "15 completed, 1 pruned, 3 failed, 1 infeasible"
    assert lines[1] == f"housing · optuna:tpe finished after 183 s: {counts}"
    heads = lines[3].split()
    wanted = [
        "trial",
        "n_hidden",
        "n_neurons",
        "lr",
        "batch_size",
        "val_rmse",
        "epochs",
        "seconds",
        "status",
    ]
    assert heads == wanted
    assert [line.split()[0] for line in lines[5:10]] == ["0", "3", "6", "9", "12"]
    assert lines[5].split()[-4:] == ["0.5000", "30", "4.0", "completed"]


def test_pruned_trials_fill_the_table_only_after_completed_ones(summary: Summary):
    trials = [(p, r) for p, r in summary.trials if r.number in (18, 1, 2)]
    rows = printed(replace(summary, trials=trials))[5:8]
    assert [row.split()[0] for row in rows] == ["1", "2", "18"]


def test_the_winner_stands_beside_the_baselines(summary: Summary):
    lines = printed(summary)
    start = next(n for n, line in enumerate(lines) if line.startswith("Winner: trial 0, n_hidden="))
    assert [" ".join(line.split()) for line in lines[start + 2 : start + 9]] == [
        "rmse mae r2",
        "─" * len(lines[start + 3]),
        "winner, validation 0.5540 ± 0.0036",
        "winner, test 0.5531 0.3712 0.7712",
        "linear baseline, test 0.7301 0.5300 nan",
        "dummy baseline, test 1.153 0.9100 -0.0003",
        "± is the spread over 3 fresh seeds; rmse and mae in 100,000 USD",
    ]


def test_a_winner_without_scores_is_told_with_the_reason(summary: Summary):
    lines = printed(replace(summary, test={}, not_scored="its evaluation failed: ValueError: no"))
    assert "The winner is not scored: its evaluation failed: ValueError: no" in lines


def test_a_verdict_on_the_winner_is_told_within_the_width(summary: Summary):
    late = Finding(
        "epochs_too_few",
        "note",
        "the best epoch is the last one, 30, and val_rmse improved by 0.01 over "
        "the last 7: more epochs may help",
    )
    trials = [
        (p, replace(r, diagnosis=(late,) if r.number == 0 else ())) for p, r in summary.trials
    ]
    lines = printed(replace(summary, trials=trials))
    start = lines.index(
        "Diagnosis of trial 0: the best epoch is the last one, 30, and val_rmse improved"
    )
    assert lines[start + 1] == "by 0.01 over the last 7: more epochs may help"
    assert max(map(len, lines[2:])) <= 80
    assert not any(line.startswith("Diagnosis") for line in printed(summary))


def test_what_failed_and_where_to_look_next_close_it(summary: Summary):
    assert printed(summary)[-10:] == [
        "Not completed",
        "  2 × failed: ValueError: Dense needs 7 units (trials 7, 16)",
        "  1 × diverged: the loss or the objective was not finite (trial 13)",
        "  1 × infeasible: ResourceExhaustedError: shape[100,20] (trial 17)",
        "",
        "Where to look next",
        "  MLflow   make ui",
        "  report   mlruns/reports/housing.html",
        "  model    mlruns/winner.keras",
        '  continue make tune STUDY=housing ARGS="--trials 40"',
    ]


def test_many_parameters_share_a_column_where_the_terminal_is_narrow(summary: Summary):
    lines = printed(summary, width=60)
    assert lines[3].split() == ["trial", "parameters", "val_rmse", "epochs", "seconds", "status"]
    assert max(map(len, lines[3:10])) <= 60


def test_a_path_is_never_broken(summary: Summary):
    path = "/a" * 100 + "/report.html"
    assert f"  report   {path}" in printed(replace(summary, report=path))


def test_a_search_without_a_value_says_so(summary: Summary):
    failed = [
        (p, replace(r, status=Status.FAILED, value=None, error="E: x")) for p, r in summary.trials
    ]
    lines = printed(replace(summary, trials=failed, winner=None))
    assert "No trial gave a value." in lines
    assert "  20 × failed: E: x (trials 0, 1, 2, 3, 4, 5, …)" in lines


def test_user_text_is_no_markup_and_secrets_stay_out(summary: Summary):
    proposal, result = summary.trials[0]
    odd = (replace(proposal, params={"[bold]p": "[/red]", "url": "http://me:canary@host"}), result)
    text = "\n".join(printed(replace(summary, trials=[odd], study="[blink]s"), width=200))
    assert "[bold]p" in text
    assert "[/red]" in text
    assert "[blink]s" in text
    assert "canary" not in text


def test_one_fresh_seed_has_no_spread_to_tell(summary: Summary):
    assert summary.winner is not None
    one = replace(summary.winner, seeds=(1,), values=(0.5,))
    assert "one fresh seed only: the spread is not known; rmse and mae in 100,000 USD" in printed(
        replace(summary, winner=one)
    )


def test_a_trial_of_several_seeds_has_its_spread_behind_its_value(summary: Summary):
    (proposal, result), *others = summary.trials
    again = replace(result.folds[0], value=result.value + 0.1, seed=2)
    repeated = replace(result, folds=(result.folds[0], again))
    lines = printed(replace(summary, trials=[(proposal, repeated.without_curves()), *others]))
    assert "0.5000 ± 0.071" in lines[5]
    (note,) = [line for line in lines if "fresh seeds" in line]
    assert "behind a trial's value, that over its own seeds" in note
    assert all(" ± " not in line for line in lines[6:10])


def test_one_fresh_seed_has_no_spread(summary: Summary):
    winner = replace(summary.winner, seeds=(7,), values=(0.55,))
    lines = [" ".join(line.split()) for line in printed(replace(summary, winner=winner))]
    assert "winner, validation 0.5500" in lines


def test_a_search_that_was_stopped_says_how_far_it_is_and_how_it_goes_on(summary: Summary):
    stopped = replace(
        summary,
        status="interrupted",
        trials=summary.trials[:4],
        budget=8,
        search_s=321.0,
        runs=2,
        again="python -m tuning run housing",
    )
    text = "\n".join(printed(stopped))
    assert "interrupted after 321 s in 2 runs: 4 of 8 trials, 4 completed" in text
    assert "continue python -m tuning run housing" in text


def test_a_search_that_has_run_once_says_how_long_it_took(summary: Summary):
    lines = printed(replace(summary, search_s=42.0, runs=1, budget=20))
    assert "finished after 42 s: 15 completed" in lines[1]
