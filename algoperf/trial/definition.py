"""What a trial computes, and whether what lies on the disk is of that.

Two trials are the same where these are: workload and its values, point, seed, ruleset, budget, limits, and the content
of the submission. Where a submission lies, where data and results do, the versions of libraries and this program's own
code are no part of it: they are recorded, and for people to judge. What ran on other hardware than the accelerator
stands for is not the trial's either; two machines that the accelerator's description fits are alike.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import NOTHING_ASKED, Budget, FrameworkSettings, UsageError, WorkloadSpec, replace
from algoperf.benchmark.identity import Trial, differing, seed
from algoperf.benchmark.protocol import TARGET_SETTING, Search, load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.machine import hardware
from algoperf.machine.cluster import Accelerator
from algoperf.submission import loading
from algoperf.submission.content import Content, content
from algoperf.submission.points import hyperparameter_points
from algoperf.submission.search import Point

# Values of a spec that change nothing that a trial computes: what its job asks for, and names.
_NOT_COMPUTED = {
    *("needs", "reference_names", "metrics", "output_layer", "eval_batch_size", "rehearsal"),
    *("torch_compile", "cudnn_benchmark", "tf32"),  # of which `asked_of_framework` says what somebody asked for
}

# Batches of each split in an evaluation; the second shows what one takes when all is compiled.
EVALUATED = 2

_NEVER = 1e9  # charged seconds: a rehearsal ends by its steps


@dataclasses.dataclass(frozen=True)
class Definition:
    """max_runtime: charged seconds, infinite where a trial sets the target. max_steps: what a person has limited the
    trial to, None without. last_step: with which it ends, None where only its charged seconds count.

    evaluated_every: steps; None: as many seconds as the workload says. accelerator: what it must run on; None: any.
    settings: what is asked of the framework.
    """

    trial: Trial
    point: Point
    content: Content
    max_runtime: float
    max_steps: int | None
    last_step: int | None
    evaluated_every: int | None
    accelerator: Accelerator | None = None
    settings: FrameworkSettings = NOTHING_ASKED

    @property
    def seed(self) -> int:
        trial = self.trial
        return seed(trial.protocol, trial.label, trial.workload, trial.study, trial.trial)

    @property
    def identity(self) -> dict[str, Any]:
        """What a result and a checkpoint must have in common with the trial, as JSON has it."""
        trial = dataclasses.asdict(self.trial)
        del trial["submission"]  # a name and several paths may lead to the same content
        return {
            **trial,
            "hyperparameters": self.point,
            "seed": self.seed,
            "max_runtime": self.max_runtime if math.isfinite(self.max_runtime) else None,
            "max_steps": self.max_steps,
            "last_step": self.last_step,
            "evaluated_every": self.evaluated_every,
            "asked_of_framework": self.settings.asked(self.trial.framework),
            "workload_sha256": _workload_sha256(self.trial),
            "submission_sha256": self.content.sha256,
        }

    @property
    def record(self) -> dict[str, Any]:
        """What a trial leaves of it in its files: the identity, and by which files the content can be told apart."""
        return {**self.identity, "submission_files": dict(self.content.files)}

    def difference(self, recorded: Mapping[str, Any], is_finished: bool) -> str:
        """In which way what `recorded` says is of another trial, in words; empty where it is of this one.

        A result that an earlier version made says less than it would today; it is judged by what it says. What is half
        done must agree in all: nobody knows which code its first half was of.
        """
        identity = self.identity
        if not is_finished and not set(identity) <= set(recorded):
            return "a version of this program that did not record what its trials compute"
        found = [self._in_words(name, recorded, identity[name]) for name in differing(recorded, identity)]
        ran_on = recorded.get("hardware")
        is_known = isinstance(ran_on, Mapping) and {"name", "count"} <= set(ran_on)
        if is_known and self.accelerator is not None and not hardware.fits(ran_on, self.accelerator):
            found.append(f"other hardware ({ran_on['count']} x {ran_on['name']})")
        return " and ".join(found)

    def _in_words(self, name: str, recorded: Mapping[str, Any], value: Any) -> str:
        was = recorded[name]
        match name:
            case "hyperparameters":
                words = f"other hyperparameters ({_changes(was, value)})"
            case "submission_sha256":
                words = f"another content of the submission ({_changed_files(recorded, self.content.files)})"
            case "workload_sha256":
                words = "other values of the workload"
            case "max_steps":
                words = "no limit of steps" if was is None else f"a limit of {was} steps"
            case "last_step":
                words = f"another number of steps ({was}, now {value})"
            case "max_runtime":
                words = f"another budget ({was} s, now {value} s)"
            case "asked_of_framework":
                words = f"other settings of the framework ({_changes(was, value)})"
            case _:
                words = f"another {name} ({was}, now {value})"
        return words


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """steps: after which it is evaluated and saved; one more is taken twice, before and after the restart. batch_size:
    None for the submission's own. is_made_up: whether examples are made up, or those of the prepared store."""

    steps: int
    batch_size: int | None
    is_made_up: bool

    def shortened(self, definition: Definition) -> Definition:
        """The trial that ends after `steps + 1`, is evaluated after the first and after `steps`, and knows it."""
        last = self.steps + 1
        return dataclasses.replace(
            definition, max_runtime=_NEVER, max_steps=last, last_step=last, evaluated_every=self.steps
        )

    def reduced(self, spec: WorkloadSpec) -> WorkloadSpec:
        """The workload with some batches to evaluate, and no target that it could end at."""
        batch_size = self.batch_size or spec.eval_batch_size
        beyond = -math.inf if spec.target.goal == "min" else math.inf
        counts = ("num_eval_train_examples", "num_validation_examples", "num_test_examples")
        return replace(
            spec,
            {
                **{name: min(getattr(spec, name), EVALUATED * batch_size) for name in counts},
                "target": {"validation": beyond, "test": None if spec.target.test is None else beyond},
                "rehearsal": "made_up" if self.is_made_up else "store",
            },
        )


def define(
    trial: Trial,
    max_steps: int | None = None,
    accelerator: Accelerator | None = None,
    search_space: Path | None = None,
    search: Search | None = None,
    settings: FrameworkSettings = NOTHING_ASKED,
) -> Definition:
    """A trial as its submission and its protocol are now. Raises UsageError for whatever a person got wrong.

    search_space: the file that points are drawn from; None: the one beside the submission. search: how; None: as the
    protocol has it.
    """
    protocol = load_protocol(trial.protocol).searched(search)
    path = loading.find(trial.submission, trial.framework)
    points = hyperparameter_points(path, protocol, trial.ruleset, trial.workload, trial.study, search_space)
    if not 1 <= trial.trial <= len(points):
        raise UsageError(f"there is no trial {trial.trial} of {trial.label}; its trials are 1 to {len(points)}.")
    if not 0 <= trial.study < (studies := protocol.num_studies(trial.ruleset)):
        raise UsageError(f"there is no study {trial.study} in {protocol.name}; its studies are 0 to {studies - 1}.")
    return defined(trial, points[trial.trial - 1], content(path), max_steps, accelerator, settings)


def defined(
    trial: Trial,
    point: Point,
    of: Content,
    max_steps: int | None = None,
    accelerator: Accelerator | None = None,
    settings: FrameworkSettings = NOTHING_ASKED,
) -> Definition:
    """The trial of a known point and content.

    It ends, and is evaluated, by charged time, or by steps, as the protocol has it. One that sets the target goes by
    its steps alone, so that a slow machine, or a busy one, makes the same target.
    """
    protocol = load_protocol(trial.protocol)
    spec = load_spec(trial.workload, protocol.scale)
    limits = [limit for limit in (protocol.max_steps(spec, trial.ruleset), max_steps) if limit is not None]
    return Definition(
        trial=trial,
        point=point,
        content=of,
        max_runtime=math.inf if trial.ruleset == TARGET_SETTING else protocol.max_runtime(spec, trial.ruleset),
        max_steps=max_steps,
        last_step=min(limits, default=None),
        evaluated_every=protocol.evaluated_every(spec, trial.ruleset),
        accelerator=accelerator,
        settings=settings,
    )


def spec_of(trial: Trial) -> WorkloadSpec:
    """The spec of a trial's workload at the scale of its protocol.

    One that sets the target has none that it could reach, and a step hint, which schedules go by, that is where it
    ends.
    """
    protocol = load_protocol(trial.protocol)
    spec = load_spec(trial.workload, protocol.scale)
    if trial.ruleset != TARGET_SETTING:
        return spec
    budget = Budget(protocol.max_runtime(spec, trial.ruleset), protocol.target_setting_steps(spec))
    beyond = -math.inf if spec.target.goal == "min" else math.inf
    test = None if spec.target.test is None else beyond
    return replace(spec, {"target": {"validation": beyond, "test": test}, "budget": {protocol.name: budget}})


def _workload_sha256(trial: Trial) -> str:
    """Over the values that a trial of the workload is computed with: target, model, data, periods, step hint."""
    spec = spec_of(trial)
    values = {
        field.name: getattr(spec, field.name) for field in dataclasses.fields(spec) if field.name not in _NOT_COMPUTED
    }
    values["budget"] = dataclasses.asdict(spec.budget[trial.protocol])
    del values["budget"]["max_runtime"]  # a value of its own, longer under self-tuning
    values["target"] = dataclasses.asdict(spec.target)
    values["loss"] = spec.loss_name
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _changes(was: Any, now: Mapping[str, Any]) -> str:
    """`learning_rate 0.005, now 0.0123`: the first that differs, and how many more do."""
    was = was if isinstance(was, Mapping) else {}
    names = [name for name in {**was, **now} if differing({name: was.get(name)}, {name: now.get(name)})]
    first = names[0] if names else "a null"
    more = f", and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{first} {was.get(first, 'not there')}, now {now.get(first, 'not there')}{more}"


def _changed_files(recorded: Mapping[str, Any], now: Mapping[str, str]) -> str:
    was = recorded.get("submission_files")
    if not isinstance(was, Mapping):
        return "its files are not recorded"
    return ", ".join(name for name in sorted({**was, **now}) if was.get(name) != now.get(name))
