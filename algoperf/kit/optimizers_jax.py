"""Published updates that optax does not have, and what several baselines share; the twin of `optimizers_pytorch.py`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf.benchmark.workload import Workload
from algoperf.kit.hyperparameters import beta1
from algoperf.kit.jax import ValueAndGrad
from algoperf.kit.schedules_jax import warmup_linear


def sgd(hyperparameters: Any, workload: Workload, *, nesterov: bool) -> optax.GradientTransformation:
    """SGD with momentum; weight decay is part of the gradient, the rate decays linearly after a warm-up."""
    return optax.chain(
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.sgd(
            warmup_linear(hyperparameters, workload.step_hint),
            momentum=beta1(hyperparameters),
            nesterov=nesterov,
        ),
    )


def adafactor(
    learning_rate: optax.Schedule, momentum: float, weight_decay: float
) -> optax.GradientTransformationExtraArgs:
    """Adafactor (Shazeer and Stern 2018) with a learning rate from outside and momentum, as the AlgoPerf paper had it.

    `optax.adafactor` but for two things in which Pax, whose Adafactor the paper took, differs: the second moment decays
    as Adam's corrected one does, at 0.99, and weight decay is multiplied by the learning rate. Pax kept the momentum in
    eight bits, which is left out.
    """
    return optax.chain(
        optax.scale_by_factored_rms(
            decay_rate=0.99, decay_rate_fn=lambda step, b2: b2 * (1 - b2**step) / (1 - b2 ** (step + 1))
        ),
        optax.clip_by_block_rms(1.0),
        optax.scale_by_learning_rate(learning_rate, flip_sign=False),
        optax.ema(momentum, debias=False),
        optax.add_decayed_weights(lambda step: weight_decay * learning_rate(step)),
        optax.scale(-1.0),
    )


def sharpness_aware(value_and_grad: ValueAndGrad, params: Any, hyperparameters: Any) -> Any:
    """SAM (Foret et al. 2021, equation 2): the gradient `rho` further along the normalised gradient.

    The same batch and the same dropout both times. The loss and the running statistics are those at the parameters.
    """
    value, grads = value_and_grad(params)
    scale = hyperparameters.rho / (optax.tree.norm(grads) + 1e-6)
    _, grads = value_and_grad(jax.tree.map(lambda param, grad: param + scale * grad, params, grads))
    return value, grads


class ScaleByNadamState(NamedTuple):
    """count: steps taken, int32; mu, nu: running means of the gradient and of its square, like the parameters."""

    count: jax.Array
    mu: Any
    nu: Any


def scale_by_nadam(b1: float, b2: float, eps: float = 1e-8) -> optax.GradientTransformation:
    """Adam with Nesterov momentum as the benchmark's NAdamW has it (Dozat 2016, without its momentum schedule).

    The look-ahead first moment is divided by 1 - b1^t, where optax's own corrects its two terms separately.
    """

    def init(params):
        return ScaleByNadamState(
            jnp.zeros([], jnp.int32), jax.tree.map(jnp.zeros_like, params), jax.tree.map(jnp.zeros_like, params)
        )

    def update(grads, state, params=None):
        del params
        count = state.count + 1
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, grads)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * jnp.square(g), state.nu, grads)
        mu_correction, nu_correction = 1 - b1**count, 1 - b2**count

        def scaled(m, v, g):
            look_ahead = (b1 * m + (1 - b1) * g) / mu_correction
            return look_ahead / (jnp.sqrt(v / nu_correction) + eps)

        return jax.tree.map(scaled, mu, nu, grads), ScaleByNadamState(count, mu, nu)

    return optax.GradientTransformation(init, update)
