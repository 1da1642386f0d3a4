"""Logs in, files out: what `algoperf score` does."""

import contextlib
import dataclasses
import gc
import importlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.benchmark.protocol import RULESETS, Protocol, Ruleset, load_protocol
from algoperf.records import made_of
from algoperf.records.words import counted
from scoring.logs import terms
from scoring.logs.checks import by_hardware, other_settings, other_terms, stated_terms
from scoring.logs.files import printable
from scoring.logs.locate import locate
from scoring.logs.planned import Planned, read_plan
from scoring.logs.published import PUBLISHED, PUBLISHED_PREFIX, Leaderboard, find_published
from scoring.logs.read import read_logs
from scoring.logs.record import others_share
from scoring.logs.trials import Finding, Logs, Trial, in_order
from scoring.result import Result
from scoring.rules import raced
from scoring.rules.comparison import check_steps
from scoring.rules.score import READINGS, Reading, score_trials
from scoring.rules.ties import caveat as ties_caveat
from scoring.rules.ties import check_ties, find_ties, possible_scores
from scoring.sides import Sides, joined

_NAMED = 3  # trials that a message names
_QUIET = 10.0  # per cent of the processors that a quiet machine may take for itself


@contextlib.contextmanager
def _all_stays() -> Iterator[None]:
    """No garbage is looked for: thousands of trials stay until the end, and to go through them costs a tenth of all."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


@_all_stays()
def score_logs(
    logs: Path,
    protocol: str | None,
    ruleset: Ruleset | None,
    reading: Reading,
    out: Path,
    with_published: str | None = None,
    allow_mixed_hardware: bool = False,
    partial: str | None = None,
    with_report: bool = True,
    plan: Path | None = None,
) -> Result:
    """Scores the folder `logs` (or `published:<name>`) and writes the report into the folder `out`.

    logs: of submissions, or a results folder of ours, which has them under `<protocol>/<ruleset>/`. protocol, ruleset:
    None where a published leaderboard or the results folder leaves no choice. with_published: `published:<name>`, a
    leaderboard whose submissions are ranked too. partial: how much of an experiment these logs are (`37 of 40 trials`);
    None or empty where they are all of it. with_report: whether pictures and page are written beside the tables. plan:
    what the workflow planned, of which alone a ranking is. Raises
    UsageError for an unknown name, for logs that are missing or hold no trial of the protocol's workloads, for trials
    of several kinds of hardware unless that is allowed, and for an `out` that is a file; InfrastructureError where a
    planned trial that racing has ended has to go on.
    """
    rivals = None if with_published is None else _leaderboard(with_published)
    logs, protocol, ruleset = locate(logs, protocol, ruleset, rivals)
    planned = None if plan is None else read_plan(plan, load_protocol(protocol), ruleset)
    result = _scored(
        logs, load_protocol(protocol), ruleset, reading, with_published, allow_mixed_hardware, partial, planned
    )
    # The pictures need matplotlib, which takes longer to import than it takes to score.
    importlib.import_module("scoring.report" if with_report else "scoring.tables.files").write(result, out)
    if planned is not None:
        made_of.write(out, logs, planned)
    return result


def compare_logs(
    a: Path,
    b: Path,
    protocol: str | None,
    ruleset: Ruleset | None,
    reading: Reading,
    out: Path,
    allow_mixed_hardware: bool = False,
) -> Sides:
    """Two trees of logs (or `published:<name>`) side by side, written into the folder `out`.

    protocol, ruleset: as in `score_logs`; the same for both. allow_mixed_hardware: within a tree; that one tree ran on
    other hardware than the other is a caveat. Raises UsageError as `score_logs`, and where the two are of different
    protocols or rulesets.
    """
    rivals = next((_leaderboard(str(logs)) for logs in (a, b) if str(logs).startswith(PUBLISHED_PREFIX)), None)
    (a, *of_a), (b, *of_b) = (locate(logs, protocol, ruleset, rivals) for logs in (a, b))
    if of_a != of_b:
        raise UsageError(
            f"{str(a)!r} is of {'/'.join(of_a)} and {str(b)!r} of {'/'.join(of_b)}, which do not compare: choose one "
            "by --protocol and --ruleset."
        )
    benchmark, ruleset = load_protocol(of_a[0]), of_a[1]
    first, second = (_scored(logs, benchmark, ruleset, reading, None, allow_mixed_hardware) for logs in (a, b))
    logs = joined(first.logs, second.logs)
    together = Result(
        source=f"{first.source} and {second.source}",
        ruleset=ruleset,
        logs=logs,
        scores=score_trials(logs.trials, benchmark, reading),
        caveats=_unlike_hardware(first, second),
    )
    sides = Sides(first, second, together)
    importlib.import_module("scoring.report").write_changes(sides, out)
    return sides


def _scored(
    logs: Path,
    benchmark: Protocol,
    ruleset: Ruleset,
    reading: Reading,
    with_published: str | None,
    allow_mixed_hardware: bool,
    partial: str | None = None,
    planned: Planned | None = None,
) -> Result:
    """As `score_logs`, of logs that are located, and nothing is written."""
    if ruleset not in RULESETS:
        raise UsageError(f"there is no ruleset {ruleset!r}; the rulesets are {', '.join(RULESETS)}.")
    if reading not in READINGS:
        raise UsageError(f"there is no reading {reading!r}; the readings are {', '.join(READINGS)}.")
    rivals = None if with_published is None else _leaderboard(with_published)
    others = None if with_published is None else read_logs(with_published, benchmark, ruleset)
    own = read_logs(logs, benchmark, ruleset, planned)
    lacking = 0 if planned is None else len(planned) - len(own.trials)
    if planned is not None and not partial and (loose := raced.without_a_bound(own.trials, benchmark)):
        raise InfrastructureError(
            f"racing ended {counted(len(loose), 'trial')} that by now could change something, {loose[0].path} for one: "
            "the same command goes on with them."
        )
    kinds = by_hardware(own.trials, benchmark)
    found = own if others is None else _joined(own, others, with_published)
    scores = score_trials(found.trials, benchmark, reading)
    if not scores.standings:
        raise UsageError(f"no trial under {str(logs)!r} is of a workload of protocol {benchmark.name}.")
    if len(kinds) > 1 and not allow_mixed_hardware:
        raise UsageError(_mixed_hardware(kinds))
    ties = find_ties(found.trials, benchmark) if reading == "as-published" else ()
    tied = ties_caveat(ties, possible_scores(found.trials, benchmark, ties))
    caveats = (
        *((f"partial: {partial}",) if partial else ()),
        *((f"mixed hardware: {len(kinds)} kinds",) if len(kinds) > 1 else ()),
        *_busy_machines(own.trials),
        *_mixed_contents(own.trials),
        *_mixed_settings(own.trials, benchmark),
        *((f"{lacking} of {len(planned)} planned trials do not count",) if lacking and not partial else ()),
        *_other_terms(own.trials, benchmark),
        *((tied,) if tied else ()),
        *_single_studies(own.trials, benchmark),
        *raced.caveats(own.trials, benchmark, reading),
        *(() if rivals is None else _other_hardware(own.trials, kinds, rivals)),
    )
    marks = [Finding(".", caveat, "scored all the same") for caveat in caveats]
    source = " and ".join(printable(str(name)) for name in (logs, with_published) if name is not None)
    published = {trial.submission for trial in found.trials} - {trial.submission for trial in own.trials}
    logs_and_marks = Logs(found.trials, (*marks, *found.findings, *check_ties(ties), *check_steps(scores)), found.infos)
    folder = None if str(logs).startswith(PUBLISHED_PREFIX) else logs
    return Result(source, ruleset, logs_and_marks, scores, caveats, tuple(sorted(published)), folder)


def _unlike_hardware(a: Result, b: Result) -> tuple[str, ...]:
    """Why times of two trees do not compare; empty where they ran on the same, or one of them does not say on what."""
    kinds = [set(by_hardware(result.logs.trials, result.scores.protocol)) for result in (a, b)]
    if kinds[0] == kinds[1] or not all(kinds):
        return ()
    of_a, of_b = (" and ".join(sorted(of_one)) for of_one in kinds)
    return (f"hardware differs: A ran on {of_a}, B on {of_b}; steps compare, times do not",)


def _busy_machines(trials: Sequence[Trial]) -> Iterator[str]:
    """Trials that were timed while others were at work on the same processors."""
    shares = [share for trial in trials if (share := others_share(trial.record)) > _QUIET]
    if shares:
        took = f"took up to {max(shares):.0f} % of the processors"
        yield f"others were at work beside {len(shares)} of {len(trials)} trials and {took}: the times are theirs, too"


def _mixed_contents(trials: Iterable[Trial]) -> Iterator[str]:
    """Submissions that were edited between two of their trials."""
    contents: dict[str, set[str]] = defaultdict(set)
    for trial in trials:
        if trial.record.content is not None:
            contents[trial.submission].add(trial.record.content)
    yield from (f"{name}: trials of {len(of)} contents" for name, of in contents.items() if len(of) > 1)


def _mixed_settings(trials: Iterable[Trial], protocol: Protocol) -> tuple[str, ...]:
    """Whether frameworks computed in several ways; empty where they did not, as far as the logs say."""
    paths = {found.path for found in other_settings(trials, protocol)}
    return (f"mixed settings of frameworks: {len(paths)} differ from most others of their workload",) if paths else ()


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


def _other_terms(trials: Sequence[Trial], protocol: Protocol) -> tuple[str, ...]:
    """Whether the logs were made by another version of the benchmark; empty where they say nothing of that."""
    found = other_terms(trials, protocol)
    return (terms.caveat(found, protocol, terms.fitting(stated_terms(trials), protocol.scale)),) if found else ()


def _single_studies(trials: Iterable[Trial], protocol: Protocol) -> tuple[str, ...]:
    """Submissions with one study where the protocol has several; empty where there are none."""
    studies: dict[str, set[str]] = {}
    for trial in trials:
        if trial.counts and trial.workload in (*protocol.workloads, *protocol.held_out):
            studies.setdefault(trial.submission, set()).add(trial.study)
    single = sorted(submission for submission, of_submission in studies.items() if len(of_submission) == 1)
    if protocol.studies == 1 or not single:
        return ()
    return (f"one study where the protocol has {protocol.studies}: {', '.join(single)}",)


def _leaderboard(name: str) -> Leaderboard:
    if not name.startswith(PUBLISHED_PREFIX):
        known = ", ".join(f"{PUBLISHED_PREFIX}{known}" for known in PUBLISHED)
        raise UsageError(f"there is no published leaderboard {name!r}; there are {known}.")
    return find_published(name.removeprefix(PUBLISHED_PREFIX))


def _other_hardware(trials: Iterable[Trial], kinds: Iterable[str], rivals: Leaderboard) -> tuple[str, ...]:
    """Why times do not compare with those of a published leaderboard; empty where all ran on the same hardware."""
    others = [kind for kind in kinds if not rivals.ran_on(kind)]
    if any(trial.readable and trial.hardware is None for trial in trials):
        others.append("what is not recorded")
    if not others:
        return ()
    own = " and ".join(others)
    return (f"hardware differs: the published ran on {rivals.hardware}, these on {own}; steps compare, times do not",)


def _joined(own: Logs, published: Logs, name: str) -> Logs:
    """Both; a published submission that bears the name of an own one is told apart, and so are all findings."""
    taken = {trial.submission for trial in own.trials}
    others = [
        trial.renamed(f"{trial.submission} (published)") if trial.submission in taken else trial
        for trial in published.trials
    ]
    findings = [dataclasses.replace(finding, path=f"{name}/{finding.path}") for finding in published.findings]
    return Logs(in_order((*own.trials, *others)), (*own.findings, *findings), own.infos)
