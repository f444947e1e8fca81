"""What an engine's death costs at 1,000 trials, engine by engine: real processes, a real kill."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import replace

import pytest

from tests.engines.contract import result_of
from tuning.engines.catalog import ENGINES
from tuning.errors import MissingError
from tuning.ledger.begin import begin
from tuning.ledger.damage import leave_out
from tuning.ledger.header import search_header
from tuning.search.engine_process import SupervisedEngine
from tuning.search.stop_request import StopRequest
from tuning.trial import Pause, Proposal

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
N_TRIALS = 1000
MOST_S = 5.0
STUDY = """
import numpy as np
from tuning import Choice, Dataset, Float, Int, Minimize, Study

def value(x=1.0, n_neurons=3, kind="a", fidelity=1.0):
    return (x - 1.0) ** 2 + n_neurons

def plane():
    X = np.random.default_rng(0).normal(size=(40, 2))
    return Dataset("plane", X, X.sum(axis=1), "regression")

STUDY = Study(
    name="deaths", builder=value, data=plane, objective=Minimize("val_value"),
    space={"x": Float(0.1, 5.0), "n_neurons": Int(1, 400), "kind": Choice("a", "b", "c")},
    trainer="function", engine="optuna:random", trials=1010, epochs=27, seed=3,
)
"""
# A grid cuts each axis of numbers to three values.
GRID = STUDY.replace(
    'space={"x": Float(0.1, 5.0), "n_neurons": Int(1, 400), "kind": Choice("a", "b", "c")}',
    'space={"x": Choice(*range(1, 36)), "n_neurons": Choice(*range(1, 31))}',
)
OPTIONS = {
    "keras-tuner:hyperband": {"hyperband_iterations": 30},
    # Its first model of 1,000 points takes minutes; what it knows is as large without it.
    "keras-tuner:bayesian": {"num_initial_points": 2 * N_TRIALS},
}


@pytest.fixture
def engine_of(tmp_path, forkserver):
    """Begin the process of an engine."""
    file = tmp_path / "deaths.py"
    engines = []

    def begin_engine(name):
        file.write_text(GRID if "grid" in name else STUDY)
        overrides = {"engine": name, "engine_options": OPTIONS.get(name, {})}
        engine = SupervisedEngine(
            forkserver,
            str(file),
            overrides,
            answer_s=600.0,
            stop_request=StopRequest(),
            notice=print,
        )
        engines.append(engine)
        return engine

    yield begin_engine
    for engine in engines:
        engine.close(at_once=True)


def search(engine, info, files):
    """Ask and tell until there are 1,000 trials, or no more; return how many there are."""
    tells = ()
    for number in range(N_TRIALS):
        proposal = engine.ask(number)
        if isinstance(proposal, Pause):
            return number
        asked = files.write_spec(replace(proposal, tells=tells, study=info.pinned))
        result = files.write_result(replace(result_of(asked), proposal_digest=asked.digest))
        engine.tell(result)
        tells = (number,)
    return N_TRIALS


@pytest.mark.parametrize("name", [spec.name for spec in ENGINES])
def test_the_death_of_an_engine_costs_five_seconds_at_most(name, engine_of, tmp_path):
    engine = engine_of(name)
    try:
        info = engine.describe()
    except MissingError as error:
        pytest.skip(str(error))
    files = begin(
        tmp_path / "search",
        search_header(info, {}),
        fresh=False,
        allow_change=False,
        on_damage=leave_out,
    )
    engine.replays_from(files)
    n_trials = search(engine, info, files)

    began_at = time.monotonic()
    before = engine.ask(n_trials)
    ask_s = time.monotonic() - began_at
    if isinstance(before, Proposal):
        files.write_spec(replace(before, tells=(n_trials - 1,), study=info.pinned))
        n_trials += 1
    engine._child.poll()  # its number is read with the next look
    os.kill(engine._child.pid, signal.SIGKILL)
    began_at = time.monotonic()
    engine.ask(n_trials)
    seconds = time.monotonic() - began_at - ask_s
    print(f"| {name} | {n_trials} | {ask_s:.3f} | {seconds:.2f} |")
    assert seconds < MOST_S
