"""What can be said of the table of trials as a whole: what is missing, what is there twice, what does not compare."""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence

from algoperf.benchmark.protocol import Protocol, Ruleset
from algoperf.benchmark.registry import load_spec
from scoring.logs.trials import Finding, Trial


def check_table(trials: Sequence[Trial], protocol: Protocol, ruleset: Ruleset) -> list[Finding]:
    """What is missing from the protocol's studies and workloads, hits past the budget, and kinds of hardware."""
    return [*_missing(trials, protocol), *_late_hits(trials, protocol, ruleset), *_mixed_hardware(trials, protocol)]


def _missing(trials: Iterable[Trial], protocol: Protocol) -> list[Finding]:
    scored = (*protocol.workloads, *protocol.held_out)
    studies: dict[str, set[str]] = defaultdict(set)
    present: dict[tuple[str, str], set[str]] = defaultdict(set)
    for trial in trials:
        if trial.workload in scored:
            studies[trial.submission].add(trial.study)
            present[trial.submission, trial.workload].add(trial.study)
    findings = []
    for submission, all_studies in studies.items():
        if len(all_studies) != protocol.studies:
            what = f"studies: {len(all_studies)} where the protocol has {protocol.studies}"
            findings.append(Finding(submission, what, "the medians are over those that are there"))
        absent = [workload for workload in scored if not present[submission, workload]]
        if absent:
            findings.append(Finding(submission, f"no trials of {', '.join(absent)}", "no data: a lost workload"))
        for workload in set(scored) - set(absent):
            for study in all_studies - present[submission, workload]:
                done = "this study is left out of the workload's median"
                findings.append(Finding(f"{submission}/{study}", f"no trials of {workload}", done))
    return findings


def _late_hits(trials: Iterable[Trial], protocol: Protocol, ruleset: Ruleset) -> list[Finding]:
    budgets = {
        workload: protocol.max_runtime(load_spec(workload, protocol.scale), ruleset)
        for workload in (*protocol.workloads, *protocol.held_out)
    }
    return [
        Finding(
            trial.path,
            f"hit at {trial.hit_time:,.0f} s, past the budget of {budgets[trial.workload]:,.0f} s",
            "counts: the rules of the score know no budget",
        )
        for trial in trials
        if budgets.get(trial.workload, math.inf) < trial.hit_time < math.inf
    ]


def by_hardware(trials: Iterable[Trial], protocol: Protocol) -> dict[str, list[Trial]]:
    """The trials of the protocol's workloads by the hardware that they ran on, the kind of most trials first.

    Logs that do not name their hardware are left out.
    """
    kinds: dict[str, list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.hardware is not None and trial.workload in (*protocol.workloads, *protocol.held_out):
            kinds[trial.hardware].append(trial)
    return dict(sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])))


def _mixed_hardware(trials: Iterable[Trial], protocol: Protocol) -> list[Finding]:
    kinds = by_hardware(trials, protocol)
    return [
        Finding(trial.path, f"ran on {kind}, where most trials ran on {next(iter(kinds))}", "compared all the same")
        for kind, members in list(kinds.items())[1:]
        for trial in members
    ]


def one_framework_each(trials: Iterable[Trial]) -> tuple[list[Trial], list[Finding]]:
    """A submission whose trials that count cover one workload in both frameworks becomes two submissions.

    Pooled, it would have twice the trials of its rivals to pick the best from.
    """
    trials = list(trials)
    frameworks: dict[tuple[str, str], set[str]] = defaultdict(set)
    for trial in trials:
        if trial.counts:
            frameworks[trial.submission, trial.workload].add(trial.framework)
    both = sorted(key for key, names in frameworks.items() if len(names) > 1)
    split = {submission for submission, _ in both}
    findings = [
        Finding(submission, f"trials of {workload} in both frameworks", "each framework is a submission of its own")
        for submission, workload in both
    ]
    renamed = [
        trial.renamed(f"{trial.submission} ({trial.framework})") if trial.submission in split else trial
        for trial in trials
    ]
    return renamed, findings
