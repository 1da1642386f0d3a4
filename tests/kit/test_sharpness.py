"""SAM against its published equations on a small regression, through the kit's own step, in both frameworks."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.submission import loading
from algoperf.submission.points import as_hyperparameters

STEPS = 10
RNG = np.random.default_rng(0)
INPUTS, TARGETS, START = RNG.normal(size=(6, 3)), RNG.normal(size=6), RNG.normal(size=3)
POINT = {
    **{"learning_rate": 0.1, "one_minus_beta1": 0.1, "beta2": 0.95, "weight_decay": 0.3, "warmup_factor": 0.0},
    **{"rho": 0.5, "grad_clip": 0.2},
}


def sam():
    """Foret et al. 2021, algorithm 1, the second gradient clipped, then AdamW; and the sum of what was trained.

    The parameters and the sum after the steps.
    """
    p, m, v, seen = START, 0.0, 0.0, 0.0
    for t in range(1, STEPS + 1):
        seen += p.sum()
        g = gradient(p)
        g = gradient(p + 0.5 * g / (np.linalg.norm(g) + 1e-6))
        g = g * min(1, 0.2 / (np.linalg.norm(g) + 1e-6))
        m, v = 0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g**2
        rate = 0.1 * 0.5 * (1 + np.cos(np.pi * (t - 1) / STEPS))
        p = p - rate * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8) + 0.3 * p)
    return p, seen


def gradient(p):
    return 2 * INPUTS.T @ (INPUTS @ p - TARGETS) / len(TARGETS)


class Regression(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.p = torch.nn.Parameter(torch.tensor(START))
        self.register_buffer("seen", torch.zeros((), dtype=torch.float64))


class Workload(SimpleNamespace):
    """Its only running statistic is the sum of the parameters that it has seen; it keeps what it draws."""

    step_hint = STEPS
    metrics_logger = None
    drawn = ()

    def model_fn(self, params, batch, model_state, mode, rng, update_batch_norm, dropout_rate, **others):
        if not isinstance(params, Regression):
            return batch["inputs"] @ params["p"], {"seen": model_state["seen"] + params["p"].sum()}
        self.drawn += (torch.rand(()).item(),)
        with torch.no_grad():
            params.seen += params.p.sum() if update_batch_norm else 0
        return batch["inputs"] @ params.p, None

    def loss_fn(self, labels, logits, mask, label_smoothing):
        return {"summed": ((logits - labels) ** 2).sum(), "n_valid_examples": self.count}


def trained(framework):
    """The parameters and the statistic after the steps, and the workload."""
    sam = loading.load(loading.find("sam", framework))
    hyperparameters = as_hyperparameters(POINT)
    if framework == "jax":
        params, model_state, asarray = {"p": jnp.array(START)}, {"seen": jnp.zeros(())}, jnp.asarray
    else:
        params, model_state, asarray = Regression(), None, torch.tensor
    workload = Workload(count=asarray(float(len(TARGETS))))
    batch = {"inputs": asarray(INPUTS), "targets": asarray(TARGETS)}
    state = sam.init_optimizer_state(workload, params, model_state, hyperparameters, None)
    for step in range(STEPS):
        arguments = (workload, params, None, model_state, hyperparameters, batch, None)
        state, params, model_state = sam.update_params(*arguments, state, [], step, None)
    if framework == "jax":
        return params["p"], model_state["seen"], workload
    return params.p.detach().numpy(), params.seen.item(), workload


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_ten_steps_follow_the_published_equations(framework):
    with jax.enable_x64(True):
        p, seen, _ = trained(framework)
    expected = sam()
    np.testing.assert_allclose(p, expected[0], rtol=1e-6)
    np.testing.assert_allclose(seen, expected[1], rtol=1e-6)


def test_what_is_dropped_is_the_same_in_both_gradients_and_differs_between_steps():
    _, _, workload = trained("pytorch")
    firsts, seconds = workload.drawn[::2], workload.drawn[1::2]
    assert firsts == seconds
    assert len(set(firsts)) == STEPS
