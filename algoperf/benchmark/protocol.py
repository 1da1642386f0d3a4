"""Benchmark versions as data: which workloads, how many studies and trials, which budgets, which held-outs.

Sources: Dahl et al. 2023 (arXiv 2306.07179); the AlgoPerf technical documentation of v0.5 (2024) and v0.6 (2025). v0.6
as it is run today, on 4 A100 with budgets of their own (`v0.6-a100`): the logs and scores of the rolling leaderboard
(mlcommons/submissions_algorithms, 2026).
"""

import dataclasses
import math
from typing import Literal, TypeAlias

from algoperf.benchmark.facts import Budget, Scale, UsageError, WorkloadSpec

Ruleset: TypeAlias = Literal["external", "self", "target_setting"]
RULESETS: tuple[Ruleset, ...] = ("external", "self")

MAX_RATIO = 4.0  # times the fastest: what is slower is lost, and there the profile ends

Search: TypeAlias = Literal["shared", "dealt"]
SEARCHES: tuple[Search, ...] = ("shared", "dealt")

# No ruleset for submissions: its trials make the targets. They are tuned as under the external one.
TARGET_SETTING: Ruleset = "target_setting"


@dataclasses.dataclass(frozen=True)
class TargetSetting:
    """How the targets of a version are made; see docs/targets.md.

    points: of each algorithm's search space. seeds: how often the best point is repeated. fraction: of the step hint,
    which its trials are trained for. evaluations: of a trial, evenly spread over its steps. margin: how far a target is
    made easier than the median of the seeds, in distances between the median and the worst of them.
    """

    points: int
    seeds: int
    fraction: float
    evaluations: int
    margin: float = 0.0


# Dahl et al. 2023, section 4, and the technical documentation ("Defining target performance"): 200 points, 20 seeds,
# and a budget for submissions that is a third longer than the trials that made the targets. How often those were
# evaluated is not published; a trial of version 0.5 is evaluated about 100 times in its budget.
_PUBLISHED = TargetSetting(points=200, seeds=20, fraction=0.75, evaluations=100)


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One version of the benchmark.

    workloads: those that are scored. unscored: others that can be trained under it. held_out: variants, each voiding
    its base workload where it is missed. studies: independent repetitions. trials: tuning trials of a study under
    external tuning (self-tuning has one). self_tuning_factor: how much longer a self-tuning trial may train. search:
    whether each study tries the same points (`shared`), or those of all studies are drawn at once and dealt out, study
    by study (`dealt`). evaluations: of a trial that ends by its steps, which are those of the step hint, evenly spread
    over them; its `max_runtime` only guards against one that hangs. None: a trial is evaluated and ends by its charged
    seconds.
    """

    name: str
    scale: Scale
    workloads: tuple[str, ...]
    held_out: tuple[str, ...]
    studies: int
    trials: int
    self_tuning_factor: float
    target_setting: TargetSetting
    unscored: tuple[str, ...] = ()
    search: Search = "shared"
    evaluations: int | None = None

    def num_trials(self, ruleset: Ruleset) -> int:
        """Tuning trials of a study."""
        return {"external": self.trials, "self": 1, "target_setting": self.target_setting.points}[ruleset]

    def num_studies(self, ruleset: Ruleset) -> int:
        """Of target setting, study 0 is the search, and each of the others repeats its best point with a new seed."""
        return 1 + self.target_setting.seeds if ruleset == TARGET_SETTING else self.studies

    def is_dealt(self, ruleset: Ruleset) -> bool:
        """Whether each study has hyperparameter points of its own."""
        return self.search == "dealt" and ruleset == "external"

    def searched(self, search: Search | None) -> "Protocol":
        """The same with another way to search; None: as it is. Raises UsageError where it has nothing to deal."""
        if search not in (None, *SEARCHES):
            raise UsageError(f"there is no search {search!r}; a search is {' or '.join(SEARCHES)}.")
        if search == "dealt" and self.studies == 1:
            raise UsageError(f"the search of protocol {self.name} cannot be dealt: it has one study.")
        return self if search is None else dataclasses.replace(self, search=search)

    def max_runtime(self, spec: WorkloadSpec, ruleset: Ruleset) -> float:
        """Seconds of charged time that a trial may use.

        A trial of target setting may use any: here it is what its steps take at the pace of the budget. Raises
        UsageError where the workload has no such budget.
        """
        return self.factor(ruleset) * self._budget(spec).max_runtime

    def factor(self, ruleset: Ruleset) -> float:
        """By which the budget of external tuning is multiplied."""
        return {
            "external": 1.0,
            "self": self.self_tuning_factor,
            "target_setting": self.target_setting.fraction,
        }[ruleset]

    def max_steps(self, spec: WorkloadSpec, ruleset: Ruleset) -> int | None:
        """The steps with which a trial ends; None where only its charged seconds count.

        Raises UsageError where the workload has no budget here.
        """
        if ruleset == TARGET_SETTING:
            return self.target_setting_steps(spec)
        if self.evaluations is None:
            return None
        return int(self.factor(ruleset) * self._budget(spec).step_hint)

    def evaluated_every(self, spec: WorkloadSpec, ruleset: Ruleset) -> int | None:
        """How many steps lie between two evaluations; None where the workload's charged seconds count."""
        if ruleset == TARGET_SETTING:
            return math.ceil(self.target_setting_steps(spec) / self.target_setting.evaluations)
        return None if self.evaluations is None else math.ceil(self._budget(spec).step_hint / self.evaluations)

    def target_setting_steps(self, spec: WorkloadSpec) -> int:
        """The steps of a trial of target setting. Raises UsageError where the workload has no budget here."""
        return int(self.factor(TARGET_SETTING) * self._budget(spec).step_hint)

    def eval_period(self, spec: WorkloadSpec) -> float:
        """Charged seconds between evaluations. Raises UsageError where the workload has no budget here."""
        return self._budget(spec).eval_period or spec.eval_period

    def _budget(self, spec: WorkloadSpec) -> Budget:
        if self.name not in spec.budget:
            raise UsageError(
                f"{spec.name} is not part of protocol {self.name}; it has budgets for {', '.join(spec.budget)}."
            )
        return spec.budget[self.name]


_BASE_WORKLOADS = (
    "criteo1tb",
    "fastmri",
    "imagenet_resnet",
    "imagenet_vit",
    "librispeech_conformer",
    "librispeech_deepspeech",
    "ogbg",
    "wmt",
)

PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(
            name="v0.5",
            scale="full",
            workloads=_BASE_WORKLOADS,
            held_out=(
                "criteo1tb_embed_init",
                "fastmri_tanh",
                "imagenet_resnet_large_bn_init",
                "librispeech_conformer_layernorm",
                "ogbg_model_size",
                "wmt_glu_tanh",
            ),
            studies=5,
            trials=5,
            self_tuning_factor=3.0,
            target_setting=_PUBLISHED,
        ),
        Protocol(
            name="v0.6",
            scale="full",
            workloads=_BASE_WORKLOADS,
            held_out=(),
            studies=3,
            trials=5,
            self_tuning_factor=1.5,
            target_setting=_PUBLISHED,
            # The benchmark has it since 2026; the scores of v0.6 do not.
            unscored=("finewebedu_lm",),
        ),
        Protocol(
            name="v0.6-a100",
            scale="full",
            workloads=tuple(sorted((*_BASE_WORKLOADS, "finewebedu_lm"))),
            held_out=(),
            studies=3,
            trials=5,
            self_tuning_factor=1.5,
            target_setting=_PUBLISHED,
            # As the technical documentation has it; the logs of v0.5 and v0.6 have the same points in each study.
            search="dealt",
        ),
        # The same code on small models and small real data: a complete benchmark on two cores.
        Protocol(
            name="mini",
            scale="mini",
            workloads=tuple(sorted((*_BASE_WORKLOADS, "finewebedu_lm"))),
            held_out=(),
            studies=1,
            trials=1,
            self_tuning_factor=1.5,
            # Targets that the first point of each baseline, tuned by nobody, can reach in all of its steps; the best
            # one, with most seeds, in less than half of them.
            target_setting=TargetSetting(points=3, seeds=5, fraction=0.45, evaluations=6, margin=0.25),
            # By steps, or a trial on a slow machine would end before it reaches.
            evaluations=48,
        ),
    )
}


def load_protocol(name: str) -> Protocol:
    """Raises UsageError for an unknown protocol."""
    if name not in PROTOCOLS:
        raise UsageError(f"there is no protocol {name!r}; the protocols are {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
