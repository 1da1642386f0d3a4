"""The config of an experiment, checked: what `config/*.yaml` may say. It knows no machine."""

import json
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from algoperf.benchmark.facts import FRAMEWORKS, Framework, FrameworkSettings, UsageError
from algoperf.benchmark.identity import short_name
from algoperf.benchmark.protocol import (
    PROTOCOLS,
    RULESETS,
    SEARCHES,
    TARGET_SETTING,
    Protocol,
    Ruleset,
    load_protocol,
)
from algoperf.racing.bounds import Level
from algoperf.records.strict import Strict, check_content, read_yaml
from algoperf.submission import loading

# Characters that Snakemake or Slurm take for something else where they pass a path on to a job.
_UNFIT = re.compile(r"[,{}%\\\x00-\x1f\x7f-\x9f\ud800-\udfff]")
# At the end of a path's part, where Snakemake takes it for a rule that calls itself.
_ENDLESS = re.compile(r"(.+?)\1{19}$")
# Bytes of a file's name: Snakemake names the folder of a job's log after all that tells it from others.
_LONGEST_NAME = 255


def _expanded(path: Any) -> Any:
    """With `~` and `$SCRATCH` filled in as a shell does. Raises ValueError for what is empty or stays unknown."""
    if not isinstance(path, str | Path):
        return path
    if not str(path).strip():
        raise ValueError("it is empty; name a folder or a file, `.` for this folder")
    found = os.path.expandvars(os.path.expanduser(path))
    if unknown := re.search(r"^~[^/]*|\$([A-Za-z_]\w*|\{[^}]*\})", found):
        raise ValueError(f"there is no {unknown[0]} here; set it, or write the path out")
    return found


def _distinct(values: Any) -> Any:
    """Raises ValueError for a list that says something twice."""
    if isinstance(values, list) and (twice := [value for value in values if values.count(value) > 1]):
        raise ValueError(f"{twice[0]!r} is there twice")
    return values


Place = Annotated[Path, pydantic.BeforeValidator(_expanded)]
Once = pydantic.AfterValidator(_distinct)


class SubmissionEntry(Strict):
    """One contestant: a submission in one framework."""

    name: Annotated[
        str,
        pydantic.BeforeValidator(_expanded),
        pydantic.Field(min_length=1, description="a name in submissions/, or the path of a file or folder"),
    ]
    framework: Framework = pydantic.Field(
        None, description="may be left out where the submission's submission_info.yml says it"
    )
    search_space: Place | None = pydantic.Field(
        None, description="a file that its points are drawn from; one beside the submission where left out"
    )

    @pydantic.model_validator(mode="before")
    @classmethod
    def _framework_is_said(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "framework" in content or not isinstance(content.get("name"), str):
            return content
        framework = loading.describe(_expanded(content["name"])).framework
        if framework is None:
            raise ValueError(
                f"{content['name']!r} needs a framework, {' or '.join(FRAMEWORKS)}: no submission_info.yml says it"
            )
        return {**content, "framework": framework}

    @property
    def ruleset(self) -> Ruleset | None:
        """The only one that it takes part in, by its `submission_info.yml`; None: in all."""
        return loading.describe(self.name).ruleset

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


class RehearsalEntry(Strict):
    """How cells are walked through by the rule `rehearsal`."""

    steps: int = pydantic.Field(5, ge=2, description="training steps of each cell, before one is taken twice")
    batch_size: int | None = pydantic.Field(None, ge=1, description="where left out, the submission's own")
    with_data: bool = pydantic.Field(False, description="on the prepared data, where left out on made-up examples")


class FrameworkSettingsEntry(Strict):
    """See `FrameworkSettings`."""

    torch_compile: bool | None = pydantic.Field(
        None, description="whether PyTorch compiles the models; as the workload says where left out"
    )
    cudnn_benchmark: bool | None = pydantic.Field(
        None, description="whether PyTorch lets cuDNN try its algorithms out; as the workload says where left out"
    )
    tf32: bool | None = pydantic.Field(
        None, description="whether float32 may be rounded to TF32; as the framework does where left out"
    )


class Config(Strict):
    """An experiment."""

    protocol: Literal[tuple(PROTOCOLS)] = pydantic.Field(description="the version of the benchmark")
    rulesets: Annotated[list[Literal[RULESETS]], Once] = pydantic.Field(
        ["external"],
        min_length=1,
        description="how hyperparameters are tuned; where left out, as submissions' submission_info.yml say",
    )
    submissions: list[SubmissionEntry] = pydantic.Field(min_length=1, description="who is compared")
    search_space: Place | None = pydantic.Field(
        None, description="a file that the points of submissions are drawn from that do not name one"
    )
    search: Literal[SEARCHES] | None = pydantic.Field(
        None,
        description="whether each study tries the same points (shared) or those of all studies are drawn at once and "
        "dealt to them (dealt), under external tuning; the protocol's where left out",
    )
    workloads: Annotated[list[str], Once] | Literal["all"] = pydantic.Field(
        "all", description="names, or all of the protocol's"
    )
    variants: Annotated[list[str], Once] | Literal["all", "none"] = pydantic.Field(
        "none", description="variants beyond the protocol's held-outs: full names, all or none"
    )
    accelerator: str = pydantic.Field(
        "local", description="the hardware that every trial must run on: a name in profiles/slurm/cluster.yaml"
    )
    framework_settings: FrameworkSettingsEntry = pydantic.Field(
        FrameworkSettingsEntry(),
        description="how the frameworks compute, where it is not left to them and the workloads",
    )
    target_setting: TargetSettingEntry = pydantic.Field(
        TargetSettingEntry(),
        description="how `targets` are set: fewer points or seeds; said without rulesets, `plan` counts its trials",
    )
    rehearsal: RehearsalEntry = pydantic.Field(
        RehearsalEntry(), description="how the dress rehearsal walks through each cell"
    )
    partial: bool = pydantic.Field(False, description="score the trials that there are, and run none")
    racing: Level = pydantic.Field(
        "none", description="end trials that can change nothing any more: no study's value, no median, or no score"
    )
    racing_order: Literal["parallel", "sequential"] = pydantic.Field(
        "parallel", description="sequential: study after study, held-outs last, so that racing ends more"
    )
    data_dir: Place = pydantic.Field(
        Path("data"), description="prepared data; `~` and variables such as $SCRATCH are filled in"
    )
    results_dir: Place = pydantic.Field(
        Path("results"), description="what trials and scores are written to; filled in like data_dir"
    )

    @property
    def settings(self) -> FrameworkSettings:
        """What is asked of the frameworks."""
        return FrameworkSettings(**self.framework_settings.model_dump())

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

    @pydantic.model_validator(mode="before")
    @classmethod
    def _rulesets_are_said(cls, content: Any) -> Any:
        if not isinstance(content, dict) or "rulesets" in content or not isinstance(content.get("submissions"), list):
            return content
        names = [entry["name"] for entry in content["submissions"] if isinstance(entry, dict) and "name" in entry]
        said = {loading.describe(_expanded(name)).ruleset for name in names if isinstance(name, str)} - {None}
        return {**content, "rulesets": [ruleset for ruleset in RULESETS if ruleset in said]} if said else content

    @pydantic.model_validator(mode="after")
    def _every_submission_takes_part(self) -> "Config":
        said = {entry.label: entry.ruleset for entry in self.submissions}
        if without := [label for label, ruleset in said.items() if ruleset not in (None, *self.rulesets)]:
            raise ValueError(
                f"{without[0]} is for the ruleset {said[without[0]]}, as its submission_info.yml says, and not for "
                f"{', '.join(self.rulesets)}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _targets_are_set_by_the_protocol(self) -> "Config":
        of_protocol = PROTOCOLS[self.protocol].target_setting
        for key, asked in self.target_setting.model_dump(exclude_none=True).items():
            if asked > (most := getattr(of_protocol, key)):
                raise ValueError(f"target_setting.{key} is {asked}, but protocol {self.protocol} has {most}")
        return self

    @pydantic.model_validator(mode="after")
    def _there_is_a_search(self) -> "Config":
        if self.search is not None and (self.is_of_targets or "external" not in self.rulesets):
            raise ValueError("search is for external tuning, and there is none here")
        try:
            self.version  # noqa: B018 - for what it refuses
        except UsageError as error:
            raise ValueError(str(error).removesuffix(".")) from None
        return self

    @property
    def version(self) -> Protocol:
        """The protocol, searched as the config says."""
        return load_protocol(self.protocol).searched(self.search)

    @pydantic.model_validator(mode="after")
    def _jobs_can_be_named(self) -> "Config":
        labels = {f"the name of the submission {entry.name!r}": entry.label for entry in self.submissions}
        for what, text in {"data_dir": str(self.data_dir), "results_dir": str(self.results_dir), **labels}.items():
            if unfit := _UNFIT.search(text):
                raise ValueError(f"{what} has a {unfit[0]!r}, which cannot be passed on to jobs; choose another name")
            if what != "data_dir" and (endless := _ENDLESS.search(text)):
                raise ValueError(
                    f"{what} ends in {endless[1]!r} again and again, which Snakemake refuses; choose another"
                )
        # All that tells the job of a trial from others, as the wildcards of its rule have it.
        rulesets = [TARGET_SETTING] if self.is_of_targets else self.rulesets
        names = (f"_{ruleset}_{label}_0_pytorch_000" for ruleset in rulesets for label in labels.values())
        most = _LONGEST_NAME - max(len(name.encode()) for name in names)
        if len(str(self.results_dir).encode()) > most:
            raise ValueError(f"results_dir has over {most} bytes, and no job can be named after it; choose another")
        return self

    def entries(self, ruleset: Ruleset) -> list[SubmissionEntry]:
        """The submissions that take part in a ruleset."""
        return [entry for entry in self.submissions if entry.ruleset in (None, ruleset) or ruleset not in RULESETS]

    def space_of(self, label: str) -> Path | None:
        """The file that the points of a submission are drawn from, None for the one beside it."""
        own = next(entry.search_space for entry in self.submissions if entry.label == label)
        return self.search_space if own is None else own

    def drawing(self, label: str, ruleset: Ruleset) -> list[str]:
        """What `algoperf trial` is told of where the points of a submission are drawn from, and how."""
        if ruleset == "self":
            return []
        asked = {"--search-space": self.space_of(label), "--search": self.search if ruleset == "external" else None}
        return [word for option, value in asked.items() if value is not None for word in (option, str(value))]


def schema() -> str:
    """The JSON Schema of a config: `config/schema.json`, which editors check configs with."""
    return json.dumps(Config.model_json_schema(), indent=2) + "\n"


def parse(content: Any, where: str = "the config", files: Iterable[str] = ()) -> Config:
    """Raises UsageError with one sentence that names the first wrong key and the allowed ones.

    files: what somebody has read the content from who passes over keys that are there twice, as Snakemake does.
    """
    for file in files:
        read_yaml(Path(file), f"the config {file}")
    return check_content(Config, content, where)


def load(path: Path) -> Config:
    """Reads a YAML config. Raises UsageError where it is missing or wrong."""
    where = f"the config {path}"
    return parse(read_yaml(path, where), where)
