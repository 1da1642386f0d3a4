"""The types of the official AlgoPerf API, and the facts of a workload as data.

Submissions import this module for the names they annotate with; workload folders import it to say what they are. It
imports no framework: a loss type, a target or a budget can be read in milliseconds.
Source of the API: Dahl et al. 2023 (arXiv 2306.07179), section 4, and the AlgoPerf v0.6 technical documentation.
"""

import dataclasses
import enum
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Literal, TypeAlias

Framework: TypeAlias = Literal["jax", "pytorch"]
FRAMEWORKS: tuple[Framework, ...] = ("jax", "pytorch")
Scale: TypeAlias = Literal["full", "mini"]
SCALES: tuple[Scale, ...] = ("full", "mini")
Split: TypeAlias = Literal["train", "eval_train", "validation", "test"]


class UsageError(Exception):
    """Bad input from a person: its text is the one sentence they read, and the command ends with exit code 2."""


class InfrastructureError(Exception):
    """The machine, the data or the cluster failed, not the submission: exit code 1, and the trial is run again."""


class SubmissionError(Exception):
    """The submission failed or broke a rule; where it raised, `__cause__` is what it raised. It is a result."""


class TrainingCompleteError(Exception):
    """Raised by a submission's `update_params` to say that it will not improve any further."""


class LossType(enum.Enum):
    SOFTMAX_CROSS_ENTROPY = 0
    SIGMOID_CROSS_ENTROPY = 1
    MEAN_SQUARED_ERROR = 2
    CTC_LOSS = 3
    MEAN_ABSOLUTE_ERROR = 4


class ForwardPassMode(enum.Enum):
    TRAIN = 0
    EVAL = 1


class ParameterType(enum.Enum):
    WEIGHT = 0
    BIAS = 1
    CONV_WEIGHT = 2
    BATCH_NORM_SCALE = 3
    BATCH_NORM_BIAS = 4
    LAYER_NORM_SCALE = 5
    LAYER_NORM_BIAS = 6
    EMBEDDING = 7
    ATTENTION_Q = 8
    ATTENTION_K = 9
    ATTENTION_V = 10
    ATTENTION_OUT = 11
    ATTENTION_QKV = 12
    ATTENTION_KV = 13
    ATTENTION_BIAS = 14


@dataclasses.dataclass(frozen=True)
class ShapeTuple:
    """A tensor's shape as a leaf: a bare tuple would be taken for a subtree by `jax.tree`."""

    shape_tuple: tuple[int, ...]


# The names that published submissions annotate with.
Tensor: TypeAlias = Any
Shape: TypeAlias = tuple[int, ...]
ParameterShapeTree: TypeAlias = Any
ParameterKey: TypeAlias = str
ParameterContainer: TypeAlias = Any
ParameterTypeTree: TypeAlias = Any
ModelAuxiliaryState: TypeAlias = Any
ModelInitState: TypeAlias = tuple[ParameterContainer, ModelAuxiliaryState]
OptimizerState: TypeAlias = Any
Hyperparameters: TypeAlias = Any
RandomState: TypeAlias = Any
Timing: TypeAlias = float
Steps: TypeAlias = int
UpdateReturn: TypeAlias = tuple[OptimizerState, ParameterContainer, ModelAuxiliaryState]
InitOptimizerFn: TypeAlias = Callable[..., OptimizerState]
UpdateParamsFn: TypeAlias = Callable[..., UpdateReturn]
PrepareForEvalFn: TypeAlias = Callable[..., UpdateReturn]
DataSelectionFn: TypeAlias = Callable[..., dict[str, Tensor]]
InputQueue: TypeAlias = Iterator[dict[str, Tensor]]


# What a metric was called in files that were written before -> its name.
METRICS_BEFORE = {"perplexity": "ppl"}


@dataclasses.dataclass(frozen=True)
class Target:
    """What a trial has to reach: the value of one metric on the validation split (which is timed) and on test.

    test: None where the workload has no test split.
    """

    metric: str
    validation: float
    test: float | None
    goal: Literal["min", "max"]

    def reached(self, value: float, split: Literal["validation", "test"]) -> bool:
        """Whether `value` meets the target; equality counts, NaN never does (spec of the scores, rule 1)."""
        target = getattr(self, split)
        return value <= target if self.goal == "min" else value >= target

    def column(self, names: Collection[str]) -> str:
        """The column of the metric on validation: of those in a file's header the one of today's name, or a former."""
        former = (f"validation/{before}" for before, name in METRICS_BEFORE.items() if name == self.metric)
        today = f"validation/{self.metric}"
        return next((name for name in (today, *former) if name in names), today)


@dataclasses.dataclass(frozen=True)
class Budget:
    """max_runtime: seconds of charged time under external tuning; step_hint: about how many steps fit into them.

    eval_period: charged seconds between evaluations, where they are not the workload's.
    """

    max_runtime: float
    step_hint: int
    eval_period: float | None = None


@dataclasses.dataclass(frozen=True)
class Needs:
    """What a job asks for beside its accelerator.

    evaluation_time: seconds that one evaluation of the three splits takes; at full scale the mean of the v0.5 NAdamW
    baseline's logs (JAX on 8 V100, MLCommons). memory_gib, cpus: of each node, where a trial shares it with others (by
    default it does not); estimates.
    """

    evaluation_time: float
    memory_gib: int
    cpus: int


@dataclasses.dataclass(frozen=True)
class Rows:
    """Number `part` of `parts` equal pieces, along the first axis, of the reference's tensor `name`."""

    name: str
    part: int = 0
    parts: int = 1


@dataclasses.dataclass(frozen=True)
class Sum:
    """The sum of the reference's tensors `names`. On the way out, the first is the whole and the others are zero."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class WorkloadSpec:
    """One workload, or one variant of it, at one scale: the experiment on one page.

    loss: as the official API has it. loss_function: the function of that name in `algoperf/losses/`, where it is not
    the one that the loss has there. model_inputs: which keys of a batch the model reads; where they are several, it
    gets a dict of those that the batch has. budget: by protocol name. eval_period: charged seconds between evaluations,
    where the budget has no other. model: the keyword arguments of the models. data: those of the dataset's batches.
    dropout_rate: what the model uses where a submission says nothing. torch_compile: whether PyTorch's model is
    compiled; "ampere": on GPUs of compute capability 8.0 and above, which are those that Triton supports.
    cudnn_benchmark: whether PyTorch lets cuDNN try its algorithms out. tf32: see `FrameworkSettings`. batch_divisor:
    the mini scale divides the batch size that a submission asks for by it. reference_names: our name of a parameter or
    module -> its name in the reference implementation's PyTorch model, where they differ; or several names, to be
    joined along the first axis; or `Rows` of one; or a `Sum`. rehearsal: empty outside of one; in one, whether its
    examples are made up in memory or those of the prepared store.
    """

    name: str
    dataset: str
    loss: LossType
    metrics: tuple[str, ...]
    target: Target
    budget: Mapping[str, Budget]
    eval_period: float
    eval_batch_size: int
    num_train_examples: int
    num_eval_train_examples: int
    num_validation_examples: int
    num_test_examples: int
    output_layer: str
    needs: Needs
    model: Mapping[str, Any]
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    dropout_rate: float = 0.0
    torch_compile: Literal["never", "ampere", "always"] = "never"
    cudnn_benchmark: bool = True
    tf32: bool | None = None
    loss_function: str = ""
    model_inputs: tuple[str, ...] = ("inputs",)
    batch_divisor: int = 1
    reference_names: Mapping[str, str | tuple[str, ...] | Rows | Sum] = dataclasses.field(default_factory=dict)
    base: str = ""
    variant: str = ""
    scale: Scale = "full"
    rehearsal: Literal["", "made_up", "store"] = ""

    def num_examples(self, split: Split) -> int:
        return getattr(self, f"num_{split}_examples")

    @property
    def loss_name(self) -> str:
        """The function of `algoperf/losses/` that this workload is trained with."""
        return self.loss_function or self.loss.name.lower()

    @property
    def package(self) -> str:
        """The Python package that holds this workload's spec and models."""
        return f"workloads.{self.base or self.name}"


@dataclasses.dataclass(frozen=True)
class FrameworkSettings:
    """What an experiment asks of a framework in place of what the workload, or the framework by itself, would choose.

    None: nothing is asked. torch_compile, cudnn_benchmark: of PyTorch, see `WorkloadSpec`. tf32: whether products and
    convolutions of float32 may be rounded to TF32 on the GPUs that have it, or must not be.
    """

    torch_compile: bool | None = None
    cudnn_benchmark: bool | None = None
    tf32: bool | None = None

    def asked(self, framework: Framework) -> dict[str, bool]:
        """What of it is asked of this framework, by name."""
        return self._asked if framework == "pytorch" else {k: v for k, v in self._asked.items() if k == "tf32"}

    @property
    def options(self) -> str:
        """For `algoperf trial`, each with a space before it."""
        return "".join(f" --{'' if yes else 'no-'}{name.replace('_', '-')}" for name, yes in self._asked.items())

    def applied(self, spec: WorkloadSpec) -> WorkloadSpec:
        """The spec as it is trained under these settings."""
        named = dict(self._asked)
        if "torch_compile" in named:
            named["torch_compile"] = "always" if self.torch_compile else "never"
        return dataclasses.replace(spec, **named)

    @property
    def _asked(self) -> dict[str, bool]:
        return {name: yes for name, yes in dataclasses.asdict(self).items() if yes is not None}


NOTHING_ASKED = FrameworkSettings()


def replace(spec: Any, overrides: Mapping[str, Any]) -> Any:
    """`spec` (a frozen dataclass) with some values replaced; inside the target and the model, only the named ones.

    Raises UsageError where a name is not one of the spec's or the model's own.
    """
    changed = {}
    for key, value in overrides.items():
        if key not in {field.name for field in dataclasses.fields(spec)}:
            allowed = ", ".join(field.name for field in dataclasses.fields(spec))
            raise UsageError(f"{type(spec).__name__} has no value called {key!r}; it has {allowed}.")
        if key == "model" and (unknown := set(value) - set(spec.model)):
            raise UsageError(f"the model of {spec.name} has no {min(unknown)!r}; it has {', '.join(spec.model)}.")
        match key:
            case "target":
                changed[key] = replace(spec.target, value)
            case "model":
                changed[key] = {**spec.model, **value}
            case _:
                changed[key] = value
    return dataclasses.replace(spec, **changed)
