"""A cell in JAX by XLA's own compiler for GPUs, which needs no GPU: what a step allocates, moves and computes.

It works in a process of its own whose devices are not there; `fit.measure` starts it with the environment that takes.
"""

import collections
import re
import time
from collections.abc import Sequence
from typing import Any

import jax
import jaxlib.gpu_rnn
import numpy as np
from jax.experimental import topologies
from jax.extend.backend import backends
from jaxlib import _jax

from algoperf import jax_sharding_utils as sharding
from algoperf.benchmark.registry import load_spec
from algoperf.benchmark.workload import make_workload
from algoperf.fit import accelerators
from algoperf.fit.cells import BFLOAT16, Cell, Phase
from algoperf.shapes import batches
from algoperf.shapes.submissions import largest_point
from algoperf.submission import loading
from algoperf.submission.points import as_hyperparameters

Tree = Any

_COLLECTIVE = re.compile(
    r"= (.*?) (all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\(", re.MULTILINE
)
_CALLBACK = re.compile(r'custom_call_target="[^"]*callback')
_ARRAY = re.compile(r"\b(pred|[a-z]+?(\d+))\[([\d,]*)\]")


def figures(cell: Cell, phases: Sequence[Phase]) -> dict[str, Any]:
    """What `fit.cells.Figures` has of the cell; of the training step all is told, of the others what they hold."""
    _, facts = accelerators.find(cell.accelerator)
    _pretend(facts.target, cell.count)
    spec = load_spec(cell.workload)
    workload = make_workload(spec, "jax")
    submission = loading.load(loading.find(cell.submission, "jax"))
    step = _Step(workload, submission, largest_point(submission.path, cell.workload))
    found: dict[str, Any] = {"peaks": {}, "failures": {}, "state": _bytes(step.state)}
    if "train" in phases:
        batch = batches.training(spec, submission.batch_size(spec))
        kind = "bfloat16" if spec.base in BFLOAT16 else "float32"
        found |= _told(*step.train(_batch(batch)), kind, cell.count)
        found["peaks"] = {"train": found.pop("peak") + batches.READ_AHEAD * batches.size(batch) // cell.count}
    if "evaluation" in phases:
        batch = batches.evaluation(spec, submission.eval_batch_size(spec))
        compiled = step.evaluation(_batch(batch), batches.wanted(spec))
        ahead = batches.size(batches.training(spec, submission.batch_size(spec)))
        beside = _bytes(step.optimizer_state) + batches.READ_AHEAD * ahead // cell.count
        found["peaks"]["evaluation"] = _peak(compiled) + beside
    if "restore" in phases:
        found["peaks"]["restore"] = 2 * _bytes(step.state)  # what is there is kept until the whole checkpoint is read
    return found


class _Step:
    """The submission's own functions, compiled."""

    def __init__(self, workload: Any, submission: loading.Submission, point: Any):
        self._workload, self._submission, self._point = workload, submission, point
        self._key = jax.eval_shape(lambda: jax.random.PRNGKey(0))
        self._params, self._model_state = _replicated(jax.eval_shape(workload.init_model_fn, self._key))
        self._rest: dict[int, Any] = {}
        self.optimizer_state = _replicated(jax.eval_shape(self._begin, self._params, self._model_state, self._key))

    @property
    def state(self) -> Tree:
        """All that a trial's checkpoint holds."""
        return self.optimizer_state, self._params, self._model_state

    def train(self, batch: Tree) -> tuple[jax.stages.Lowered, jax.stages.Compiled, float]:
        """With the seconds of compiling."""
        step = jax.jit(self._update, donate_argnums=(0, 1, 2), out_shardings=sharding.get_replicate_sharding())
        lowered = step.lower(*self.state, batch, self._key)
        begin = time.perf_counter()
        compiled = lowered.compile()
        return lowered, compiled, time.perf_counter() - begin

    def evaluation(self, batch: Tree, wanted: frozenset[str]) -> jax.stages.Compiled:
        step = self._workload.evaluation_step
        return step.lower(self._params, batch, self._model_state, self._key, wanted).compile()

    def _begin(self, params: Tree, model_state: Tree, key: Any) -> list[Any]:
        """The arrays of the optimizer's state; the rest of it, functions and the like, is kept aside."""
        leaves, self._structure = jax.tree.flatten(
            self._submission.begin(self._workload, params, model_state, self._point, key)
        )
        self._rest = {index: leaf for index, leaf in enumerate(leaves) if not isinstance(leaf, jax.Array)}
        return [leaf for leaf in leaves if isinstance(leaf, jax.Array)]

    def _whole(self, arrays: list[Any]) -> Any:
        remaining = iter(arrays)
        count = len(arrays) + len(self._rest)
        leaves = [self._rest[index] if index in self._rest else next(remaining) for index in range(count)]
        return jax.tree.unflatten(self._structure, leaves)

    def _update(self, arrays: list[Any], params: Tree, model_state: Tree, batch: Tree, key: Any) -> tuple[Any, ...]:
        state, params, model_state = self._submission.update_params(
            workload=self._workload,
            current_param_container=params,
            current_params_types=self._workload.model_params_types,
            model_state=model_state,
            hyperparameters=as_hyperparameters(self._point),
            batch=batch,
            loss_type=self._workload.loss_type,
            optimizer_state=self._whole(arrays),
            eval_results=[],
            global_step=0,
            rng=key,
            **({"train_state": {}} if self._submission.takes_train_state else {}),
        )
        return [leaf for leaf in jax.tree.leaves(state) if isinstance(leaf, jax.Array)], params, model_state


def _pretend(target: str, count: int) -> None:
    """From here on, this process's devices are `count` of those that OpenXLA's description is of."""
    devices = topologies.get_topology_desc(platform="cuda", target_config=target, topology=f"1x1x{count}").devices
    jax.devices = lambda backend=None: list(devices)
    jax.device_count = lambda backend=None: count
    jax.default_backend = lambda: "gpu"
    jaxlib.gpu_rnn.compute_rnn_workspace_reserve_space_sizes = _of_lstm


def _of_lstm(input_size: int, hidden: int, layers: int, batch: int, length: int, dropout, bidirectional, tf32):
    """Bytes of cuDNN's workspace and of what it keeps for the backward pass, for which it asks the device: four gates
    of each hidden value, the cell, and its activation."""
    del input_size, dropout, tf32
    values = (2 if bidirectional else 1) * layers * batch * length * hidden
    return 4 * 4 * values, 4 * 6 * values


def _batch(batch: batches.Batch) -> Tree:
    divided = sharding.get_batch_dim_sharding()
    return batches.placed(batch, lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=divided))


def _replicated(tree: Tree) -> Tree:
    everywhere = sharding.get_replicate_sharding()
    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere), tree)


def _bytes(tree: Tree) -> int:
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _peak(compiled: jax.stages.Compiled) -> int:
    """Bytes that a device holds while it computes: arguments, of which those are written over that may be, results, and
    what lies between them."""
    memory = compiled.memory_analysis()
    results = memory.output_size_in_bytes - memory.alias_size_in_bytes
    return memory.argument_size_in_bytes + results + memory.temp_size_in_bytes


def _told(
    lowered: jax.stages.Lowered, compiled: jax.stages.Compiled, seconds: float, kind: str, count: int
) -> dict[str, Any]:
    """Of the operations as they were written, whose products XLA knows, and as they are compiled, which is what is read
    and written. Both count a loop's body once.
    """
    text = compiled.as_text()
    written = _cost(lowered.compiler_ir("hlo").as_hlo_module())
    (module,) = compiled.runtime_executable().hlo_modules()
    moved_between = [_size(result) for result, _ in _COLLECTIVE.findall(text)]
    callbacks = len(_CALLBACK.findall(text))
    return {
        "peak": _peak(compiled),
        "collectives": len(moved_between),
        "collective_bytes": sum(moved_between),
        "waits": {"callbacks": callbacks} if callbacks else {},
        "flops": {kind: written["flops"] / count},
        "moved": _cost(module)["bytes accessed"],
        "kernels": collections.Counter(re.findall(r"^\s*(?:ROOT )?%?[\w.\-]+ = .*? (\w[\w\-]*)\(", text, re.MULTILINE))[
            "fusion"
        ],
        "seconds": seconds,
    }


def _cost(module: Any) -> dict[str, float]:
    return _jax.hlo_module_cost_analysis(backends()["cpu"], module)


def _size(shape: str) -> int:
    """Bytes of the arrays in a shape as XLA writes it: (f32[64,3]{1,0}, s32[])."""
    total = 0
    for _, bits, dims in _ARRAY.findall(shape):
        total += max(1, int(bits or 8) // 8) * int(np.prod([int(size) for size in dims.split(",") if size]))
    return total
