"""Trials that are not all trained in the same way are neither recorded nor simulated."""

from __future__ import annotations

import pytest

from tests.trials.small_study import study
from tuning import Maximize, Minimize
from tuning.errors import StudyError
from tuning.simulation.fit_faults import fit_faults
from tuning.simulation.record import RecordOptions, record_study
from tuning.simulation.run import open_source
from tuning.space.domains import Choice, Float

LR = {"lr": Float(1e-3, 1.0)}
FUNCTION = '''"""A function of two arguments."""
from tuning import Choice, Float, Minimize, Study
from tuning.trials.functions import no_data

def bowl(x, fidelity=1.0):
    return x**2 / fidelity

STUDY = Study(name="bowl", builder=bowl, data=no_data, objective=Minimize("val_height"),
    space={"x": Float(0.0, 1.0), "epochs": Choice(1, 2)}, epochs=2, trainer="function")
'''


@pytest.mark.parametrize("name", ["epochs", "patience"])
def test_what_is_searched_of_fit_is_named(name):
    (fault,) = fit_faults(study(space={**LR, name: Choice(1, 2)}))
    assert fault.startswith(f"'{name}' is in the space")


def test_repeats_are_seeds_of_a_recording():
    (fault,) = fit_faults(study(repeats=3))
    assert fault.startswith("repeats=3: recordings")
    assert not list(fit_faults(study(patience=2)))


def test_several_objectives_are_told_to_be_one():
    both = [Maximize("val_r2"), Minimize("n_parameters")]
    (fault,) = fit_faults(study().with_(objectives=both))
    assert fault == (
        "2 objectives: recorded and simulated points have one value; give "
        'objective=Maximize("val_r2") in their place'
    )


def test_record_says_all_that_is_wrong_before_it_trains(tmp_path, forkserver):
    bad = study(space={**LR, "epochs": Choice(1, 2)}, repeats=2)
    with pytest.raises(StudyError) as error:
        record_study(bad, RecordOptions(home=str(tmp_path)), forkserver=forkserver)
    assert len(error.value.faults) == 2


def test_simulate_refuses_a_function_whose_epochs_are_searched(tmp_path):
    path = tmp_path / "bowl.py"
    path.write_text(FUNCTION)
    with pytest.raises(StudyError, match="'epochs' is in the space"):
        open_source(str(path), tmp_path)
