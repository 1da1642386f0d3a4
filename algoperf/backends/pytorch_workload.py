"""A workload in PyTorch: the module itself holds parameters and running statistics. The twin of `jax_workload.py`."""

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.overrides import TorchFunctionMode

from algoperf.backends.pytorch import PytorchBackend
from algoperf.backends.pytorch_state import bare
from algoperf.benchmark.facts import ForwardPassMode, Framework, ParameterType, ShapeTuple, WorkloadSpec
from algoperf.benchmark.workload import Workload
from algoperf.losses.pytorch import ACTIVATIONS, LOSSES, PREDICTIONS
from algoperf.pytorch_utils import num_processes
from workloads.layers import pytorch as layers
from workloads.layers.context import ForwardContext

# Those that have the tensor itself first; the other ones call them.
_DRAWS = {
    *(torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.erfinv_),
    *(nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_, nn.init.orthogonal_),
}


class _WithoutDraws(TorchFunctionMode):
    """Nothing is drawn for tensors that hold nothing: PyTorch loads its compiler for that, for seconds."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func in _DRAWS:
            return (*args, *kwargs.values())[0]
        return func(*args, **kwargs)


class PytorchWorkload(Workload):
    framework = "pytorch"

    def __init__(self, spec: WorkloadSpec, data_dir: Path, protocol: str):
        super().__init__(spec, data_dir, protocol)
        self._model_class = importlib.import_module(f"{spec.package}.model_pytorch").MODEL
        self._backend = PytorchBackend()
        # The structure of the model, with shapes where its tensors will be.
        with torch.device("meta"), _WithoutDraws():
            self._abstract = self._model_class(**self.spec.model)

    @functools.cached_property
    def param_shapes(self) -> dict[str, ShapeTuple]:
        return {name: ShapeTuple(tuple(tensor.shape)) for name, tensor in self._abstract.named_parameters()}

    @functools.cached_property
    def model_params_types(self) -> dict[str, ParameterType]:
        return layers.parameter_types(self._abstract)

    def init_model_fn(self, rng: np.ndarray) -> tuple[nn.Module, None]:
        """The same weights in all processes and on every device: they are drawn on the host.

        The global generator, which differs between processes, goes on where it was.
        """
        with torch.random.fork_rng([]), torch.device("cpu"):
            torch.default_generator.manual_seed(int(np.asarray(rng)[0]))
            model = self._model_class(**self.spec.model)
        return self._ready(model), None

    def model_fn(
        self,
        params: nn.Module,
        augmented_and_preprocessed_input_batch: Mapping[str, torch.Tensor],
        model_state: None,
        mode: ForwardPassMode,
        rng: Any,
        update_batch_norm: bool,
        dropout_rate: float | None = None,
        use_running_average_bn: bool | None = None,
    ) -> tuple[torch.Tensor, None]:
        del model_state, rng  # statistics live in the module, dropout draws from the global generator
        context = ForwardContext(
            train=mode == ForwardPassMode.TRAIN,
            update_batch_norm=update_batch_norm,
            use_running_average=not update_batch_norm if use_running_average_bn is None else use_running_average_bn,
            dropout_rate=self.spec.dropout_rate if dropout_rate is None else dropout_rate,
        )
        inputs = self.model_inputs(augmented_and_preprocessed_input_batch)
        if mode != ForwardPassMode.EVAL:
            return params(inputs, context), None
        # What is around a model that is shared is for its gradients, and what is compiled is compiled for training.
        with torch.no_grad():
            return bare(params)._call_impl(inputs, context), None

    def loss_fn(
        self,
        label_batch: torch.Tensor,
        logits_batch: torch.Tensor,
        mask_batch: torch.Tensor | None = None,
        label_smoothing: float = 0.0,
    ) -> dict[str, torch.Tensor]:
        return LOSSES[self.spec.loss_name](label_batch, logits_batch, mask_batch, label_smoothing)

    def output_activation_fn(self, logits_batch: torch.Tensor, framework: Framework) -> torch.Tensor:
        del framework
        return ACTIVATIONS[self.spec.loss_name](logits_batch)

    def forward_for_evaluation(
        self, params: nn.Module, batch: Mapping[str, Any], model_state: None, rng: Any, wanted: frozenset[str]
    ) -> dict[str, Any]:
        del model_state, rng
        outputs = self.evaluated(params, self._backend.place_batch(batch), wanted)
        return {name: _as_numpy(value) for name, value in outputs.items()}

    @torch.no_grad()
    def evaluated(self, params: nn.Module, placed: Mapping[str, Any], wanted: frozenset[str]) -> dict[str, Any]:
        """`forward_for_evaluation` of a batch on the device, as tensors there."""
        logits, _ = self.model_fn(params, placed, None, ForwardPassMode.EVAL, None, update_batch_norm=False)
        losses = self.loss_fn(placed["targets"], logits, placed["weights"])
        outputs = {name: losses[name] for name in ("per_example", "n_valid_examples")}
        if "logits" in wanted:
            outputs["logits"] = logits
        if "predictions" in wanted:
            outputs["predictions"] = PREDICTIONS[self.spec.loss_name](logits)
        if "translations" in wanted:
            outputs["translations"] = bare(params).translate(placed["inputs"])
        return outputs

    def canonical_shapes(self) -> dict[str, tuple[int, ...]]:
        return layers.canonical_shapes(self._abstract)

    def from_canonical(self, tensors: Mapping[str, np.ndarray]) -> tuple[nn.Module, None]:
        with torch.device("cpu"):
            model = self._model_class(**self.spec.model)
        layers.from_canonical(model, tensors)
        return self._ready(model), None

    def to_canonical(self, params: nn.Module, model_state: None) -> dict[str, np.ndarray]:
        return layers.to_canonical(bare(params))

    def framework_settings(self) -> dict[str, Any]:
        return {**self._backend.framework_settings(), "torch_compile": self._backend.is_compiled(self.spec)}

    def _ready(self, model: nn.Module) -> nn.Module:
        """The model on the device, compiled where the workload says so, its gradients averaged over the processes.

        It is compiled in place, so that parameters keep their names, and when it is called first: on the clock. Buffers
        are not broadcast: the running statistics are those of the global batch, hence the same in all processes.
        """
        device = self._backend.device
        if self._backend.is_older_gpu:  # it convolves float32 faster one channel after the other
            model = model.to(memory_format=torch.contiguous_format)
        model = model.to(device)
        if self._backend.is_compiled(self.spec):
            model.compile()
        if num_processes() == 1:
            return model
        return DistributedDataParallel(
            model,
            device_ids=[device] if device.type == "cuda" else None,
            broadcast_buffers=False,
            gradient_as_bucket_view=True,  # gradients lie where they are summed, and not there once more
        )


WORKLOAD = PytorchWorkload


def _as_numpy(value: torch.Tensor | tuple[torch.Tensor, ...]) -> Any:
    return tuple(map(_as_numpy, value)) if isinstance(value, tuple) else value.cpu().numpy()
