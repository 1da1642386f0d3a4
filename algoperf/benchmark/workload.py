"""The workload object of the official API, on top of a WorkloadSpec: what submissions and the loop hold in hand."""

import abc
import importlib
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.benchmark import reference_names
from algoperf.benchmark.facts import (
    FRAMEWORKS,
    ForwardPassMode,
    Framework,
    LossType,
    Scale,
    UsageError,
    WorkloadSpec,
    replace,
)
from algoperf.benchmark.registry import load_spec

DEFAULT_DATA_DIR = Path("data")


class Workload(abc.ABC):
    """One workload in one framework. The attributes are those of the official API; times are in seconds.

    metrics_logger: takes a submission's training metrics during a trial (`append_scalar_metrics(metrics, step)`);
    None outside of one.
    """

    framework: Framework

    def __init__(self, spec: WorkloadSpec, data_dir: Path, protocol: str):
        if protocol not in spec.budget:
            raise UsageError(f"{spec.name} has no budget in protocol {protocol!r}; it has {', '.join(spec.budget)}.")
        self.spec = spec
        self.data_dir = data_dir
        self.metrics_logger = None
        self._budget = spec.budget[protocol]

    # The facts of the official API.
    name = property(lambda self: self.spec.name)
    loss_type: LossType = property(lambda self: self.spec.loss)
    target_metric_name: str = property(lambda self: self.spec.target.metric)
    validation_target_value: float = property(lambda self: self.spec.target.validation)
    test_target_value: float | None = property(lambda self: self.spec.target.test)
    step_hint: int = property(lambda self: self._budget.step_hint)
    max_allowed_runtime_sec: float = property(lambda self: self._budget.max_runtime)
    eval_period_time_sec: float = property(lambda self: self._budget.eval_period or self.spec.eval_period)
    eval_batch_size: int = property(lambda self: self.spec.eval_batch_size)
    num_train_examples: int = property(lambda self: self.spec.num_train_examples)
    num_eval_train_examples: int = property(lambda self: self.spec.num_eval_train_examples)
    num_validation_examples: int = property(lambda self: self.spec.num_validation_examples)
    num_test_examples: int = property(lambda self: self.spec.num_test_examples)

    def has_reached_validation_target(self, eval_result: Mapping[str, float]) -> bool:
        return self.spec.target.reached(eval_result[f"validation/{self.target_metric_name}"], "validation")

    def has_reached_test_target(self, eval_result: Mapping[str, float]) -> bool:
        """Where there is no test target there is nothing to miss."""
        if self.spec.target.test is None:
            return True
        return self.spec.target.reached(eval_result[f"test/{self.target_metric_name}"], "test")

    def attach_metrics_logger(self, metrics_logger: Any) -> None:
        self.metrics_logger = metrics_logger

    def is_output_params(self, param_key: str) -> bool:
        """Whether a parameter (`fc.weight`), or a part of the tree (`fc`, `fc/kernel`), belongs to the last layer."""
        return param_key.replace("/", ".").split(".")[: self._output_depth] == self.spec.output_layer.split(".")

    @property
    def _output_depth(self) -> int:
        return self.spec.output_layer.count(".") + 1

    @property
    @abc.abstractmethod
    def param_shapes(self) -> Any:
        """The tree of the parameters with a ShapeTuple at each leaf; nothing is allocated for it."""

    @property
    @abc.abstractmethod
    def model_params_types(self) -> Any:
        """The tree of the parameters with a ParameterType at each leaf, as the layers declare them."""

    @abc.abstractmethod
    def init_model_fn(self, rng: Any) -> tuple[Any, Any]:
        """Parameters and model state, initialised as the reference's JAX side does."""

    @abc.abstractmethod
    def model_fn(
        self,
        params: Any,
        augmented_and_preprocessed_input_batch: Mapping[str, Any],
        model_state: Any,
        mode: ForwardPassMode,
        rng: Any,
        update_batch_norm: bool,
        dropout_rate: float | None = None,
        use_running_average_bn: bool | None = None,
    ) -> tuple[Any, Any]:
        """Logits and the new model state.

        update_batch_norm: normalise by the batch's statistics and update the running ones; False: normalise by the
        running ones, unless `use_running_average_bn` says otherwise. dropout_rate: None is the workload's own.
        """

    @abc.abstractmethod
    def loss_fn(
        self, label_batch: Any, logits_batch: Any, mask_batch: Any = None, label_smoothing: float = 0.0
    ) -> dict[str, Any]:
        """`summed`, `n_valid_examples` and `per_example` (masked); not reduced over processes."""

    @abc.abstractmethod
    def output_activation_fn(self, logits_batch: Any, framework: Framework) -> Any:
        """Logits into probabilities, or as they are where the workload predicts values. framework: this workload's."""

    @abc.abstractmethod
    def forward_for_evaluation(
        self, params: Any, batch: Mapping[str, Any], model_state: Any, rng: Any, wanted: frozenset[str]
    ) -> dict[str, Any]:
        """`per_example` and `n_valid_examples` of one evaluation batch, as NumPy arrays, and of `logits`, `predictions`
        and `translations` those that are wanted: logits may be too large to leave the device."""

    @abc.abstractmethod
    def framework_settings(self) -> dict[str, Any]:
        """By which libraries and how the framework computes it here, by name: equal where times compare."""

    def model_inputs(self, batch: Mapping[str, Any]) -> Any:
        """What of a batch the model reads."""
        keys = self.spec.model_inputs
        return batch[keys[0]] if len(keys) == 1 else {key: batch[key] for key in keys if key in batch}

    @abc.abstractmethod
    def from_canonical(self, tensors: Mapping[str, np.ndarray]) -> tuple[Any, Any]:
        """Parameters and model state from arrays under our names, in PyTorch's layouts; running statistics may lack."""

    @abc.abstractmethod
    def to_canonical(self, params: Any, model_state: Any) -> dict[str, np.ndarray]:
        """The inverse of `from_canonical`, running statistics included."""

    @abc.abstractmethod
    def canonical_shapes(self) -> dict[str, tuple[int, ...]]:
        """The name and shape of every array of `to_canonical`, parameters first; nothing is allocated for it."""

    def from_reference(self, tensors: Mapping[str, np.ndarray]) -> tuple[Any, Any]:
        """Parameters and model state from the reference implementation's PyTorch tensors, by name.

        Running statistics may be left out as a whole; they are then fresh. Raises UsageError naming the first missing
        or extra name or wrong shape.
        """
        return self.from_canonical(reference_names.from_reference(self.spec, self.canonical_shapes(), tensors))

    def to_reference(self, params: Any, model_state: Any) -> dict[str, np.ndarray]:
        """Every parameter and running statistic under the reference's PyTorch name and layout."""
        return reference_names.to_reference(self.spec, self.to_canonical(params, model_state))


def load_workload(
    name: str,
    framework: Framework,
    scale: Scale = "full",
    data_dir: str | Path | None = None,
    model: Mapping[str, Any] | None = None,
    protocol: str | None = None,
) -> Workload:
    """A workload or variant, ready to be trained.

    model: values that replace the spec's, e.g. {"vocab_size": 65_536} for criteo1tb. protocol: whose budget counts;
    the newest of the scale where None. Raises UsageError for an unknown name, framework, scale or model value.
    """
    if framework not in FRAMEWORKS:
        raise UsageError(f"there is no framework {framework!r}; the frameworks are {', '.join(FRAMEWORKS)}.")
    return make_workload(replace(load_spec(name, scale), {"model": model or {}}), framework, data_dir, protocol)


def make_workload(
    spec: WorkloadSpec, framework: Framework, data_dir: str | Path | None = None, protocol: str | None = None
) -> Workload:
    """As `load_workload`, of a spec."""
    if importlib.util.find_spec(f"{spec.package}.model_{framework}") is None:
        raise UsageError(
            f"{spec.name} has no model in {framework} yet: only its spec is here, to plan and to score with."
        )
    workload = importlib.import_module(f"algoperf.backends.{framework}_workload").WORKLOAD
    return workload(spec, Path(data_dir or DEFAULT_DATA_DIR), protocol or list(spec.budget)[-1])
