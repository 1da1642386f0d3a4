"""Benchmark versions as data: which workloads, how many studies and trials, which budgets, which held-outs.

Sources: Dahl et al. 2023 (arXiv 2306.07179); the AlgoPerf technical documentation of v0.5 (2024) and v0.6 (2025).
"""

import dataclasses
from typing import Literal, TypeAlias

from algoperf.spec import Scale, UsageError, WorkloadSpec

Ruleset: TypeAlias = Literal["external", "self"]
RULESETS: tuple[Ruleset, ...] = ("external", "self")


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One version of the benchmark.

    workloads: those that are scored. unscored: others that can be trained under it. held_out: variants, each voiding
    its base workload where it is missed. studies: independent repetitions. trials: tuning trials of a study under
    external tuning (self-tuning has one). self_tuning_factor: how much longer a self-tuning trial may train.
    """

    name: str
    scale: Scale
    workloads: tuple[str, ...]
    held_out: tuple[str, ...]
    studies: int
    trials: int
    self_tuning_factor: float
    unscored: tuple[str, ...] = ()

    def num_trials(self, ruleset: Ruleset) -> int:
        return self.trials if ruleset == "external" else 1

    def max_runtime(self, spec: WorkloadSpec, ruleset: Ruleset) -> float:
        """Seconds of charged time that a trial may use. Raises UsageError where the workload has no such budget."""
        if self.name not in spec.budget:
            raise UsageError(
                f"{spec.name} is not part of protocol {self.name}; it has budgets for {', '.join(spec.budget)}."
            )
        factor = self.self_tuning_factor if ruleset == "self" else 1.0
        return factor * spec.budget[self.name].max_runtime


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
        ),
        Protocol(
            name="v0.6",
            scale="full",
            workloads=_BASE_WORKLOADS,
            held_out=(),
            studies=3,
            trials=5,
            self_tuning_factor=1.5,
            # The benchmark has it since 2026; the scores of v0.6 do not.
            unscored=("finewebedu_lm",),
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
        ),
    )
}


def load_protocol(name: str) -> Protocol:
    """Raises UsageError for an unknown protocol."""
    if name not in PROTOCOLS:
        raise UsageError(f"there is no protocol {name!r}; the protocols are {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
