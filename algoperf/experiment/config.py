"""The config of an experiment, checked: what `config/*.yaml` may say. It knows no machine."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from algoperf.benchmark.facts import Framework
from algoperf.benchmark.identity import short_name
from algoperf.benchmark.protocol import PROTOCOLS, RULESETS
from algoperf.records.strict import Strict, check_content, read_yaml


class SubmissionEntry(Strict):
    """One contestant: a submission in one framework."""

    name: Annotated[
        str, pydantic.Field(min_length=1, description="a name in submissions/, or the path of a file or folder")
    ]
    framework: Framework

    @property
    def label(self) -> str:
        """What it is called in results; the same algorithm in two frameworks is two contestants."""
        return f"{short_name(self.name)}_{self.framework}"


class TargetSettingEntry(Strict):
    """A smaller target setting than the protocol's."""

    points: int | None = pydantic.Field(None, ge=1, description="of each search space; the protocol's where left out")
    seeds: int | None = pydantic.Field(
        None, ge=1, description="repetitions of the best point; the protocol's where left out"
    )


class Config(Strict):
    """An experiment."""

    protocol: Literal[tuple(PROTOCOLS)] = pydantic.Field(description="the version of the benchmark")
    rulesets: list[Literal[RULESETS]] = pydantic.Field(
        ["external"], min_length=1, description="how hyperparameters are tuned"
    )
    submissions: list[SubmissionEntry] = pydantic.Field(min_length=1, description="who is compared")
    workloads: list[str] | Literal["all"] = pydantic.Field("all", description="names, or all of the protocol's")
    variants: list[str] | Literal["all", "none"] = pydantic.Field(
        "none", description="variants beyond the protocol's held-outs: full names, all or none"
    )
    accelerator: str = pydantic.Field(
        "local", description="the hardware that every trial must run on: a name in profiles/slurm/cluster.yaml"
    )
    target_setting: TargetSettingEntry = pydantic.Field(
        TargetSettingEntry(),
        description="how `targets` are set: fewer points or seeds; said without rulesets, `plan` counts its trials",
    )
    partial: bool = pydantic.Field(False, description="score the trials that there are, and run none")
    data_dir: Path = pydantic.Field(Path("data"), description="prepared data")
    results_dir: Path = pydantic.Field(Path("results"), description="what trials and scores are written to")

    @property
    def is_of_targets(self) -> bool:
        """Whether it is for setting targets: it says `target_setting`, which may be empty, and no rulesets."""
        return "target_setting" in self.model_fields_set and "rulesets" not in self.model_fields_set

    @pydantic.model_validator(mode="after")
    def _labels_are_unique(self) -> "Config":
        labels = [entry.label for entry in self.submissions]
        if twice := [label for label in labels if labels.count(label) > 1]:
            raise ValueError(f"two submissions are both called {twice[0]!r}; rename one of their folders")
        return self

    @pydantic.model_validator(mode="after")
    def _targets_are_set_by_the_protocol(self) -> "Config":
        of_protocol = PROTOCOLS[self.protocol].target_setting
        for key, asked in self.target_setting.model_dump(exclude_none=True).items():
            if asked > (most := getattr(of_protocol, key)):
                raise ValueError(f"target_setting.{key} is {asked}, but protocol {self.protocol} has {most}")
        return self


def schema() -> str:
    """The JSON Schema of a config: `config/schema.json`, which editors check configs with."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def parse(content: Any, where: str = "the config") -> Config:
    """Raises UsageError with one sentence that names the first wrong key and the allowed ones."""
    return check_content(Config, content, where)


def load(path: Path) -> Config:
    """Reads a YAML config. Raises UsageError where it is missing or wrong."""
    where = f"the config {path}"
    return parse(read_yaml(path, where), where)
