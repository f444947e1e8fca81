"""What `--devices` asks of a cluster."""

import pytest

from tuning.errors import StudyError
from tuning.executors.cluster.wishes import (
    Demand,
    demand_of,
    parse_cluster_devices,
    require_counted,
)
from tuning.executors.devices.slot import Slot


@pytest.mark.parametrize(
    ("text", "gpus", "demand"),
    [
        ("auto", 1, Demand("auto", None)),
        ("cpu", 1, Demand("cpu", None)),
        ("cpu:3", 1, Demand("cpu", 3)),
        ("cpu:3", 2, Demand("cpu", 3)),
        ("gpu", 2, Demand("gpu", None, 2)),
        ("gpu:8", 1, Demand("gpu", 8)),
        ("gpu:8", 3, Demand("gpu", 2, 3)),
    ],
)
def test_the_slots_of_a_text_ask_for_what_it_says(text, gpus, demand):
    assert demand_of(parse_cluster_devices(text, gpus)) == demand


@pytest.mark.parametrize("text", ["0,1", "auto:2", "gpu:GPU-1", "", "cpu:-1"])
def test_devices_of_one_box_are_refused_with_what_a_cluster_takes(text):
    with pytest.raises(StudyError, match="on a cluster say auto, cpu, cpu:8, gpu or gpu:8"):
        parse_cluster_devices(text)


@pytest.mark.parametrize(("text", "gpus", "enough"), [("cpu:0", 1, "cpu:1"), ("gpu:1", 2, "gpu:2")])
def test_a_number_that_leaves_no_slot_is_refused_with_one_that_does(text, gpus, enough):
    with pytest.raises(StudyError, match=f"{text} leaves no slot; use {enough} or more"):
        parse_cluster_devices(text, gpus)


def test_a_device_of_this_box_is_no_wish():
    with pytest.raises(StudyError, match="'cpu:0' is a device of this machine"):
        demand_of([Slot("cpu:0")])


def test_wishes_of_two_kinds_are_refused():
    with pytest.raises(StudyError, match="all on CPUs, or all on GPUs"):
        demand_of([*parse_cluster_devices("cpu:1"), *parse_cluster_devices("gpu:1")])


def test_only_a_number_of_slots_is_deterministic():
    require_counted(parse_cluster_devices("gpu:8", 2))
    require_counted([Slot("cpu:0")])
    with pytest.raises(StudyError, match="say their number on the cluster, as in --devices cpu:8"):
        require_counted(parse_cluster_devices("auto"))
