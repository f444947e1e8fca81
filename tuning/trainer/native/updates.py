"""One step of an optimizer, in the arithmetic of Keras' `update_step`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tuning.data.dataset import Array
from tuning.trainer.native.compile import in_machine_code
from tuning.trainer.native.formats import ADAM, NESTEROV, RMSPROP

_ONE = np.float32(1)


@in_machine_code
def update(state: Any, gradients: Array, rule: Any, step: int) -> None:
    """Change the parameters and the moments by one step, the `step`-th of this epoch, from 1."""
    if rule.weight_decay != 0:
        params = state.params
        for i in range(len(params)):
            params[i] -= params[i] * rule.weight_decay * rule.lr

    if rule.optimizer == ADAM:
        _adam(state, gradients, rule, rule.steps_done + step)
    elif rule.optimizer == RMSPROP:
        _rmsprop(state, gradients, rule)
    else:
        _sgd(state, gradients, rule)


@in_machine_code
def _adam(state: Any, gradients: Array, rule: Any, step: int) -> None:
    params = state.params
    first = state.first_moments
    second = state.second_moments

    t = np.float32(step)
    correction = math.sqrt(_ONE - rule.rho**t)
    alpha = rule.lr * correction / (_ONE - rule.momentum**t)
    for i in range(len(params)):
        m = first[i] + (gradients[i] - first[i]) * rule.momentum_rest
        v = second[i] + (gradients[i] * gradients[i] - second[i]) * rule.rho_rest
        first[i] = m
        second[i] = v
        params[i] -= m * alpha / (math.sqrt(v) + rule.epsilon)


@in_machine_code
def _rmsprop(state: Any, gradients: Array, rule: Any) -> None:
    params = state.params
    momentums = state.first_moments
    squares = state.second_moments

    for i in range(len(params)):
        squares[i] = squares[i] * rule.rho + gradients[i] * gradients[i] * rule.rho_rest
        change = rule.lr * gradients[i] / math.sqrt(squares[i] + rule.epsilon)
        if rule.momentum > 0:
            momentums[i] = momentums[i] * rule.momentum + change
            change = momentums[i]
        params[i] -= change


@in_machine_code
def _sgd(state: Any, gradients: Array, rule: Any) -> None:
    params = state.params
    momentums = state.first_moments

    if rule.momentum == 0:
        for i in range(len(params)):
            params[i] -= gradients[i] * rule.lr
        return
    for i in range(len(params)):
        velocity = momentums[i] * rule.momentum - gradients[i] * rule.lr
        momentums[i] = velocity
        if rule.optimizer == NESTEROV:
            params[i] += velocity * rule.momentum - gradients[i] * rule.lr
        else:
            params[i] += velocity
