"""A Ray cluster on loopback for tests, in a process of its own: what it starts ends with it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import tempfile

import psutil

from tuning.executors.forkserver import ForkServer
from tuning.executors.supervision.parts import WORKER

TOKEN = "RAY_AUTH_TOKEN"
GPUS = {"TUNING_DEVICES": "GPU-a,GPU-b"}  # of each node that has any
# Ray gives a head that is gone a minute to come back; a node 30 s.
SOON = {
    "RAY_worker_niceness": "0",  # slots are to come while other tests run
    "RAY_gcs_rpc_server_reconnect_timeout_s": "3",
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "1000",
    "RAY_health_check_failure_threshold": "3",
}


class RayCluster:
    """The tests' side.

    Attributes:
        address: `HOST:PORT`.
        token: That it wants.
    """

    def __init__(self, cpus=(2, 1, 1), **head):
        self.token = secrets.token_hex(32)
        self._stack = contextlib.ExitStack()
        self._server = self._stack.enter_context(ForkServer(()))
        before = dict(os.environ)
        os.environ.update({"RAY_AUTH_MODE": "token", TOKEN: self.token, **GPUS, **SOON})
        try:
            self._child = self._server.spawn(
                "tests.executors.ray_cluster:serve", (list(cpus), head), name="ray-test"
            )
        finally:
            os.environ.clear()
            os.environ.update(before)
        self.address = self._child.wire.recv(100.0)

    @property
    def pid(self):
        """Of the process that has begun all the others."""
        return self._child.pid

    def ask(self, *words):
        self._child.wire.send(words)
        return self._child.wire.recv(60.0)

    def add(self, **options):
        """Add a node; return its number."""
        return self.ask("add", options)

    def kill(self, number):
        """End a node at once, with all that runs there; 0 is the head."""
        self.ask("kill", number)

    def has_worker(self, number):
        """Whether a slot of this node has a worker: while trials wait, one that trains."""
        raylet = str(self.ask("raylet", number))
        for process in psutil.Process(self.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):  # it has ended
                # Nobody's child, as its forkserver outlives each slot; that has a slot's variables.
                of_node = process.environ().get("RAY_RAYLET_PID") == raylet
                if of_node and process.name() == WORKER.name:
                    return True
        return False

    def actors(self):
        """Return the states of the actors that are not dead."""
        return self.ask("actors")

    def close(self):
        self._child.wire.close()
        self._child.join(10.0)
        self._child.close()
        self._stack.close()


def serve(wire, cpus, head):
    """Run in the cluster's process."""
    from ray.cluster_utils import Cluster

    small = {"object_store_memory": 80 << 20}
    folder = tempfile.mkdtemp(prefix="ray-test-")
    # Ray notes the address in a folder that only `ray start` makes, for all of the machine.
    os.environ["RAY_TMPDIR"] = folder
    os.mkdir(os.path.join(folder, "ray"))
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": cpus[0],
            "include_dashboard": False,
            "temp_dir": folder,
            **small,
            **head,
        },
    )
    nodes = [cluster.head_node, *(cluster.add_node(num_cpus=each, **small) for each in cpus[1:])]
    wire.send(cluster.address)
    while True:
        try:
            word, *rest = wire.recv()
        except EOFError:
            break
        answer = None
        if word == "add":
            nodes.append(cluster.add_node(**small, **rest[0]))
            answer = len(nodes) - 1
        elif word == "kill":
            node = nodes[rest[0]]
            if rest[0] == 0:
                for kinds in node.all_processes.values():
                    for each in kinds:
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(each.process.pid, signal.SIGKILL)
            else:
                cluster.remove_node(node, allow_graceful=False)
        elif word == "raylet":
            answer = nodes[rest[0]].all_processes["raylet"][0].process.pid
        elif word == "actors":
            table = cluster.global_state.actor_table(None, None, None)
            answer = [each["State"] for each in table.values() if each["State"] != "DEAD"]
        wire.send(answer)
    os._exit(0)  # what is left ends with its forkserver's child
