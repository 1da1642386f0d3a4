"""The optimizers of the kit against the published equations in plain NumPy, and against each other."""

import importlib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from algoperf.backends import load_backend
from algoperf.kit import jax as kit_jax
from algoperf.kit import pytorch as kit_pytorch
from algoperf.spec import FRAMEWORKS

STEPS = 10
START = np.array([[1.0, -2.0], [0.5, 3.0]])
GRADIENTS = np.random.default_rng(0).normal(size=(STEPS, 2, 2))
NADAMW = {"learning_rate": 0.1, "one_minus_beta1": 0.1, "beta2": 0.95, "weight_decay": 0.3, "warmup_factor": 0.2}
NESTEROV = {
    **{"learning_rate": 0.1, "one_minus_beta1": 0.1, "weight_decay": 0.3, "warmup_factor": 0.2},
    **{"decay_steps_factor": 0.9, "end_factor": 0.01},
}
STEP_HINT = 10


def warmup_cosine(step):
    return step / 2 if step < 2 else 0.5 * (1 + np.cos(np.pi * (step - 2) / 8))


def warmup_linear(step):
    return step / 2 if step < 2 else 1 - 0.99 * min(1, (step - 2) / int(8 * 0.9))


def nadamw(p):
    """Dozat 2016 without its momentum schedule; decoupled decay times the rate (Loshchilov and Hutter 2019)."""
    m = v = 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        lr = 0.1 * warmup_cosine(t - 1)
        m = 0.9 * m + 0.1 * g
        v = 0.95 * v + 0.05 * g**2
        look_ahead = (0.9 * m + 0.1 * g) / (1 - 0.9**t)
        p = p - lr * (look_ahead / (np.sqrt(v / (1 - 0.95**t)) + 1e-8) + 0.3 * p)
    return p


def nesterov(p):
    """Sutskever et al. 2013; weight decay is part of the gradient."""
    m = 0.0
    for t, g in enumerate(GRADIENTS, start=1):
        decayed = g + 0.3 * p
        m = 0.9 * m + decayed
        p = p - 0.1 * warmup_linear(t - 1) * (decayed + 0.9 * m)
    return p


def run(framework, name, point):
    """The parameters after the steps of a submission's optimizer."""
    optimizer = importlib.import_module(f"submissions.{name}.{framework}").optimizer
    hyperparameters = SimpleNamespace(**point)
    if framework == "jax":
        transformation = optimizer(hyperparameters, STEP_HINT)
        params = jnp.asarray(START, jnp.float32)
        state = transformation.init(params)
        for gradient in GRADIENTS:
            updates, state = transformation.update(jnp.asarray(gradient, jnp.float32), state, params)
            params = optax.apply_updates(params, updates)
        return np.asarray(params)
    params = torch.nn.Parameter(torch.tensor(START, dtype=torch.float32))
    torch_optimizer, schedule = optimizer([params], hyperparameters, STEP_HINT)
    scheduler = torch.optim.lr_scheduler.LambdaLR(torch_optimizer, schedule)
    for gradient in GRADIENTS:
        params.grad = torch.tensor(gradient, dtype=torch.float32)
        torch_optimizer.step()
        scheduler.step()
    return params.detach().numpy()


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize(("name", "point", "equations"), [("nadamw", NADAMW, nadamw), ("nesterov", NESTEROV, nesterov)])
def test_ten_steps_follow_the_published_equations(framework, name, point, equations):
    np.testing.assert_allclose(run(framework, name, point), equations(START), rtol=2e-5)


@pytest.mark.parametrize("warmup_factor", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("step_hint", [1, 7, 100])
def test_schedules_are_the_same_in_both_frameworks(warmup_factor, step_hint):
    cosine = (kit_jax.warmup_cosine(2.0, warmup_factor, step_hint), kit_pytorch.warmup_cosine(warmup_factor, step_hint))
    linear = (
        kit_jax.warmup_linear(2.0, warmup_factor, step_hint, 0.9, 0.01),
        kit_pytorch.warmup_linear(warmup_factor, step_hint, 0.9, 0.01),
    )
    for in_jax, in_pytorch in (cosine, linear):
        for step in range(0, 2 * step_hint, max(1, step_hint // 10)):
            assert float(in_jax(step)) == pytest.approx(2.0 * in_pytorch(step), abs=1e-6), step


def test_the_jax_step_is_compiled_once_and_state_is_not_copied():
    """One cache entry after several steps: what enters the first step looks like what leaves it."""

    class Workload:
        step_hint = 10
        metrics_logger = None

        def model_fn(self, params, batch, model_state, mode, rng, update_batch_norm, dropout_rate):
            return batch["inputs"] @ params["kernel"], model_state

        def loss_fn(self, labels, logits, mask, label_smoothing):
            return {"summed": ((logits - labels) ** 2).sum(), "n_valid_examples": 1.0}

    backend = load_backend("jax")
    submission = kit_jax.OptaxSubmission(lambda hyperparameters, step_hint: optax.adam(0.1), {})
    params = backend.place({"kernel": jnp.full((3, 1), 1.0)})
    state = backend.place(
        submission.init_optimizer_state(Workload(), params, None, SimpleNamespace(_asdict=dict), None)
    )
    batch = backend.place_batch({"inputs": np.ones((4, 3), np.float32), "targets": np.zeros((4, 1), np.float32)})
    _, step = state
    for number in range(4):
        before = params
        state, params, _ = submission.update_params(
            Workload(), params, None, None, None, batch, None, state, [], number, jax.random.PRNGKey(number)
        )
        assert before["kernel"].is_deleted()
    assert step._cache_size() == 1
