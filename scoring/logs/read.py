"""A tree of logs, ours or anyone's, in whatever state it is -> one row per trial, and what is wrong with the tree.

The layout is the ecosystem's: `ROOT/<submission>/<study>/<workload>_<jax|pytorch>/trial_<k>/eval_measurements.csv`.
Nothing found in a tree stops the reader, and nothing is passed over in silence: what cannot be used becomes a finding.
"""

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

from algoperf.benchmark.facts import FRAMEWORKS, Target, UsageError
from algoperf.benchmark.protocol import Protocol, Ruleset
from algoperf.benchmark.registry import base_of, has_scale, load_spec, workload_names
from scoring.logs import info
from scoring.logs.checks import check_table, one_framework_each
from scoring.logs.evaluations import read_evaluations, unreadable
from scoring.logs.files import printable, read_file
from scoring.logs.planned import Planned, is_named, not_as_planned
from scoring.logs.published import PUBLISHED_PREFIX, read_published
from scoring.logs.record import read_record
from scoring.logs.trials import Finding, Logs, Trial, in_order, natural

_IGNORED = "ignored"
_EVALUATIONS = "eval_measurements.csv"
_NOT_PLANNED = "no part of this experiment"
_NOT_RANKED = "not ranked"
_NO_TRIAL = "no trial in any study"
_UNLISTED = "cannot be listed"
_TRIAL = re.compile("trial_[0-9]+")


def read_logs(logs: Path | str, protocol: Protocol, ruleset: Ruleset, planned: Planned | None = None) -> Logs:
    """Every trial under the folder `logs`, or of the published leaderboard named `published:<name>`.

    planned: the only trials that are read, and what they compute; what else lies there becomes a finding. Raises
    UsageError where `logs` is missing or holds not a single trial of a known workload.
    """
    if str(logs).startswith(PUBLISHED_PREFIX):
        found = read_published(str(logs).removeprefix(PUBLISHED_PREFIX), protocol, ruleset)
    else:
        found = _read_tree(Path(logs), protocol, ruleset, planned)
    trials, split = one_framework_each(found.trials)
    findings = {*found.findings, *split, *check_table(trials, protocol, ruleset)}
    return Logs(in_order(trials), tuple(sorted(findings, key=lambda f: (natural(f.path), f.what))), found.infos)


def _read_tree(root: Path, protocol: Protocol, ruleset: Ruleset, planned: Planned | None) -> Logs:
    if not root.is_dir():
        raise UsageError(f"there is no folder of logs {str(root)!r}.")
    reader = _TreeReader(protocol, protocol.num_trials(ruleset), planned)
    for submission, path in reader.folders(str(root), ""):
        if not is_named(planned, submission):
            reader.report(submission, _NOT_PLANNED, _NOT_RANKED)
            continue
        before = len(reader.trials)
        for study, study_path in reader.folders(path, submission, info.FILE):
            reader.read_study(study_path, submission, study)
        if os.path.exists(f"{path}/{info.FILE}"):
            reader.read_info(path, submission, reader.trials[before:], ruleset)
        if len(reader.trials) == before:
            reader.report(submission, _NO_TRIAL, _NOT_RANKED)
    reasons = [
        found
        for found in reader.findings
        if found.what.startswith(_UNLISTED) or (found.done == _NOT_RANKED and found.what != _NO_TRIAL)
    ]
    if not reader.trials and reasons:
        raise UsageError(f"no trial under {str(root)!r} can be ranked: {reasons[0].path}: {reasons[0].what}.")
    if not reader.trials:
        raise UsageError(
            f"there is no trial of any {protocol.scale} workload under {str(root)!r}: the layout is "
            "<submission>/study_<i>/<workload>_<jax|pytorch>/trial_<k>/eval_measurements.csv."
        )
    return Logs(tuple(reader.trials), tuple(reader.findings), reader.infos)


@dataclasses.dataclass
class _TreeReader:
    """Walks a tree, gathering `trials` and `findings`; shown paths are relative to its root."""

    protocol: Protocol
    num_trials: int
    planned: Planned | None
    trials: list[Trial] = dataclasses.field(default_factory=list)
    findings: list[Finding] = dataclasses.field(default_factory=list)
    infos: dict[str, info.Info] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        scale = self.protocol.scale
        self.targets: dict[str, Target] = {
            name: load_spec(name, scale).target for name in workload_names() if has_scale(base_of(name), scale)
        }

    def report(self, path: str, what: str, done: str) -> None:
        self.findings.append(Finding(path, what, done))

    def folders(self, path: str, shown: str, known: str = "") -> list[tuple[str, str]]:
        """Name and path of each folder in a folder; whatever else lies there is reported, but a file `known`."""
        try:
            with os.scandir(path) as entries:
                found = sorted(entries, key=lambda entry: natural(entry.name))
        except OSError as error:
            self.report(shown or ".", f"{_UNLISTED}: {error.strerror}", _IGNORED)
            return []
        folders = []
        for entry in found:
            inside = f"{shown}/{printable(entry.name)}".lstrip("/")
            try:
                is_folder = entry.is_dir()
            except OSError as error:  # a symbolic link that leads to itself
                self.report(inside, f"cannot be followed: {error.strerror}", _IGNORED)
                continue
            if is_folder and not entry.name.startswith("."):
                folders.append((printable(entry.name), entry.path))
            elif entry.name != known:
                self.report(inside, "a hidden folder" if is_folder else "a stray file", _IGNORED)
        return folders

    def read_info(self, path: str, submission: str, trials: Sequence[Trial], ruleset: Ruleset) -> None:
        shown = f"{submission}/{info.FILE}"
        found = info.read_info(f"{path}/{info.FILE}", shown, self.report)
        for what in info.check_info(found, trials, ruleset):
            self.report(shown, what, "shown as it is said")
        self.infos[submission] = found

    def read_study(self, path: str, submission: str, study: str) -> None:
        seen = set()
        for name, inside in self.folders(path, f"{submission}/{study}"):
            shown = f"{submission}/{study}/{name}"
            workload, _, framework = name.rpartition("_")
            if _TRIAL.fullmatch(name):
                self.report(shown, "a trial one level too high: its workload is unknown", _IGNORED)
            elif framework not in FRAMEWORKS:
                self.report(shown, "not the folder of a workload: those are called <workload>_<framework>", _IGNORED)
            elif workload not in self.targets:
                self.report(shown, f"there is no {self.protocol.scale} workload {workload}", _IGNORED)
            else:
                if workload in seen:
                    self.report(shown, "the same workload is there under both frameworks", "the readable trials count")
                seen.add(workload)
                self.read_workload(inside, (submission, study, workload, framework))

    def read_workload(self, path: str, cell: tuple[str, str, str, str]) -> None:
        """cell: submission, study, workload, framework."""
        submission, study, workload, framework = cell
        shown = f"{submission}/{study}/{workload}_{framework}"
        if workload not in (*self.protocol.workloads, *self.protocol.held_out):
            self.report(shown, f"not part of protocol {self.protocol.name}", "read, not scored")
        trials = []
        for name, inside in self.folders(path, shown):
            if not is_named(self.planned, f"{shown}/{name}"):
                self.report(f"{shown}/{name}", _NOT_PLANNED, _NOT_RANKED)
            elif _TRIAL.fullmatch(name):
                trials += self.read_trial(inside, f"{shown}/{name}", (*cell, name))
            else:
                self.report(f"{shown}/{name}", "not the folder of a trial: those are called trial_<k>", _IGNORED)
        counting = sum(trial.counts for trial in trials)
        if counting == 0:
            self.report(shown, "no readable trial", "this study is left out of the workload's median")
        elif counting < self.num_trials:
            self.report(shown, f"{counting} of {self.num_trials} trials readable", "the study's value is their best")
        elif counting > self.num_trials:
            self.report(shown, f"{counting} trials where the protocol has {self.num_trials}", "all of them count")
        self.trials += trials

    def read_trial(self, path: str, shown: str, identity: tuple[str, str, str, str, str]) -> list[Trial]:
        """identity: submission, study, workload, framework, trial. Empty where it is no trial of an experiment."""
        try:
            names = frozenset(os.listdir(path))
        except OSError as error:
            self.report(shown, f"cannot be listed: {error.strerror}", "the trial is left out")
            return [Trial(*identity, path=shown)]
        record = read_record(path, shown, names, self.report)
        if record.max_steps is not None:
            self.report(shown, f"ended by --max-steps {record.max_steps}: no trial of an experiment", _NOT_RANKED)
            return []
        if differing := not_as_planned(self.planned, shown, record.result):
            self.report(shown, f"made of something else than was planned ({differing}): run it again", _NOT_RANKED)
            return []
        if record.status is not None and self.planned is not None and record.content is None:
            self.report(shown, "it does not say which content of the submission it is of", "taken as it is")
        try:
            if _EVALUATIONS not in names:
                raise FileNotFoundError
            found = read_evaluations(read_file(f"{path}/{_EVALUATIONS}"), self.targets[identity[2]])
        except FileNotFoundError:
            status = f" (status {record.status})" if record.status else ""
            found = unreadable(f"no {_EVALUATIONS}{status}")
        except OSError as error:
            found = unreadable(f"{_EVALUATIONS} cannot be read: {error.strerror}")
        is_miss = record.has_missed and not found.rows
        as_what = "racing ended it before it began" if record.status == "pruned" else "the trial counts as a miss"
        for what, done in found.damage:
            self.report(shown, printable(what), as_what if is_miss else done)
        hits = ()
        if record.refused is not None:
            self.report(shown, f"refused: {record.refused}", "the trial counts as a miss")
        else:
            hits = ("hit_time", "hit_row", "hit_row_time", "hit_step", "test_time")
        trial = Trial(
            *identity,
            path=shown,
            rows=found.rows,
            end_time=found.end_time,
            eval_time=found.eval_time,
            total_time=found.total_time,
            point=record.hyperparameters,
            curve=found.curve,
            record=record,
            **{name: getattr(found, name) for name in hits},
        )
        return [trial]
