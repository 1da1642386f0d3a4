"""Every baseline against its published equations in plain NumPy, over ten steps, in both frameworks in float64."""

import importlib
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch

from algoperf.benchmark.facts import ParameterType, ShapeTuple
from algoperf.kit import muon_jax, muon_pytorch, optimizers_pytorch
from algoperf.submission.points import as_hyperparameters
from tests.support.nightly import pytorch_first

STEPS = 10

# Parameters in PyTorch's layouts, and the order of the axes that makes JAX's of them.
SHAPES = {
    **{"matrix": (3, 2), "vector": (4,), "zeros": (2,), "convolution": (2, 3, 3, 3)},
    **{"large": (130, 128), "large_convolution": (128, 131, 1, 2), "other_matrix": (3, 2), "probe": (1, 1, 2)},
}
AXES = {name: {1: (0,), 2: (1, 0), 3: (0, 1, 2), 4: (2, 3, 1, 0)}[len(shape)] for name, shape in SHAPES.items()}
TYPES = {
    **{"matrix": ParameterType.ATTENTION_Q, "other_matrix": ParameterType.WEIGHT, "probe": ParameterType.WEIGHT},
    **{"large": ParameterType.EMBEDDING, "vector": ParameterType.BIAS, "zeros": ParameterType.LAYER_NORM_BIAS},
    **{"convolution": ParameterType.CONV_WEIGHT, "large_convolution": ParameterType.CONV_WEIGHT},
}
OUTPUT = "large_convolution"
HIDDEN = ((2, 3, 3, 3), (3, 2))  # the shapes of what Muon is for


def workload(axes):
    """What the optimizers ask of a workload; axes: the order of its framework's."""
    shapes = {name: tuple(shape[axis] for axis in axes.get(name, range(len(shape)))) for name, shape in SHAPES.items()}
    return SimpleNamespace(
        step_hint=10,
        model_params_types=TYPES,
        param_shapes={name: ShapeTuple(shape) for name, shape in shapes.items()},
        is_output_params=lambda key: key == OUTPUT,
    )


_RNG = np.random.default_rng(0)
START = {name: _RNG.normal(size=shape) for name, shape in SHAPES.items()}
START["zeros"] *= 0
GRADIENTS = [{name: _RNG.normal(size=shape) for name, shape in SHAPES.items()} for _ in range(STEPS)]

WARMUP = {"learning_rate": 0.1, "one_minus_beta1": 0.1, "weight_decay": 0.3, "warmup_factor": 0.2}
ADAM = {**WARMUP, "beta2": 0.95}
SCHEDULE_FREE = {**ADAM, "r": 0.75}
MUON = {**ADAM, "muon_learning_rate": 0.2, "muon_momentum": 0.8}
LINEAR = {**WARMUP, "decay_steps_factor": 0.9, "end_factor": 0.01}


def warmup_cosine(t):
    """The learning rate of step t = 1, 2, ..."""
    step = t - 1
    return 0.1 * (step / 2 if step < 2 else 0.5 * (1 + np.cos(np.pi * (step - 2) / 8)))


def warmup_linear(t):
    step = t - 1
    return 0.1 * (step / 2 if step < 2 else 1 - 0.99 * min(1, (step - 2) / int(8 * 0.9)))


def adamw(p, gradients):
    """Kingma and Ba 2015; decoupled decay (Loshchilov and Hutter 2019) times the rate."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.95 * v + 0.05 * g**2
        p = p - warmup_cosine(t) * (m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8) + 0.3 * p)
    return p


def nadamw(p, gradients):
    """Dozat 2016 without its momentum schedule; decoupled decay times the rate."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.95 * v + 0.05 * g**2
        look_ahead = (0.9 * m + 0.1 * g) / (1 - 0.9**t)
        p = p - warmup_cosine(t) * (look_ahead / (np.sqrt(v / (1 - 0.95**t)) + 1e-8) + 0.3 * p)
    return p


def lamb(p, gradients):
    """You et al. 2020, algorithm 2; a parameter or an update of no length is not scaled."""
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.95 * v + 0.05 * g**2
        update = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-8) + 0.3 * p
        lengths = np.linalg.norm(p), np.linalg.norm(update)
        p = p - warmup_cosine(t) * (lengths[0] / lengths[1] if all(lengths) else 1) * update
    return p


def adafactor(p, gradients):
    """Shazeer and Stern 2018, algorithms 4 and 5, with the decay, momentum and weight decay of Pax."""
    axes = tuple(np.argsort(p.shape)[-2:])
    is_factored = min(p.shape[axis] for axis in axes) >= 128 and p.ndim > 1
    m = v = 0.0
    for t, g in enumerate(gradients, start=1):
        decay = 0.99 * (1 - 0.99 ** (t - 1)) / (1 - 0.99**t)
        v = decay * v + (1 - decay) * (g**2 + 1e-30)  # its means are what is kept: the mean is linear
        means = [v.mean(axis, keepdims=True) for axis in axes]
        estimate = means[0] * means[1] / v.mean(axes, keepdims=True) if is_factored else v
        update = g / np.sqrt(estimate)
        update /= max(1, np.sqrt(np.mean(update**2)))
        m = 0.9 * m + 0.1 * warmup_cosine(t) * update
        p = p - m - warmup_cosine(t) * 0.3 * p
    return p


def muon(p, gradients):
    """Jordan et al. 2024 for hidden matrices, AdamW for the rest."""
    if p.shape not in HIDDEN:
        return adamw(p, gradients)
    m = 0.0
    for t, g in enumerate(gradients, start=1):
        m = 0.8 * m + 0.2 * g
        x = (0.2 * g + 0.8 * m).reshape(len(g), -1)
        rows, columns = x.shape
        x = x / (np.linalg.norm(x) + 1e-7)
        for _ in range(5):
            gram = x @ x.T
            x = 3.4445 * x - 4.7750 * gram @ x + 2.0315 * gram @ gram @ x
        update = max(1, rows / columns) ** 0.5 * x.reshape(p.shape)
        p = p - 2 * warmup_cosine(t) * (update + 0.3 * p)
    return p


def momentum(p, gradients):
    """Polyak 1964; weight decay is part of the gradient."""
    m = 0.0
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + (g + 0.3 * p)
        p = p - warmup_linear(t) * m
    return p


def nesterov(p, gradients):
    """Sutskever et al. 2013; weight decay is part of the gradient."""
    m = 0.0
    for t, g in enumerate(gradients, start=1):
        decayed = g + 0.3 * p
        m = 0.9 * m + decayed
        p = p - warmup_linear(t) * (decayed + 0.9 * m)
    return p


def schedule_free_adamw(p, gradients):
    """Defazio et al. 2024, algorithm 1: z is stepped, x is its average; the gradient and the decay are at y.

    As its authors' package has it: Adam's correction of the second moment is no part of the weights of the average.
    Returns y, where training goes on, and x, which is evaluated.
    """
    x = y = z = p
    v = weights = 0.0
    for t, g in enumerate(gradients, start=1):
        rate = 0.1 * min(1, t / 2)
        v = 0.95 * v + 0.05 * g**2
        z = z - rate * (g / (np.sqrt(v / (1 - 0.95**t)) + 1e-8) + 0.3 * y)
        weight = t**0.75 * rate**2
        weights += weight
        x = (1 - weight / weights) * x + weight / weights * z
        y = 0.9 * x + 0.1 * z
    return y, x


def run_jax(submission, hyperparameters):
    """What is trained and what is evaluated after the steps, in the canonical layouts."""
    with jax.enable_x64(True):
        transformation = submission.optimizer(hyperparameters, workload(AXES))
        params = to_jax(START)
        state = transformation.init(params)
        update = jax.jit(transformation.update)
        for gradients in GRADIENTS:
            updates, state = update(to_jax(gradients), state, params)
            params = optax.apply_updates(params, updates)
        evaluated = params if submission.average is None else submission.average.evaluated(state, params)
        return from_jax(params), from_jax(evaluated)


def to_jax(arrays):
    return {name: jnp.asarray(np.transpose(array, AXES[name])) for name, array in arrays.items()}


def from_jax(params):
    return {name: np.transpose(params[name], np.argsort(axes)) for name, axes in AXES.items()}


def run_pytorch(submission, hyperparameters):
    model = torch.nn.ParameterDict({name: torch.tensor(array) for name, array in START.items()})
    state = submission.init_optimizer_state(workload({}), model, None, hyperparameters, None)
    for gradients in GRADIENTS:
        for name, parameter in model.items():
            parameter.grad = torch.tensor(gradients[name])
        for stepping in (*state["optimizers"], *state["schedulers"]):
            if submission.average is not None and stepping in state["optimizers"]:
                submission.average.trained(stepping)
            stepping.step()
    trained = {name: parameter.detach().numpy().copy() for name, parameter in model.items()}
    submission.prepare_for_eval(None, model, None, None, None, None, state, [], STEPS, None)
    return trained, {name: parameter.detach().numpy() for name, parameter in model.items()}


RUN = {"jax": run_jax, "pytorch": run_pytorch}


CASES = [
    *((adamw, ADAM), (nadamw, ADAM), (lamb, ADAM), (adafactor, ADAM), (momentum, LINEAR), (nesterov, LINEAR)),
    *((muon, MUON), (schedule_free_adamw, SCHEDULE_FREE)),
]


@pytest.mark.parametrize("framework", pytorch_first("equations of optimizers in JAX"))
@pytest.mark.parametrize(("equations", "point"), CASES, ids=[equations.__name__ for equations, _ in CASES])
def test_ten_steps_follow_the_published_equations(framework, equations, point):
    check(framework, equations, point)


@pytest.mark.parametrize(
    ("equations", "point", "atol"),
    [(nadamw, ADAM, 1e-7), (lamb, ADAM, 1e-7), (adafactor, ADAM, 1e-7), (muon, MUON, 0.03)],
)
def test_so_do_they_where_all_parameters_are_updated_at_once(equations, point, atol, monkeypatch):
    """As on a GPU, where Muon computes in bfloat16."""
    for module in (optimizers_pytorch, muon_pytorch):
        monkeypatch.setattr(module, "is_at_once", bool)
    check("pytorch", equations, point, atol)


def check(framework, equations, point, atol=1e-7):
    module = importlib.import_module(f"submissions.{equations.__name__}.{framework}")
    trained, evaluated = RUN[framework](module.submission, as_hyperparameters(point))
    for name, start in START.items():
        expected = equations(start, [gradients[name] for gradients in GRADIENTS])
        expected = expected if isinstance(expected, tuple) else (expected, expected)
        # Some of the rates that optax computes are float32.
        np.testing.assert_allclose(trained[name], expected[0], rtol=1e-5, atol=atol, err_msg=name)
        np.testing.assert_allclose(evaluated[name], expected[1], rtol=1e-5, atol=atol, err_msg=name)


@pytest.mark.parametrize("shape", [(8, 20), (20, 8)])
def test_singular_values_are_near_one_in_half_precision_too(shape):
    """Jordan 2024: between 0.7 and 1.2 with these coefficients, and the singular vectors stay."""
    matrices = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    left, _, right = np.linalg.svd(matrices, full_matrices=False)
    by_torch = muon_pytorch.orthogonalized(torch.tensor(matrices), torch.bfloat16)
    by_jax = muon_jax.orthogonalized(jnp.asarray(matrices), jnp.bfloat16)
    assert by_torch.dtype == torch.bfloat16
    assert by_jax.dtype == jnp.bfloat16
    for found in (by_torch.float().numpy(), np.asarray(by_jax, np.float32)):
        rotated = left.mT @ found @ right.mT
        values = np.diagonal(rotated, axis1=1, axis2=2)
        assert 0.6 < values.min() < values.max() < 1.3
        np.testing.assert_allclose(rotated, values[:, None] * np.eye(8), atol=0.05)


@pytest.mark.parametrize("together", [7, 300, 10**6])
def test_updates_in_pieces_are_those_of_whole_parameters(monkeypatch, together):
    """As on a GPU: small parameters at once, of large ones a piece at a time."""
    torch.manual_seed(0)
    start = [torch.randn(shape) for shape in ((30, 20), (4,), (3, 2, 3, 3), (2,))]
    start[2] = start[2].to(memory_format=torch.channels_last)
    gradients = [torch.randn_like(tensor) for tensor in start]

    def updated(cls, **options):
        params = [torch.nn.Parameter(tensor.clone()) for tensor in start]
        for param, gradient in zip(params, gradients, strict=True):
            param.grad = gradient.clone()
        optimizer = cls(params, lr=0.1, weight_decay=0.1, **options)
        for _ in range(3):
            optimizer.step()
        return params

    for cls, options in (
        (optimizers_pytorch.NAdamW, {"betas": (0.9, 0.99)}),
        (optimizers_pytorch.Lamb, {"betas": (0.9, 0.99)}),
        (optimizers_pytorch.Adafactor, {"momentum": 0.9}),
    ):
        expected = updated(cls, **options)
        with monkeypatch.context() as patch:
            patch.setattr(optimizers_pytorch, "is_at_once", bool)
            patch.setattr(optimizers_pytorch, "_TOGETHER", together)
            for found, wanted in zip(updated(cls, **options), expected, strict=True):
                torch.testing.assert_close(found, wanted, rtol=1e-6, atol=1e-7)
