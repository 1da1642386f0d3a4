"""Momentum, in a package of its own."""

import jax

from optimizers.parts.rule_types import Momentum

from ..schedule import HALVED

assert HALVED


def direction(average, gradient, momentum: Momentum):
    return jax.tree.map(lambda old, new: momentum.value * old + new, average, gradient)
