"""What can be said of the table of trials as a whole: what is missing, what is there twice, what does not compare."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from algoperf.protocol import Protocol
from scoring.trials import Finding, Trial


def check_table(trials: Sequence[Trial], protocol: Protocol) -> list[Finding]:
    """Findings about studies and workloads that the protocol has and a submission has not, and about hardware."""
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
            what = f"{len(all_studies)} studies where the protocol has {protocol.studies}"
            findings.append(Finding(submission, what, "the medians are over those that are there"))
        for workload in scored:
            missing = all_studies - present[submission, workload]
            what = f"no trials of {workload}"
            if missing == all_studies:
                findings.append(Finding(submission, what, "no data: the workload is lost"))
            else:
                done = "this study is left out of the workload's median"
                findings += [Finding(f"{submission}/{study}", what, done) for study in missing]
    return findings + _mixed_hardware(trials)


def _mixed_hardware(trials: Iterable[Trial]) -> list[Finding]:
    kinds = {trial.hardware for trial in trials if trial.hardware is not None}
    if len(kinds) < 2:
        return []
    return [Finding(".", f"the trials ran on {len(kinds)} kinds of hardware", "their times are compared all the same")]


def one_framework_each(trials: Iterable[Trial]) -> tuple[list[Trial], list[Finding]]:
    """A submission whose readable trials cover one workload in both frameworks becomes two submissions.

    Pooled, it would have twice the trials of its rivals to pick the best from.
    """
    trials = list(trials)
    frameworks: dict[tuple[str, str], set[str]] = defaultdict(set)
    for trial in trials:
        if trial.readable:
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
