"""Logs in, files out: what `algoperf score` does."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from algoperf.protocol import RULESETS, Protocol, Ruleset, load_protocol
from algoperf.spec import UsageError
from scoring.checks import by_hardware
from scoring.files import printable
from scoring.published import PUBLISHED
from scoring.read import PUBLISHED_PREFIX, read_logs
from scoring.report import write_report
from scoring.result import Result
from scoring.score import READINGS, Reading, score_trials
from scoring.trials import Finding, Logs, Trial, in_order

_NAMED = 3  # trials that a message names


def score_logs(
    logs: Path,
    protocol: str,
    ruleset: Ruleset,
    reading: Reading,
    out: Path,
    with_published: str | None = None,
    allow_mixed_hardware: bool = False,
    partial: str | None = None,
) -> Result:
    """Scores the folder `logs` (or `published:<name>`) and writes the report into the folder `out`.

    with_published: `published:<name>`, a leaderboard whose submissions are ranked too. partial: how much of an
    experiment these logs are (`37 of 40 trials`); None or empty where they are all of it. Raises UsageError for an
    unknown name, for logs that are missing or hold no trial of the protocol's workloads, for trials of several kinds of
    hardware unless that is allowed, and for an `out` that is a file.
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
    kinds = by_hardware(found.trials, benchmark)
    if len(kinds) > 1 and not allow_mixed_hardware:
        raise UsageError(_mixed_hardware(kinds))
    caveats = (
        *((f"partial: {partial}",) if partial else ()),
        *((f"mixed hardware: {len(kinds)} kinds",) if len(kinds) > 1 else ()),
    )
    marks = [Finding(".", caveat, "scored all the same, as asked for") for caveat in caveats]
    source = " and ".join(printable(str(name)) for name in (logs, with_published) if name is not None)
    result = Result(source, ruleset, Logs(found.trials, (*marks, *found.findings)), scores, caveats)
    write_report(result, out)
    return result


def _mixed_hardware(kinds: Mapping[str, Sequence[Trial]]) -> str:
    """Why these trials are not compared: the kinds, the trials that are not of the most frequent one, the ways out."""
    counts = ", ".join(f"{len(trials):,} on {kind}" for kind, trials in kinds.items())
    _, *others = kinds.values()
    paths = [trial.path for trials in others for trial in trials]
    more = f" and {len(paths) - _NAMED:,} more" if len(paths) > _NAMED else ""
    return (
        f"the trials ran on {len(kinds)} kinds of hardware, {counts}, and their times do not compare: run "
        f"{', '.join(paths[:_NAMED])}{more} again (`algoperf rerun {paths[0]}`), or give --allow-mixed-hardware."
    )


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
