"""What the tests of executors run in workers."""

import ctypes
import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from tuning.errors import MissingError
from tuning.storage.durable import write_bytes
from tuning.trial import Answer, EpochReport
from tuning.trials.jobs import Stopped


def double(number, context):
    return 2 * number


def where(context):
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return {
        "slot": context.slot,
        "visible": visible,
        "cores": os.sched_getaffinity(0),
        "pid": os.getpid(),
    }


def train(epochs, context, seconds=0.0):
    """Report each epoch; return the answers."""
    answers = []
    for epoch in range(1, epochs + 1):
        time.sleep(seconds)
        answer = context.report(EpochReport(0, epoch, 1 / epoch, {"loss": 1.0}, 0.0))
        answers.append(answer)
        if answer != Answer.CONTINUE:
            break
    return answers


def train_slowly(epochs, context):
    return train(epochs, context, seconds=0.02)


def train_until_stopped(epochs, context):
    """As a trial does: it stops where the driver wants the slot back."""
    if train_slowly(epochs, context)[-1] is Answer.STOP:
        raise Stopped("a trial")


def train_on_a_device(folder, epochs, context):
    """Lock the device, as whoever computes there would; go on where an earlier attempt stopped.

    The job's file has a line for each epoch; `collisions` one for each that was not alone.
    """
    device = open(folder / f"device-{context.slot}", "a")  # noqa: SIM115 - until the process ends
    try:
        fcntl.flock(device, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        (folder / "collisions").write_text(f"{context.slot} in {os.getpid()}\n")
    trace = folder / f"epochs-{context._job.id.partition('-')[0]}"
    with open(trace, "a+") as file:
        file.seek(0)
        trained = len(file.readlines())
        for epoch in range(trained + 1, epochs + 1):
            time.sleep(0.02)
            file.write(f"{epoch}\n")
            file.flush()
            report = EpochReport(0, epoch, 0.0, {}, 0.0)
            if context.report(report) is Answer.STOP and epoch < epochs:
                raise Stopped("a trial")
    device.close()
    return epochs


def fail(context):
    raise ValueError("no such luck")


def leave(code, context):
    raise SystemExit(code)


def end_the_run(context):
    raise MissingError("no data")


_kept = []


def keep(megabytes, context):
    """Grow by so much for good; return the process."""
    _kept.append(b"x" * (megabytes * 2**20))
    return os.getpid()


def sleep(seconds, context):
    time.sleep(seconds)
    return "slept"


def sleep_in_c_with_the_gil(seconds, context):
    ctypes.PyDLL(None).usleep(int(seconds * 1e6))


def ignore_term(seconds, context):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(seconds)


def stop_itself(context):
    os.kill(os.getpid(), signal.SIGSTOP)


def abort(context):
    print("the last thing it said")
    os.abort()


def flood(megabytes, context):
    line = b"x" * 1023 + b"\n"
    for _ in range(megabytes):
        os.write(1, line * 1024)


def meet(folder, count, context):
    """Return where it ran once `count` jobs are in the same place at the same time."""
    Path(folder, context.slot).touch()
    until = time.monotonic() + 20
    while len(list(Path(folder).iterdir())) < count:
        if time.monotonic() > until:
            raise TimeoutError("the others never came")
        time.sleep(0.01)
    return where(context)


def finish_and_die(context):
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return "done"


def unpicklable(context):
    return lambda: None


def retire(context):
    context.retire()
    return os.getpid()


def echo_length(data, context):
    return len(data)


def hold(wire, seconds):
    """Run as a bare child of the forkserver."""
    wire.send(os.getpid())
    time.sleep(seconds)


def echo(wire):
    """Answer each message of the driver with itself, until None; return 7."""
    while (message := wire.recv()) is not None:
        wire.send(message)
    return 7


def import_for_ever():
    """Stand for an import that holds the GIL in C."""
    ctypes.PyDLL(None).usleep(600_000_000)


def start_a_process(wire):
    """Tell the pid of a process of our own, then wait."""
    wire.send(subprocess.Popen(["sleep", "600"]).pid)
    time.sleep(600)


def loaded(wire):
    """Tell what the forkserver had imported."""
    wire.send({name: name in sys.modules for name in ("tensorflow", "keras")})


def pictures(wire):
    """Tell whether matplotlib is there before Keras draws with it, what is there then, and whether
    it has drawn.
    """
    import keras
    import numpy as np

    before = "matplotlib" in sys.modules
    images = np.zeros((1, 4, 4, 3), "float32")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "images.png"
        keras.visualization.plot_image_gallery(images, rows=1, cols=1, path=str(path))
        kind = type(sys.modules["matplotlib.pyplot"]).__name__
        wire.send((before, kind, path.stat().st_size > 100))


def tensorflow_setup(context):
    """Tell what TensorFlow was set up with, and that it computes."""
    import tensorflow as tf

    return {
        "intra": tf.config.threading.get_intra_op_parallelism_threads(),
        "inter": tf.config.threading.get_inter_op_parallelism_threads(),
        "gpus": len(tf.config.list_physical_devices("GPU")),
        "product": (tf.ones((1, 3)) @ tf.ones((3, 1))).numpy().tolist(),
    }


def compiles(wire):
    import tensorflow as tf

    value = float(tf.function(lambda x: 2.0 * x + 1.0, jit_compile=True)(tf.constant(3.0)))
    folder = Path(os.environ["TF_XLA_FLAGS"].partition("directory=")[2])
    wire.send((value, sorted((str(path), path.stat().st_mtime_ns) for path in folder.iterdir())))


class Unloadable:
    """Can be pickled and not be loaded."""

    def __reduce__(self):
        return int, ("no number",)


def compute_with_the_gil(seconds, context):
    """Use the processor for so long without ever letting go of Python's lock."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000.0)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    sys.setswitchinterval(before)
    return "computed"


def daemonize(folder, context, seconds=600):
    """Leave a grandchild in a session of its own: two forks, with the lease in hand if it may."""
    leave_daemon(folder, seconds)


def leave_daemon(folder, seconds=600):
    """Fork a child that forks one in its own session, and ends; the pid is in the folder."""
    child = os.fork()
    if child == 0:
        os.setsid()
        daemon = os.fork()
        if daemon == 0:
            time.sleep(seconds)
        else:  # noted before our parent goes on
            Path(folder, f"daemon-{daemon}").touch()
        os._exit(0)
    os.waitpid(child, 0)


_HOPPER = """
import os, sys, time
until = time.monotonic() + 10
while time.monotonic() < until:
    if os.fork() > 0:
        os._exit(0)
    os.utime(sys.argv[1])
"""


def hop(folder, context):
    """Leave processes that are others each moment: whoever kills them one by one comes too late.

    They touch a file in the folder as long as one lives, at most 10 s.
    """
    leave_hoppers(folder)
    return os.getpid()


def hop_then_sleep(folder, context):
    """Leave them, say so by an epoch, and go on."""
    leave_hoppers(folder)
    context.report(EpochReport(0, 1, 1.0, {}, 0.0))
    time.sleep(600)


def leave_hoppers(folder, count=8):
    path = Path(folder, "hopped")
    path.touch()
    # Without `site` a process is small, and forks in a fraction of a millisecond.
    command = [sys.executable, "-I", "-S", "-c", _HOPPER, str(path)]
    for _ in range(count):
        subprocess.Popen(command, start_new_session=True)
    before = path.stat().st_mtime_ns
    while path.stat().st_mtime_ns == before:
        time.sleep(0.01)


def daemons_of_all_kinds(folder, context):
    """Leave a double fork, a process of its own session, a pool, and a shell's background job."""
    leave_daemon(folder)
    started = subprocess.Popen(["sleep", "600"], start_new_session=True)
    Path(folder, f"daemon-{started.pid}").touch()
    pool = multiprocessing.get_context("fork").Pool(2)
    for pid in pool.map(_pid, range(2), chunksize=1):
        Path(folder, f"daemon-{pid}").touch()
    _kept.append(pool)
    shell = subprocess.run(["sh", "-c", "setsid sleep 600 >&2 & echo $!"], stdout=subprocess.PIPE)
    Path(folder, f"daemon-{int(shell.stdout)}").touch()
    return os.getpid()


def daemons_then_sleep(folder, context):
    """Leave them, say so by an epoch, and go on."""
    daemons_of_all_kinds(folder, context)
    context.report(EpochReport(0, 1, 1.0, {}, 0.0))
    time.sleep(600)


def _pid(_):
    time.sleep(0.05)
    return os.getpid()


def take(megabytes, context):
    """Take memory, touched, and hold it for a moment."""
    block = bytearray(megabytes * 2**20)
    block[::4096] = b"x" * len(block[::4096])
    time.sleep(1.0 if megabytes < 300 else 20.0)
    return len(block)


def take_in_a_child(megabytes, context):
    """Have a process of our own take it."""
    code = f"import time; block = b'x' * {megabytes * 2**20}; time.sleep(20)"
    subprocess.run([sys.executable, "-c", code])


def span(seconds, context):
    """Return when it began and ended, on the monotonic clock of the box."""
    begin = time.monotonic()
    time.sleep(seconds)
    return begin, time.monotonic()


def grow_slowly(megabytes, context):
    """Take memory, 5 MB every 20 ms, touched."""
    blocks = []
    for _ in range(megabytes // 5):
        blocks.append(os.urandom(5 * 2**20))
        time.sleep(0.02)


def import_slowly():
    """Take as long as an import does, in a forkserver."""
    time.sleep(0.5)


def block_in_c(wire, seconds):
    """Block as a library does that keeps the GIL: no thread of the process gets to run."""
    ctypes.PyDLL(None).sleep(seconds)


def count_on(folder, seconds, context):
    """Go on from the number in a file, which is written anew again and again.

    Return the number that was there, and the last.
    """
    file = folder / "0.npz"
    first = int.from_bytes(file.read_bytes()[:8], "big") if file.exists() else 0
    number = first
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        number += 1
        write_bytes(file, number.to_bytes(8, "big") * 500_000)
        time.sleep(0.02)
    return first, number
