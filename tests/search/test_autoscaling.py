"""A search on a cluster that grows by demand, and shrinks when nothing is asked of it."""

import contextlib
import json
import secrets
import socket
import subprocess
import sys
import time

import psutil
import pytest
import ray

from tests.chaos.nothing_lost import nothing_lost
from tests.executors.ray_cluster import TOKEN
from tests.faults.home import ROOT, own_home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

QUICK = ROOT / "tests" / "chaos" / "quick.py"
TRIALS = 12
LISTS = ("cluster_synced_files", "rsync_exclude", "rsync_filter", "initialization_commands")
COMMANDS = ("setup_commands", "head_setup_commands", "worker_setup_commands")
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")


def config(address):
    """Return a cluster of a head without CPUs, and of two nodes with one each at most.

    Its nodes are processes of this machine; Ray's own helper for it (`AutoscalingCluster`) ends
    every Ray of the machine first.
    """
    node = {"resources": {"CPU": 1, "object_store_memory": 80 << 20}, "node_config": {}}
    head = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    return {
        "cluster_name": "growing",
        "max_workers": 2,
        "idle_timeout_minutes": 0.1,
        "upscaling_speed": 1.0,
        "provider": {
            "type": "fake_multinode",
            "gcs_address": address,
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
        },
        "head_node_type": "ray.head.default",
        "available_node_types": {
            "ray.head.default": head,
            "cpu": {**node, "min_workers": 0, "max_workers": 2},
        },
        "auth": {},
        "docker": {},
        "file_mounts": {},
        "file_mounts_sync_continuously": False,
        **{name: [] for name in (*LISTS, *COMMANDS, *STARTS)},
    }


def free_port():
    with socket.socket() as free:
        free.bind(("", 0))
        return free.getsockname()[1]


class Growing:
    """The head, and the nodes that it begins.

    Attributes:
        address: `HOST:PORT`.
    """

    def __init__(self, folder):
        host = ray.util.get_node_ip_address()
        port = free_port()
        self.address = f"{host}:{port}"
        file = folder / "cluster.json"
        file.write_text(json.dumps(config(self.address)))
        command = [
            *(sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"),
            *("--num-cpus=0", f"--port={port}", f"--ray-client-server-port={free_port()}"),
            *(f"--temp-dir={folder}", "--include-dashboard=false"),
            *("--object-store-memory=80000000", f"--autoscaling-config={file}"),
        ]
        self._head = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True
        )
        wait_for(lambda: self.n_nodes() == 1, 120)

    def n_nodes(self):
        """Return how many nodes run, the head among them."""
        names = []
        for process in psutil.Process(self._head.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has ended
                names.append(process.name())
        return names.count("raylet")

    def close(self):
        for process in psutil.Process(self._head.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._head.kill()
        self._head.wait()


@pytest.fixture
def cluster(monkeypatch, tmp_path_factory):
    for name, value in {
        "RAY_AUTH_MODE": "token",
        TOKEN: secrets.token_hex(32),
        "RAY_FAKE_CLUSTER": "1",
        "AUTOSCALER_UPDATE_INTERVAL_S": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0",
    }.items():
        monkeypatch.setenv(name, value)
    cluster = Growing(tmp_path_factory.mktemp("ray"))
    yield cluster
    cluster.close()


def wait_for(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.2)


def test_the_nodes_that_a_search_asks_for_come_and_go(cluster, tmp_path, monkeypatch):
    home = own_home(tmp_path, monkeypatch, devices="a,b")
    words = ("--executor", "ray", "--ray-address", cluster.address, "--devices", "cpu:2")
    command = [sys.executable, "-m", "tuning", "run", str(QUICK), *words, "--trials", str(TRIALS)]
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    wait_for(lambda: cluster.n_nodes() == 3, 240)
    text, _ = process.communicate(timeout=400)
    assert process.returncode == 0, text
    assert not nothing_lost(home, tmp_path / "leases", trials=TRIALS)
    wait_for(lambda: cluster.n_nodes() == 1, 120)
