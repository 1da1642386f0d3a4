"""Config -> the list of trials: the only thing that Snakemake asks."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import TARGET_SETTING, Ruleset, TargetSetting, load_protocol
from algoperf.benchmark.registry import base_of, load_spec, variants
from algoperf.experiment.config import Config
from algoperf.machine.cluster import Accelerator
from algoperf.records.atomic import write_json
from algoperf.submission import loading
from algoperf.submission.content import content
from algoperf.submission.points import hyperparameter_points
from algoperf.submission.search import Point
from algoperf.trial.definition import Definition, defined


def trials(config: Config) -> list[Trial]:
    """Every trial of a config: workload by workload, so that a shared dataset stays in the machine's cache."""
    protocol = load_protocol(config.protocol)
    known = points(config, config.rulesets)
    return [
        Trial(config.protocol, ruleset, entry.name, entry.label, entry.framework, workload, study, trial)
        for workload in workloads(config)
        for ruleset in config.rulesets
        for entry in config.entries(ruleset)
        for study in range(protocol.studies)
        for trial in range(1, len(known[entry.label, ruleset, workload, study]) + 1)
    ]


def target_search(config: Config) -> dict[str, list[Trial]]:
    """The first phase of target setting: of each workload, every point of every contestant, once."""
    known = points(config, [TARGET_SETTING])
    return {
        workload: [
            Trial(config.protocol, TARGET_SETTING, entry.name, entry.label, entry.framework, workload, 0, trial)
            for entry in config.submissions
            for trial in range(1, len(known[entry.label, TARGET_SETTING, workload, 0]) + 1)
        ]
        for workload in workloads(config)
    }


def target_repeats(config: Config, best: Trial) -> list[Trial]:
    """The second phase: the best trial of a workload's search again, with other seeds."""
    return [dataclasses.replace(best, study=study) for study in range(1, target_setting(config).seeds + 1)]


def target_setting(config: Config) -> TargetSetting:
    """The protocol's, with fewer points or seeds where the config asks for fewer."""
    asked = config.target_setting.model_dump(exclude_none=True)
    return dataclasses.replace(load_protocol(config.protocol).target_setting, **asked)


def points(config: Config, rulesets: Sequence[Ruleset]) -> dict[tuple[str, Ruleset, str, int], list[Point]]:
    """The hyperparameter points of each contestant, by its label, under each ruleset on each workload in each study.

    As many as the protocol has trials, or the config asks for; fewer where a submission lists fewer. Of target setting
    there is study 0, the search. Raises UsageError where the config asks to deal points of which there are too few.
    """
    protocol = config.version
    found = {}
    for ruleset in rulesets:
        num_trials = _num_trials(config, ruleset)
        is_asked_for = config.search == "dealt" and protocol.is_dealt(ruleset)
        for entry in config.entries(ruleset):
            path, space = loading.find(entry.name, entry.framework), config.space_of(entry.label)
            for workload in workloads(config):
                for study in range(1 if ruleset == TARGET_SETTING else protocol.studies):
                    same = found.get((entry.label, ruleset, workload, study - 1))
                    if same is None or protocol.is_dealt(ruleset):
                        same = hyperparameter_points(path, protocol, ruleset, workload, study, space)[:num_trials]
                    if is_asked_for and study and same == found[entry.label, ruleset, workload, study - 1]:
                        raise UsageError(
                            f"the points of {entry.label} cannot be dealt: they are listed, the same for every study; "
                            "leave `search` out, or name a search space of ranges."
                        )
                    found[entry.label, ruleset, workload, study] = same
    return found


def definitions(
    config: Config, trials: Iterable[Trial], accelerator: Accelerator | None = None
) -> dict[Trial, Definition]:
    """What these trials compute, as their submissions and the protocol are now; those that are no longer any left out.

    accelerator: what they must run on; None: anything. Raises UsageError as `points`, and where a file of a submission
    cannot be read.
    """
    trials = list(trials)
    known = points(config, list(dict.fromkeys(trial.ruleset for trial in trials)))
    contents = {entry.label: content(loading.find(entry.name, entry.framework)) for entry in config.submissions}
    found = {}
    for trial in trials:
        study = 0 if trial.ruleset == TARGET_SETTING else trial.study  # which repeats a point of its search
        of_trial = known.get((trial.label, trial.ruleset, trial.workload, study), [])
        if trial.trial <= len(of_trial):
            point, of = of_trial[trial.trial - 1], contents[trial.label]
            found[trial] = defined(trial, point, of, accelerator=accelerator, settings=config.settings)
    return found


def records(definitions: Mapping[Trial, Definition]) -> dict[str, dict[str, Any]]:
    """What `plan.json` holds: the path of each trial's folder, from the results folder, and what it computes."""
    return {str(trial.folder): definition.record for trial, definition in definitions.items()}


def write(path: Path, definitions: Mapping[Trial, Definition]) -> None:
    """Raises InfrastructureError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, records(definitions))
    except OSError as error:
        raise InfrastructureError(f"{path} cannot be written: {error.strerror}.") from error


def _num_trials(config: Config, ruleset: Ruleset) -> int:
    if ruleset == TARGET_SETTING:
        return target_setting(config).points
    return load_protocol(config.protocol).num_trials(ruleset)


def workloads(config: Config) -> list[str]:
    """The workloads and variants that a config trains on; the protocol's held-outs come with their workloads."""
    protocol = load_protocol(config.protocol)
    named = list(protocol.workloads) if config.workloads == "all" else config.workloads
    for name in named:
        allowed = (*protocol.workloads, *protocol.unscored)
        if base_of(name) not in allowed:
            raise UsageError(f"{name} is not part of protocol {protocol.name}, which has {', '.join(allowed)}.")
    available = [variant for name in named if name == base_of(name) for variant in variants(name)]
    wanted = available if config.variants == "all" else [] if config.variants == "none" else config.variants
    if unknown := set(wanted) - set(available):
        raise UsageError(f"there is no variant {min(unknown)!r} of these workloads; there are {', '.join(available)}.")
    extra = {*wanted, *protocol.held_out}.intersection(available)
    # Each variant after its workload.
    found = [name for base in named for name in (base, *(v for v in available if v in extra and base_of(v) == base))]
    if twice := [name for name in found if found.count(name) > 1]:
        raise UsageError(f"{twice[0]} comes with {base_of(twice[0])}, and is there twice; leave it out of workloads.")
    return found


def datasets(config: Config) -> dict[str, str]:
    """Each dataset that a config needs -> one of the workloads on it."""
    scale = load_protocol(config.protocol).scale
    return {load_spec(name, scale).dataset: name for name in reversed(workloads(config))}


def max_runtime(config: Config, workload: str) -> float:
    """Seconds of charged time that the longest trial on a workload may use, over the rulesets of a config."""
    protocol = load_protocol(config.protocol)
    spec = load_spec(workload, protocol.scale)
    return max(protocol.max_runtime(spec, ruleset) for ruleset in config.rulesets)
