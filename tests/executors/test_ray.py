"""The contract on a cluster of three nodes on loopback, and what is Ray's alone."""

import os

import pytest

from tests.executors.contract import ExecutorContract
from tests.executors.ray_cluster import TOKEN, RayCluster
from tuning.executors.cluster.actor import SlotSettings
from tuning.executors.cluster.connection import Address
from tuning.executors.cluster.link import LinkSettings
from tuning.executors.cluster.ray_executor import RayExecutor
from tuning.executors.cluster.wishes import demand_of, parse_cluster_devices
from tuning.storage.interpreter import import_path

LIGHT = ("tuning.executors.worker",)


@pytest.fixture(scope="module")
def cluster():
    cluster = RayCluster()
    os.environ[TOKEN] = cluster.token
    yield cluster
    del os.environ[TOKEN]
    cluster.close()


@pytest.fixture(scope="module")
def open_ray(cluster, tmp_path_factory):
    """Open executors on the cluster."""
    opened = []

    def open_ray(devices="cpu:3", notice=print, until=float("inf"), **options):
        slot = {"kind": "cpu", "preload": LIGHT, "import_path": tuple(import_path())}
        settings = LinkSettings(
            address=Address(text=cluster.address),
            demand=demand_of(parse_cluster_devices(devices)),
            slot=SlotSettings(**{**slot, **options}),
            log=tmp_path_factory.mktemp("logs") / "ray.log",
        )
        opened.append(RayExecutor(settings, notice=notice, until=until))
        return opened[-1]

    yield open_ray
    for executor in opened:
        executor.close()


@pytest.fixture(scope="module")
def shared(open_ray):
    return open_ray()


class TestRayExecutor(ExecutorContract):
    @pytest.fixture
    def executor(self, shared):
        return shared
