"""The config of an experiment, checked: what `config/*.yaml` may say. It knows no machine."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml

from algoperf.benchmark.facts import Framework, UsageError
from algoperf.benchmark.protocol import PROTOCOLS, RULESETS
from algoperf.submission.loading import short_name


class Strict(pydantic.BaseModel):
    """Refuses unknown keys and does not change."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)


AnyStrict = TypeVar("AnyStrict", bound=Strict)


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
        TargetSettingEntry(), description="fewer points or seeds for `targets` than the protocol has"
    )
    partial: bool = pydantic.Field(False, description="score the trials that there are, and run none")
    data_dir: Path = pydantic.Field(Path("data"), description="prepared data")
    results_dir: Path = pydantic.Field(Path("results"), description="what trials and scores are written to")

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


def check_content(model: type[AnyStrict], content: Any, where: str) -> AnyStrict:
    """`content` as a `model`. Raises UsageError with a sentence that names the first wrong key and the allowed ones."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "it"
        if first["type"] == "extra_forbidden":
            allowed = ", ".join(_keys_at(model.model_json_schema(), first["loc"][:-1]))
            raise UsageError(f"{where} has an unknown key {key!r}; the keys are {allowed}.") from None
        raise UsageError(f"{where} is wrong at {key!r}: {first['msg']} (got {first['input']!r}).") from None


def _keys_at(schema: dict[str, Any], location: tuple[str | int, ...]) -> list[str]:
    """The keys that a schema allows at a place in its content."""
    here = schema
    for step in location:
        here = here.get("properties", {}).get(step) or here.get("items") or here["additionalProperties"]
        if "$ref" in here:
            here = schema["$defs"][here["$ref"].rpartition("/")[2]]
    return list(here["properties"])


def load(path: Path) -> Config:
    """Reads a YAML config. Raises UsageError where it is missing or wrong."""
    where = f"the config {path}"
    return parse(read_yaml(path, where), where)


def read_yaml(path: Path, where: str) -> Any:
    """What a YAML file holds, an empty one nothing. Raises UsageError where it cannot be read."""
    try:
        return yaml.safe_load(path.read_text()) or {}
    except OSError as error:
        raise UsageError(f"{where} cannot be read: {error.strerror}.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{where} is not YAML: {' '.join(str(error).split())}.") from None
