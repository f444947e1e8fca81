from tuning.ledger.placement import PlanRecord, PlanRow
from tuning.reports.cards import placement_card
from tuning.tracking.mlflow_tags import plan_tags

PLAN = PlanRecord(
    mode="both",
    gain=2.5,
    words="plan: trials run on both",
    rows=(
        PlanRow(structure="", n_cpu=4, n_gpu=0, cpu_s=0.3125, gpu_s=None),
        PlanRow(structure="kind=conv", n_cpu=1, n_gpu=2, cpu_s=9.0, gpu_s=0.5),
    ),
)


def test_mlflow_is_told_where_trials_ran_and_what_was_timed():
    assert plan_tags(PLAN) == {
        "placement": "plan: trials run on both",
        "placement.devices": "both",
        "placement.timings": "all networks: an epoch 0.312 s (4) on a core, not timed on a GPU; "
        "kind=conv: an epoch 9 s (1) on a core, 0.5 s (2) on a GPU",
    }


def test_the_report_has_a_row_for_each_structure():
    html = placement_card(PLAN)
    assert "plan: trials run on both" in html
    assert html.count("<tr>") == 3
    assert "not timed" in html


def test_without_a_plan_the_report_says_nothing():
    assert placement_card(None) == ""
