"""What can be said of the table of trials as a whole: what is missing, what is there twice, what does not compare."""

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from algoperf.benchmark.protocol import Protocol, Ruleset
from algoperf.benchmark.registry import load_spec
from scoring.logs import terms
from scoring.logs.terms import Terms
from scoring.logs.trials import Finding, Trial


def check_table(trials: Sequence[Trial], protocol: Protocol, ruleset: Ruleset) -> list[Finding]:
    """What is missing from the protocol's studies and workloads, other terms, hits past the budget, and hardware, and
    settings of frameworks."""
    return [
        *_missing(trials, protocol),
        *_other_terms(trials, protocol),
        *_late_hits(trials, protocol, ruleset),
        *_loose_trials(trials, protocol, ruleset),
        *_mixed_hardware(trials, protocol),
        *other_settings(trials, protocol),
    ]


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


def stated_terms(trials: Iterable[Trial]) -> dict[str, Counter[Terms]]:
    """Of each workload, how many trials state which terms; without those that state none."""
    found: dict[str, Counter[Terms]] = {}
    for trial in trials:
        if trial.record.terms is not None:
            found.setdefault(trial.workload, Counter())[trial.record.terms] += 1
    return found


def other_terms(trials: Iterable[Trial], protocol: Protocol) -> list[terms.Difference]:
    """Where the protocol's workloads were trained under other terms than it says."""
    stated = stated_terms(trials)
    scored = {name: stated[name] for name in (*protocol.workloads, *protocol.held_out) if name in stated}
    return terms.differences(scored, protocol)


def _other_terms(trials: Iterable[Trial], protocol: Protocol) -> list[Finding]:
    return [
        Finding(
            ".",
            f"{found.what} of {found.workload}: {found.stated} in {found.trials} of {found.of} trials, {found.ours} in "
            f"protocol {protocol.name}",
            "believed" if found.what == "budget" else "scored by the protocol's target all the same",
        )
        for found in other_terms(trials, protocol)
    ]


def budgets(trials: Iterable[Trial], protocol: Protocol, ruleset: Ruleset) -> dict[str, float]:
    """Charged seconds that a trial may use, by workload: what most trials state, or else what the protocol says."""
    stated = stated_terms(trials)
    # How much longer self-tuning trains is said by the protocol that the logs are of.
    factor = next(iter(terms.fitting(stated, protocol.scale)), protocol).factor(ruleset)
    found = {
        workload: protocol.max_runtime(load_spec(workload, protocol.scale), ruleset)
        for workload in (*protocol.workloads, *protocol.held_out)
    }
    for workload, counts in stated.items():
        runtimes = Counter()
        for of_trials, count in counts.items():
            if of_trials.max_runtime:
                runtimes[of_trials.max_runtime] += count
        if workload in found and runtimes:
            found[workload] = factor * runtimes.most_common(1)[0][0]
    return found


def _late_hits(trials: Sequence[Trial], protocol: Protocol, ruleset: Ruleset) -> list[Finding]:
    limits = budgets(trials, protocol, ruleset)
    return [
        Finding(
            trial.path,
            f"hit at {trial.hit_time:,.0f} s, past the budget of {limits[trial.workload]:,.0f} s",
            "counts: the rules of the score know no budget",
        )
        for trial in trials
        if limits.get(trial.workload, math.inf) < trial.hit_time < math.inf
    ]


def loose_trials(trials: Iterable[Trial], protocol: Protocol, ruleset: Ruleset) -> dict[str, dict[str, int]]:
    """Submissions whose trial numbers are no one hyperparameter point each -> number -> how many points it is.

    Where the protocol deals its points to the studies, all submissions with several trials. A submission whose logs do
    not say its points is taken to have one for each number.
    """
    points: dict[tuple[str, str], set[str]] = defaultdict(set)
    scored = {*protocol.workloads, *protocol.held_out}
    for trial in trials:
        if trial.workload in scored and trial.point is not None:
            points[trial.submission, trial.trial].add(trial.point)
    found: dict[str, dict[str, int]] = defaultdict(dict)
    for (submission, number), of_number in points.items():
        if len(of_number) > 1 and len(same := {_same_point(point) for point in of_number}) > 1:
            found[submission][number] = len(same)
    if protocol.is_dealt(ruleset):
        found |= {trial.submission: found.get(trial.submission, {}) for trial in trials}
    return dict(found)


def _same_point(point: str) -> str:
    """A point whatever the order of its names; as it stands where it is no JSON, such as one that was cut."""
    try:
        return json.dumps(json.loads(point), sort_keys=True)
    except ValueError:
        return point


def _loose_trials(trials: Iterable[Trial], protocol: Protocol, ruleset: Ruleset) -> list[Finding]:
    if protocol.is_dealt(ruleset):  # as it is to be
        return []
    done = "where trials are drawn, those of each study and workload are drawn by themselves"
    return [
        Finding(submission, f"{number} is {count} hyperparameter points, over its studies and workloads", done)
        for submission, numbers in loose_trials(trials, protocol, ruleset).items()
        for number, count in numbers.items()
    ]


def by_hardware(trials: Iterable[Trial], protocol: Protocol) -> dict[str, list[Trial]]:
    """The trials of the protocol's workloads by the hardware that they ran on, the kind of most trials first.

    Logs that do not name their hardware are left out.
    """
    kinds: dict[str, list[Trial]] = defaultdict(list)
    scored = {*protocol.workloads, *protocol.held_out}
    for trial in trials:
        if trial.hardware is not None and trial.workload in scored:
            kinds[trial.hardware].append(trial)
    for kind in list(kinds):  # one without its memory is that with it, if there is only one
        with_memory = [other for other in kinds if re.fullmatch(re.escape(kind) + ", [0-9.]+ GiB", other)]
        if len(with_memory) == 1:
            kinds[with_memory[0]] += kinds.pop(kind)
    return dict(sorted(kinds.items(), key=lambda item: (-len(item[1]), item[0])))


def _mixed_hardware(trials: Iterable[Trial], protocol: Protocol) -> list[Finding]:
    kinds = by_hardware(trials, protocol)
    return [
        Finding(trial.path, f"ran on {kind}, where most trials ran on {next(iter(kinds))}", "compared all the same")
        for kind, members in list(kinds.items())[1:]
        for trial in members
    ]


def other_settings(trials: Iterable[Trial], protocol: Protocol) -> list[Finding]:
    """The trials of the protocol's workloads whose framework computed otherwise than that of most others did.

    Compared are trials of one workload in one framework, and of what they do not record, nothing.
    """
    scored = {*protocol.workloads, *protocol.held_out}
    values: dict[tuple[str, str, str], dict[str, list[Trial]]] = defaultdict(lambda: defaultdict(list))
    for trial in trials:
        if trial.workload in scored:
            for name, value in trial.record.settings.items():
                values[trial.workload, trial.framework, name][value].append(trial)
    findings = []
    for (workload, framework, name), of_value in values.items():
        usual, *others = sorted(of_value, key=lambda value: -len(of_value[value]))
        findings += [
            Finding(
                trial.path,
                f"{name} was {value}, where most trials of {workload} in {framework} had {usual}",
                "compared all the same",
            )
            for value in others
            for trial in of_value[value]
        ]
    return findings


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
