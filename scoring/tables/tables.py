"""The scoring as tables: the files that lie beside the report, and what the report shows.

scores.csv: rank, submission, score. time_to_target.csv: charged seconds of each submission (rows) on each scored
workload (columns), inf where the workload is lost, empty where there is no data. reasons.csv: the same in full, one row
per cell, held-out workloads included: the seconds before any rule took them, the ratio to the fastest, and why the
workload is lost. profile.csv: tau, and the height of each submission's profile from this tau to the next. budget.csv:
the fraction of its budget, of seconds or of steps, that each cell has used. studies.csv: one row per study of each
cell, with the trial that set its time. trials.csv: one row per trial, with its best value, by which share of the target
that falls short (at or below 0: met), and what the files of its folder say; censored_at: the charged seconds at which
racing has ended one, beyond which its time to target is not known. flags.csv:
what the referee refused, or left to people to judge. hardware.csv: machines, and how they were doing. software.csv:
what the trials ran with. submissions.csv: what each submission's `submission_info.yml` says of it; its framework, where
that does not say it, is that of its trials. data_quality.csv: path, what, done.
"""

import csv
import dataclasses
import functools
import io
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from algoperf.benchmark.facts import Target
from scoring.logs.info import Info
from scoring.logs.trials import Trial
from scoring.result import Result
from scoring.rules.closeness import as_share, best, shortfall
from scoring.rules.score import Scores, jumps, profile
from scoring.rules.studies import Study, used_budget

_BEST = ("best_value", "best_seconds", "best_step", "short_of_target")
_TIMES = ("charged_seconds", "wall_seconds", "eval_seconds", "test_seconds")
_INFO = tuple(field.name for field in dataclasses.fields(Info))


@dataclasses.dataclass(frozen=True)
class CsvTable:
    """name: of its file. made_by: the function whose numbers it holds."""

    name: str
    made_by: str
    header: Sequence[str]
    rows: Sequence[Sequence[object]]

    def csv(self) -> bytes:
        return self._csv

    @functools.cached_property
    def _csv(self) -> bytes:
        """Written once: the file and the page have the same."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.header)
        writer.writerows(self.rows)
        return text.getvalue().encode("utf-8")


def tables(result: Result) -> dict[str, CsvTable]:
    """Name without `.csv` -> table."""
    scores = result.scores
    workloads = scores.protocol.workloads
    scored = [trial for trial in result.logs.trials if trial.workload in (*workloads, *scores.protocol.held_out)]
    made = (
        CsvTable("scores.csv", "scoring.rules.score.score_trials", ("rank", "submission", "score"), _scores(scores)),
        CsvTable("time_to_target.csv", "scoring.rules.score.settle", ("submission", *workloads), [*_times(scores)]),
        CsvTable(
            "reasons.csv",
            "scoring.rules.score.score_trials",
            ("submission", "workload", "seconds", "ratio", "lost", "why", "studies"),
            [*_reasons(scores)],
        ),
        CsvTable(
            "profile.csv",
            "scoring.rules.score.profile",
            ("tau", *(standing.submission for standing in scores.standings)),
            [*_profile(scores)],
        ),
        CsvTable(
            "budget.csv",
            "scoring.rules.studies.used_budget",
            ("submission", "workload", "seconds", "budget", "max_steps", "fraction"),
            [*_budget(result)],
        ),
        CsvTable(
            "studies.csv",
            "scoring.rules.studies.studies",
            ("submission", "workload", "study", "seconds", "trial", "readable", "trials"),
            [*_studies(scores, result.studies)],
        ),
        CsvTable(
            "submissions.csv",
            "scoring.logs.info.read_info",
            ("submission", *_INFO),
            [
                (standing.submission, *(getattr(result.infos[standing.submission], name) for name in _INFO))
                for standing in scores.standings
            ],
        ),
        _trials(scored, result.targets),
        _judged(scored),
        _hardware(scored),
        _software(scored),
        CsvTable(
            "data_quality.csv",
            "scoring.logs.read.read_logs",
            ("path", "what", "done"),
            [dataclasses.astuple(finding) for finding in result.logs.findings],
        ),
    )
    return {table.name.removesuffix(".csv"): table for table in made}


def seconds(time: float) -> str:
    return "" if math.isnan(time) else f"{time:.3f}"


def number(value: float) -> str:
    """Six decimals at most; empty for NaN."""
    return "" if math.isnan(value) else f"{value:.6f}".rstrip("0").rstrip(".")


def _scores(scores: Scores) -> list[tuple]:
    return [(standing.rank, standing.submission, f"{standing.score:.6f}") for standing in scores.standings]


def _times(scores: Scores) -> Iterable[tuple]:
    for standing in scores.standings:
        cells = [standing.cells[name] for name in scores.protocol.workloads]
        times = (cell.time if cell.lost in (None, "no data") else math.inf for cell in cells)
        yield standing.submission, *map(seconds, times)


def _reasons(scores: Scores) -> Iterable[tuple]:
    for standing in scores.standings:
        for name, cell in standing.cells.items():
            yield (
                standing.submission,
                name,
                seconds(cell.time),
                f"{cell.ratio:.6f}",
                cell.lost or "",
                cell.why,
                cell.studies,
            )


def _profile(scores: Scores) -> Iterable[tuple]:
    ratios = scores.ratios()
    for tau, heights in zip(jumps(ratios), profile(ratios, jumps(ratios)).T, strict=True):
        yield tau, *heights


def _budget(result: Result) -> Iterable[tuple]:
    for standing in result.scores.standings:
        for name, cell in standing.cells.items():
            budget, max_steps = result.budgets[name], result.max_steps[name]
            fraction = used_budget(cell, budget, max_steps)
            shown = "" if math.isnan(fraction) else f"{fraction:.6f}"
            yield standing.submission, name, seconds(cell.time), f"{budget:g}", max_steps or "", shown


def _studies(scores: Scores, studies: Mapping[tuple[str, str], Sequence[Study]]) -> Iterable[tuple]:
    for standing in scores.standings:
        for name in standing.cells:
            for study in studies.get((standing.submission, name), ()):
                best = study.best.trial if study.best else ""
                counts = (study.counted, len(study.trials))
                yield standing.submission, name, study.study, seconds(study.time), best, *counts


def _trials(trials: Sequence[Trial], targets: Mapping[str, Target]) -> CsvTable:
    evidence = sorted({name for trial in trials for name in trial.record.evidence})
    header = ("submission", "study", "workload", "framework", "trial", "path", "status", "evaluations", "hit_seconds")
    header += (
        "hit_step",
        *_BEST,
        *_TIMES,
        "machine",
        "host",
        "seed",
        "commit",
        "preemptions",
        *evidence,
        "hyperparameters",
    )
    header += ("refused", "flags", "content", "censored_at")
    rows = []
    for trial in trials:
        record, curve = trial.record, trial.curve
        identity = (trial.submission, trial.study, trial.workload, trial.framework, trial.trial, trial.path)
        hit = "" if trial.hit_row is None else seconds(trial.hit_time)
        step = "" if trial.hit_row is None or not curve.steps else f"{curve.steps[trial.hit_row]:.0f}"
        kept = (record.machine, record.host, record.seed, record.commit, record.preemptions)
        seen = (record.evidence.get(name, "") for name in evidence)
        flags = ", ".join(sorted({rule for rule, _ in record.flags}))
        censored_at = seconds(trial.charged) if trial.is_ended_by_racing else ""
        told = (*kept, *seen, record.hyperparameters, record.refused, flags, record.content, censored_at)
        numbers = (
            trial.rows,
            hit,
            step,
            *_best(trial, targets[trial.workload]),
            *map(seconds, (trial.end_time, trial.total_time)),
        )
        numbers += (seconds(trial.eval_time), seconds(trial.test_time))
        rows.append((*identity, record.status, *numbers, *("" if word is None else word for word in told)))
    return CsvTable("trials.csv", "scoring.logs.read.read_logs", header, rows)


def _best(trial: Trial, target: Target) -> tuple:
    found = best(trial, target)
    if found is None:
        return ("",) * len(_BEST)
    short = as_share(shortfall(found.value, target), target)
    return f"{found.value:.7g}", seconds(found.seconds), number(found.step), number(short)


def _judged(trials: Iterable[Trial]) -> CsvTable:
    """What the referee refused, and what it left to people."""
    rows = []
    for trial in trials:
        if trial.record.refused is not None:
            rows.append((trial.path, "refused", "", trial.record.refused))
        rows += [(trial.path, "flagged", rule, what) for rule, what in trial.record.flags]
    return CsvTable("flags.csv", "scoring.logs.record.read_record", ("path", "verdict", "rule", "what"), rows)


def _hardware(trials: Iterable[Trial]) -> CsvTable:
    """One row per machine, host and submission's framework: numbers of the evidence are the worst of the trials."""
    groups: dict[tuple[str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.record.machine:
            groups[trial.record.machine, trial.record.host or ""].append(trial)
    names = list(dict.fromkeys(name for group in groups.values() for trial in group for name in trial.record.evidence))
    rows = [
        (
            machine,
            host,
            len(group),
            *(_worst(name, [trial.record.evidence.get(name) for trial in group]) for name in names),
        )
        for (machine, host), group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
    return CsvTable("hardware.csv", "scoring.logs.record.read_record", ("machine", "host", "trials", *names), rows)


def _worst(name: str, values: Iterable[float | str | None]) -> str:
    """The worst of the numbers, or all texts."""
    known = [value for value in values if value is not None]
    if numbers := [value for value in known if not isinstance(value, str)]:
        return f"{(min if name.startswith('slowest') else max)(numbers):.4g}"
    return ", ".join(sorted(set(map(str, known))))


def _software(trials: Iterable[Trial]) -> CsvTable:
    """What the trials ran with, and how many did."""
    counts: Counter[tuple[str, str]] = Counter()
    for trial in trials:
        named = {"commit": trial.record.commit, **trial.record.software}
        counts.update((name, version) for name, version in named.items() if version is not None)
    rows = [(*key, count) for key, count in sorted(counts.items())]
    return CsvTable("software.csv", "scoring.logs.record.read_record", ("what", "version", "trials"), rows)
