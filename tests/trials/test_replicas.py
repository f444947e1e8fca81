"""Several devices of one trial: logical ones of the CPU, in a process of its own."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from tuning.trials.replicas import StepTimes

_TWO_DEVICES = """
import json
import sys
from pathlib import Path
from tests.trials.small_study import ScriptedContext, job, study
from tuning.trainer.devices import split_cpu
from tuning.trials.trial import run_trial
split_cpu(2)
folder = Path(sys.argv[1])
told = {}
for name, changes in json.loads(sys.argv[2]).items():
    # 68 rows are trained on: the last batch of 4 is shared out evenly.
    defined = study(epochs=3, test_size=30, validation_size=22, **changes)
    # A rate at which rounding errors do not grow from step to step.
    result = run_trial(job(folder / name, defined, params={"lr": 1e-3}), ScriptedContext())
    told[name] = [result.status, result.error, result.value, result.notices]
print(json.dumps(told))
"""


@pytest.mark.slow  # 20 s: a process of its own that sees two devices
def test_two_devices_train_what_one_does_at_the_same_global_batch(tmp_path):
    environment = {**os.environ, "TUNING_DEVICES": "GPU-a,GPU-b", "TF_CPP_MIN_LOG_LEVEL": "3"}
    changes = {
        "one": {"batch_size": 8},
        "two": {"batch_size": 8, "gpus_per_trial": 2},
        "each": {"batch_size": 4, "gpus_per_trial": 2, "batch_size_is": "per_replica"},
        "scaled": {
            "batch_size": 4,
            "gpus_per_trial": 2,
            "batch_size_is": "per_replica",
            "scale_lr": True,
        },
    }
    command = [sys.executable, "-c", _TWO_DEVICES, str(tmp_path), json.dumps(changes)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    assert {each[0] for each in told.values()} == {"completed"}, told

    values = {name: each[2] for name, each in told.items()}
    np.testing.assert_allclose(values["two"], values["one"], rtol=1e-5)
    np.testing.assert_allclose(values["each"], values["one"], rtol=1e-5)
    assert abs(values["scaled"] - values["one"]) > 1e-4
    # Logical devices of one CPU are never faster than the CPU.
    for name in ("two", "each", "scaled"):
        assert any("2 GPUs take" in notice for notice in told[name][3]), told
    assert not any("GPUs take" in notice for notice in told["one"][3])


def test_several_devices_that_are_slower_are_told_with_both_times():
    slower = StepTimes(several_s=0.0121, one_s=0.004, n_devices=2, batch_size=64)
    assert slower.warning == (
        "warning: 2 GPUs take 12.1 ms for a step of 64 rows, one takes 4.0 ms. With "
        "gpus_per_trial=1 each trial is faster, and 2 run at once"
    )
    assert StepTimes(several_s=0.003, one_s=0.004, n_devices=2, batch_size=64).warning == ""
