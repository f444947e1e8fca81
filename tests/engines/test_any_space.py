"""Any space goes to each library and comes back: proposals are points of it, adopted ones too."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engines.contract import make_parts, make_study
from tests.space.test_domains import CHOICES, FLOATS, INTS
from tuning.engines.catalog import make_engine
from tuning.errors import StudyError
from tuning.space.domains import Choice, Int
from tuning.space.space import Space
from tuning.trial import Pause, Proposal

ENGINES = ("optuna:random", "keras-tuner:random", "randomizedsearchcv", "optuna:grid")
NAMES = st.text("abcdefghij_", min_size=1, max_size=5)


@st.composite
def spaces(draw):
    """Up to four parameters; each may depend on an earlier one."""
    domains = draw(st.dictionaries(NAMES, INTS | FLOATS | CHOICES, min_size=1, max_size=4))
    names = list(domains)
    for i, name in enumerate(names[1:], start=1):
        parent = draw(st.sampled_from(names[:i]))
        if isinstance(domains[parent], Choice | Int) and draw(st.booleans()):
            value = domains[parent].sample(np.random.default_rng(draw(st.integers(0, 99))))
            domains[name] = domains[name].when(**{parent: [value]})
    return Space(domains)


def check(engine_name, space):
    """Ask for three points, and give the engine one of ours."""
    study = engine = None
    with suppress(StudyError):  # grids take no conditions, and no value twice
        study = make_study(engine_name, space, trials=5)
        engine = make_engine(study, make_parts)
    if engine is None:
        return

    for number in range(3):
        proposal = engine.ask(number)
        if isinstance(proposal, Pause):
            break
        space.check(proposal.params)

    fresh = make_engine(study, make_parts)
    point = space.sample(np.random.default_rng(1))
    fresh.ask(0)
    if fresh.adopt(Proposal(0, point, study.epochs)):
        space.check(point)
    for each in (engine, fresh):
        each.close()


@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=6, deadline=None)
@given(space=spaces())
def test_proposals_are_points_of_the_space(engine, space):
    check(engine, space)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("engine", ENGINES)
@settings(max_examples=300, deadline=None)
@given(space=spaces())
def test_proposals_of_any_space_are_points_of_it(engine, space):
    check(engine, space)


@settings(max_examples=50, deadline=None)
@given(space=spaces(), seed=st.integers(0, 2**32))
def test_a_space_and_its_points_come_back_from_json(space, seed):
    again = Space.from_json(space.to_json())
    assert again == space
    point = space.sample(np.random.default_rng(seed))
    assert again.decode(point) == point
