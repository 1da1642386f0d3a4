"""Logs in, files out: what `algoperf score` does."""

import dataclasses
from pathlib import Path

from algoperf.protocol import RULESETS, Protocol, Ruleset, load_protocol
from algoperf.spec import UsageError
from scoring.published import PUBLISHED
from scoring.read import PUBLISHED_PREFIX, printable, read_logs
from scoring.report import write_report
from scoring.result import Result
from scoring.score import READINGS, Reading, score_trials
from scoring.trials import Logs, in_order


def score_logs(
    logs: Path, protocol: str, ruleset: Ruleset, reading: Reading, out: Path, with_published: str | None = None
) -> Result:
    """Scores the folder `logs` (or `published:<name>`) and writes the report into the folder `out`.

    with_published: `published:<name>`, a leaderboard whose submissions are ranked too. Raises UsageError for an unknown
    name, for logs that are missing or hold no trial of the protocol's workloads, and for an `out` that is a file.
    """
    benchmark = load_protocol(protocol)
    if ruleset not in RULESETS:
        raise UsageError(f"there is no ruleset {ruleset!r}; the rulesets are {', '.join(RULESETS)}.")
    if reading not in READINGS:
        raise UsageError(f"there is no reading {reading!r}; the readings are {', '.join(READINGS)}.")
    published = None if with_published is None else _read_published(with_published, benchmark, ruleset)
    found = read_logs(logs, benchmark, ruleset)
    if published is not None:
        found = _joined(found, published, with_published)
    scores = score_trials(found.trials, benchmark, reading)
    if not scores.standings:
        raise UsageError(f"no trial under {str(logs)!r} is of a workload of protocol {benchmark.name}.")
    source = " and ".join(printable(str(name)) for name in (logs, with_published) if name is not None)
    result = Result(source, ruleset, found, scores)
    write_report(result, out)
    return result


def _read_published(name: str, protocol: Protocol, ruleset: Ruleset) -> Logs:
    if not name.startswith(PUBLISHED_PREFIX):
        known = ", ".join(f"{PUBLISHED_PREFIX}{known}" for known in PUBLISHED)
        raise UsageError(f"there is no published leaderboard {name!r}; there are {known}.")
    return read_logs(name, protocol, ruleset)


def _joined(own: Logs, published: Logs, name: str) -> Logs:
    """Both; a published submission that bears the name of an own one is told apart, and so are all findings."""
    taken = {trial.submission for trial in own.trials}
    others = [
        trial.renamed(f"{trial.submission} (published)") if trial.submission in taken else trial
        for trial in published.trials
    ]
    findings = [dataclasses.replace(finding, path=f"{name}/{finding.path}") for finding in published.findings]
    return Logs(in_order((*own.trials, *others)), (*own.findings, *findings))
