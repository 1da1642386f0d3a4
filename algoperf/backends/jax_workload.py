"""A workload in JAX: pure functions of nested dictionaries of arrays. The twin of `pytorch_workload.py`."""

import functools
import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from algoperf import jax_sharding_utils as sharding
from algoperf.backends.jax import JaxBackend
from algoperf.benchmark.facts import ForwardPassMode, Framework, ParameterType, ShapeTuple, WorkloadSpec
from algoperf.benchmark.workload import Workload
from algoperf.losses.jax import ACTIVATIONS, LOSSES, PREDICTIONS
from workloads.layers import jax as layers
from workloads.layers.context import ForwardContext

Tree = dict[str, Any]


class JaxWorkload(Workload):
    framework = "jax"

    def __init__(self, spec: WorkloadSpec, data_dir: Path, protocol: str):
        super().__init__(spec, data_dir, protocol)
        self._backend = JaxBackend()  # joins the processes, which has to come before JAX looks for devices
        self._model_class = importlib.import_module(f"{spec.package}.model_jax").MODEL
        # The structure of the model, with shapes where its arrays will be.
        self._abstract = nnx.eval_shape(lambda: self._build(jax.random.key(0)))
        self._graphdef, self._abstract_params, _ = layers.split(self._abstract)

    def _build(self, key: jax.Array) -> nnx.Module:
        return self._model_class(**self.spec.model, rngs=nnx.Rngs(params=key))

    @functools.cached_property
    def param_shapes(self) -> Tree:
        return jax.tree.map(lambda leaf: ShapeTuple(tuple(leaf.shape)), self._abstract_params)

    @functools.cached_property
    def model_params_types(self) -> Tree:
        types: dict[str, ParameterType] = layers.parameter_types(self._abstract)
        return jax.tree.map(types.__getitem__, layers.canonical_names(self._abstract))

    def init_model_fn(self, rng: jax.Array) -> tuple[Tree, Tree | None]:
        params, state = self._init(rng)
        return params, state or None

    @functools.cached_property
    def _init(self):
        def init(rng: jax.Array) -> tuple[Tree, Tree]:
            _, params, state = layers.split(self._build(rng))
            return params, state

        # Initialisation runs once: on a CPU, compiling it in full takes longer than it runs.
        options = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else None
        return jax.jit(init, out_shardings=sharding.get_replicate_sharding(), compiler_options=options)

    def model_fn(
        self,
        params: Tree,
        augmented_and_preprocessed_input_batch: Mapping[str, jax.Array],
        model_state: Tree | None,
        mode: ForwardPassMode,
        rng: jax.Array | None,
        update_batch_norm: bool,
        dropout_rate: float | jax.Array | None = None,
        use_running_average_bn: bool | None = None,
    ) -> tuple[jax.Array, Tree | None]:
        model = layers.merge(self._graphdef, params, model_state or {})
        context = ForwardContext(
            train=mode == ForwardPassMode.TRAIN,
            update_batch_norm=update_batch_norm,
            use_running_average=not update_batch_norm if use_running_average_bn is None else use_running_average_bn,
            dropout_rate=self.spec.dropout_rate if dropout_rate is None else dropout_rate,
            rng=rng,
        )
        logits = model(self.model_inputs(augmented_and_preprocessed_input_batch), context)
        return logits, layers.split(model)[2] or None

    def loss_fn(
        self,
        label_batch: jax.Array,
        logits_batch: jax.Array,
        mask_batch: jax.Array | None = None,
        label_smoothing: float = 0.0,
    ) -> dict[str, jax.Array]:
        return LOSSES[self.spec.loss_name](label_batch, logits_batch, mask_batch, label_smoothing)

    def output_activation_fn(self, logits_batch: jax.Array, framework: Framework) -> jax.Array:
        del framework
        return ACTIVATIONS[self.spec.loss_name](logits_batch)

    def forward_for_evaluation(
        self,
        params: Tree,
        batch: Mapping[str, Any],
        model_state: Tree | None,
        rng: jax.Array,
        wanted: frozenset[str],
    ) -> dict[str, Any]:
        """Each process evaluates its own examples on its own devices: no example needs another one."""
        params, model_state = sharding.replicated_within_process((params, model_state))
        batch = sharding.shard_within_process(dict(batch))
        with jax.set_mesh(sharding.get_mesh().local_mesh):
            return jax.device_get(self.evaluation_step(params, batch, model_state, rng, wanted))

    @functools.cached_property
    def evaluation_step(self):
        """`forward_for_evaluation` of a batch on the devices, compiled; the results stay there."""

        @functools.partial(jax.jit, static_argnames="wanted")
        def evaluation_step(params, batch, model_state, rng, wanted):
            logits, _ = self.model_fn(params, batch, model_state, ForwardPassMode.EVAL, rng, update_batch_norm=False)
            losses = self.loss_fn(batch["targets"], logits, batch["weights"])
            outputs = {name: losses[name] for name in ("per_example", "n_valid_examples")}
            if "logits" in wanted:
                outputs["logits"] = logits
            if "predictions" in wanted:
                outputs["predictions"] = PREDICTIONS[self.spec.loss_name](logits)
            if "translations" in wanted:
                model = layers.merge(self._graphdef, params, model_state or {})
                outputs["translations"] = model.translate(batch["inputs"])
            return outputs

        return evaluation_step

    def framework_settings(self) -> dict[str, Any]:
        return self._backend.framework_settings()

    def canonical_shapes(self) -> dict[str, tuple[int, ...]]:
        return layers.canonical_shapes(self._abstract)

    def from_canonical(self, tensors: Mapping[str, np.ndarray]) -> tuple[Tree, Tree | None]:
        params, state = layers.from_canonical(self._abstract, tensors)
        return params, state or None

    def to_canonical(self, params: Tree, model_state: Tree | None) -> dict[str, np.ndarray]:
        return layers.to_canonical(layers.merge(self._graphdef, params, model_state or {}))


WORKLOAD = JaxWorkload
