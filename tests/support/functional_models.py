"""A model of either framework as functions of canonical arrays, so that a test is written once for both."""

import copy
import dataclasses
import functools
import importlib
from collections.abc import Mapping
from typing import Any
from unittest import mock

import jax
import numpy as np
import torch
from flax import nnx
from torch.utils._python_dispatch import TorchDispatchMode

from algoperf.benchmark.facts import ParameterType, Sum, WorkloadSpec
from algoperf.losses import jax as jax_losses
from algoperf.losses import pytorch as pytorch_losses
from tests.support.compilation import COMPILE_FAST
from workloads.layers import jax as jax_layers
from workloads.layers import pytorch as pytorch_layers
from workloads.layers.context import ForwardContext

EVAL = ForwardContext(train=False, update_batch_norm=False, use_running_average=True)
TRAIN = ForwardContext(train=True, update_batch_norm=True, use_running_average=False)

# What a model reads and what a loss compares: an array, or several of them in a tuple or a dict.
Arrays = Any


@dataclasses.dataclass(frozen=True)
class TrainingPass:
    """What a forward and a backward pass in training mode give; arrays by canonical name."""

    logits: Arrays
    mean_loss: float
    gradients: dict[str, np.ndarray]
    statistics: dict[str, np.ndarray]


class JaxModel:
    def __init__(self, spec: WorkloadSpec, dtype: type = np.float32) -> None:
        self.spec = spec
        self._x64 = functools.partial(jax.enable_x64, dtype == np.float64)
        self._dtype = dtype
        model = importlib.import_module(f"{spec.package}.model_jax").MODEL
        self._build = lambda seed: model(**spec.model, rngs=nnx.Rngs(seed))
        self._abstract = nnx.eval_shape(lambda: self._build(0))
        self._graphdef, _, _ = jax_layers.split(self._abstract)
        self._loss_fn = jax_losses.LOSSES[spec.loss_name]
        options = COMPILE_FAST if dtype == np.float64 else None  # models in float64 are small here
        self._jitted_forward = jax.jit(self._forward, static_argnames="ctx", compiler_options=options)
        self._jitted_loss = jax.jit(jax.value_and_grad(self._loss, has_aux=True), compiler_options=options)

    def initial(self, seed: int) -> dict[str, np.ndarray]:
        """Arrays as the model's constructor gives them."""
        build = jax.jit(lambda: jax_layers.split(self._build(seed))[1:], compiler_options=COMPILE_FAST)
        return jax_layers.to_canonical(jax_layers.merge(self._graphdef, *build()))

    def round_trip(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The arrays, put into the model and taken out again."""
        return jax_layers.to_canonical(jax_layers.merge(self._graphdef, *self._trees(tensors)))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return jax_layers.canonical_shapes(self._abstract)

    def types(self) -> dict[str, ParameterType]:
        return jax_layers.parameter_types(self._abstract)

    def logits(self, tensors: Mapping[str, np.ndarray], batch: Mapping[str, Arrays], ctx: ForwardContext) -> Arrays:
        with self._x64():
            inputs = with_floats(model_inputs(self.spec, batch), self._dtype)
            return jax.device_get(self._jitted_forward(*self._trees(tensors), inputs, ctx)[0])

    def losses(self, batch: Mapping[str, Arrays], logits: Arrays, label_smoothing: float) -> dict[str, np.ndarray]:
        """The loss function's dictionary."""
        return jax.device_get(self._loss_fn(batch["targets"], logits, batch.get("weights"), label_smoothing))

    def train(self, tensors: Mapping[str, np.ndarray], batch: Mapping[str, Arrays]) -> TrainingPass:
        with self._x64():
            params, statistics = self._trees(tensors)
            batch = with_floats(dict(batch), self._dtype)
            (loss, (logits, statistics)), gradients = self._jitted_loss(params, statistics, batch)
            arrays = jax_layers.to_canonical(jax_layers.merge(self._graphdef, gradients, statistics))
            types = self.types()
            return TrainingPass(
                logits=jax.device_get(logits),
                mean_loss=float(loss),
                gradients={name: array for name, array in arrays.items() if name in types},
                statistics={name: array for name, array in arrays.items() if name not in types},
            )

    def masks(
        self, tensors: Mapping[str, np.ndarray], batch: Mapping[str, Arrays], dropout_rate: float
    ) -> list[np.ndarray]:
        """What dropout keeps in one pass of training, mask by mask."""
        bernoulli, ctx = jax.random.bernoulli, dataclasses.replace(TRAIN, dropout_rate=dropout_rate)

        def drawn(params: Any, statistics: Any, inputs: Any) -> list[jax.Array]:
            masks = []
            with mock.patch.object(jax.random, "bernoulli", lambda *args: masks.append(bernoulli(*args)) or masks[-1]):
                self._forward(params, statistics, inputs, ctx)
            return masks

        inputs = model_inputs(self.spec, batch)
        return jax.device_get(jax.jit(drawn, compiler_options=COMPILE_FAST)(*self._trees(tensors), inputs))

    def _trees(self, tensors: Mapping[str, np.ndarray]) -> Any:
        trees = jax_layers.from_canonical(self._abstract, tensors)
        return jax.tree.map(lambda array: array.astype(self._dtype), trees)

    def _forward(self, params: Any, statistics: Any, inputs: Any, ctx: ForwardContext) -> Any:
        model = jax_layers.merge(self._graphdef, params, statistics)
        logits = model(inputs, dataclasses.replace(ctx, rng=jax.random.key(0)))
        return logits, jax_layers.split(model)[2]

    def _loss(self, params: Any, statistics: Any, batch: Mapping[str, Any]) -> Any:
        logits, statistics = self._forward(params, statistics, model_inputs(self.spec, batch), TRAIN)
        loss = self._loss_fn(batch["targets"], logits, batch.get("weights"))
        return loss["summed"] / loss["n_valid_examples"], (logits, statistics)


class PytorchModel:
    def __init__(self, spec: WorkloadSpec, dtype: type = np.float32) -> None:
        self.spec = spec
        self._dtype = dtype
        model = importlib.import_module(f"{spec.package}.model_pytorch").MODEL
        self._build = lambda: model(**spec.model)
        with torch.device("meta"):
            self._abstract = self._build()
        self._loss_fn = pytorch_losses.LOSSES[spec.loss_name]

    def initial(self, seed: int) -> dict[str, np.ndarray]:
        torch.manual_seed(seed)
        return pytorch_layers.to_canonical(self._build())

    def round_trip(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return pytorch_layers.to_canonical(self._model(tensors))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return pytorch_layers.canonical_shapes(self._abstract)

    def types(self) -> dict[str, ParameterType]:
        return pytorch_layers.parameter_types(self._abstract)

    @torch.no_grad()
    def logits(self, tensors: Mapping[str, np.ndarray], batch: Mapping[str, Arrays], ctx: ForwardContext) -> Arrays:
        return _to_numpy(self._model(tensors)(self._inputs(batch), ctx))

    def losses(self, batch: Mapping[str, Arrays], logits: Arrays, label_smoothing: float) -> dict[str, np.ndarray]:
        """The loss function's dictionary."""
        placed = jax.tree.map(torch.tensor, {**batch, "logits": logits})
        return _to_numpy(
            self._loss_fn(placed["targets"], placed["logits"], placed.get("weights"), label_smoothing=label_smoothing)
        )

    def train(self, tensors: Mapping[str, np.ndarray], batch: Mapping[str, Arrays]) -> TrainingPass:
        model = self._model(tensors)
        logits = model(self._inputs(batch), TRAIN)
        placed = jax.tree.map(torch.tensor, with_floats(dict(batch), self._dtype))
        loss = self._loss_fn(placed["targets"], logits, placed.get("weights"))
        mean_loss = loss["summed"] / loss["n_valid_examples"]
        mean_loss.backward()
        return TrainingPass(
            logits=_to_numpy(logits),
            mean_loss=mean_loss.item(),
            gradients={name: parameter.grad.numpy() for name, parameter in model.named_parameters()},
            statistics={name: buffer.numpy() for name, buffer in model.named_buffers()},
        )

    @torch.no_grad()
    def masks(
        self, tensors: Mapping[str, np.ndarray], batch: Mapping[str, Arrays], dropout_rate: float
    ) -> list[np.ndarray]:
        """What dropout keeps in one pass of training, mask by mask; those of images have the channels last."""
        torch.manual_seed(0)
        with _Draws() as draws:
            self._model(tensors)(self._inputs(batch), dataclasses.replace(TRAIN, dropout_rate=dropout_rate))
        masks = [mask.numpy().astype(bool) for mask in draws.masks]
        return [mask.transpose(0, 2, 3, 1) if mask.shape[2:] == (1, 1) else mask for mask in masks]

    def _model(self, tensors: Mapping[str, np.ndarray]) -> torch.nn.Module:
        model = copy.deepcopy(self._abstract).to_empty(device="cpu")
        model = model.double() if self._dtype == np.float64 else model
        pytorch_layers.from_canonical(model, tensors)
        return model

    def _inputs(self, batch: Mapping[str, Arrays]) -> Any:
        """Images arrive as the channels-last view that the backend makes of them."""
        tensors = jax.tree.map(torch.tensor, with_floats(model_inputs(self.spec, batch), self._dtype))
        return jax.tree.map(lambda tensor: tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor, tensors)


class _Draws(TorchDispatchMode):
    """Keeps the masks that are drawn while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.masks: list[torch.Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.bernoulli_.float:
            self.masks.append(result.clone())
        return result


def model_inputs(spec: WorkloadSpec, batch: Mapping[str, Arrays]) -> Arrays:
    """What of a batch the model reads."""
    keys = spec.model_inputs
    return batch[keys[0]] if len(keys) == 1 else {key: batch[key] for key in keys if key in batch}


def with_floats(arrays: Arrays, dtype: type) -> Arrays:
    """The arrays, in this precision where they have real numbers."""
    return jax.tree.map(lambda array: array.astype(dtype) if array.dtype.kind == "f" else array, arrays)


def _to_numpy(tensors: Any) -> Arrays:
    return jax.tree.map(lambda tensor: tensor.detach().numpy(), tensors)


MODELS = {"jax": JaxModel, "pytorch": PytorchModel}


def valid(logits: Arrays) -> np.ndarray:
    """The logits that mean something: those of speech, (logits, paddings), at the frames that are no padding."""
    if not isinstance(logits, tuple):
        return logits
    logits, paddings = logits
    return logits[paddings == 0]


def disturbed(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """No tensor at a value, such as zero, at which a fault would go unnoticed; variances stay positive."""
    random = np.random.RandomState(0)
    noise = {name: 0.1 * random.standard_normal(array.shape) for name, array in tensors.items()}
    noise.update({name: np.abs(array) for name, array in noise.items() if name.endswith("running_var")})
    return {name: (array + noise[name]).astype(np.float32) for name, array in tensors.items()}


def relative_error(actual: np.ndarray, expected: np.ndarray) -> float:
    """The L2 norm of the difference, over that of `expected`."""
    return float(np.linalg.norm(np.asarray(actual, np.float64) - expected) / np.linalg.norm(expected))


@dataclasses.dataclass(frozen=True)
class Trajectory:
    """Training on one batch: the first pass, and each step's mean loss and norm of the gradient."""

    first: TrainingPass
    losses: list[float]
    gradient_norms: list[float]


def nadamw_trajectory(
    model: JaxModel | PytorchModel,
    tensors: Mapping[str, np.ndarray],
    batch: Mapping[str, Arrays],
    hyperparameters: Mapping[str, float],
    num_steps: int,
) -> Trajectory:
    """Steps of NAdamW, two of them warm-up from a learning rate of zero.

    What the reference has as a sum of tensors moves as far as all of these together.
    """
    beta1, beta2 = 1 - hyperparameters["one_minus_beta1"], hyperparameters["beta2"]
    tensors = dict(tensors)
    first_moments = {name: np.zeros_like(tensors[name]) for name in model.types()}
    second_moments = {name: np.zeros_like(tensors[name]) for name in model.types()}
    result = first = model.train(tensors, batch)
    losses, gradient_norms = [], []
    for step in range(num_steps):
        if step > 1:  # the first step's learning rate is zero, so that the second has its loss and gradient
            result = model.train(tensors, batch)
        losses.append(result.mean_loss)
        gradient_norms.append(np.linalg.norm([np.linalg.norm(gradient) for gradient in result.gradients.values()]))
        learning_rate = hyperparameters["learning_rate"] * min(step / 2, 1.0)
        if step == num_steps - 1:
            break
        for name, gradient in result.gradients.items():
            first_moments[name] = beta1 * first_moments[name] + (1 - beta1) * gradient
            second_moments[name] = beta2 * second_moments[name] + (1 - beta2) * gradient**2
            if learning_rate == 0:
                continue
            mean = (beta1 * first_moments[name] + (1 - beta1) * gradient) / (1 - beta1 ** (step + 1))
            scale = np.sqrt(second_moments[name] / (1 - beta2 ** (step + 1))) + 1e-8
            theirs = model.spec.reference_names.get(name)
            num_summands = len(theirs.names) if isinstance(theirs, Sum) else 1
            change = num_summands * mean / scale + hyperparameters["weight_decay"] * tensors[name]
            tensors[name] = tensors[name] - np.float32(learning_rate) * change
        tensors.update(result.statistics)
    return Trajectory(first, losses, gradient_norms)
