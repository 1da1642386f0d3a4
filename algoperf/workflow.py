"""What the Snakefile asks: the config as a checked value, the trials, and the files that they end in."""

import atexit
import dataclasses
import functools
import re
import shlex
import signal
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.facts import InfrastructureError, Scale, UsageError
from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import TARGET_SETTING, Ruleset, TargetSetting, load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.experiment import config, on_cluster, plan, target_records
from algoperf.experiment.races import Races
from algoperf.machine import cluster, interruption, job, lock, resources
from algoperf.progress import status, status_view
from algoperf.records import made_of, official_files
from algoperf.trial import journal
from algoperf.trial.definition import Definition
from workloads.datasets import processors
from workloads.datasets.prepare import store_path
from workloads.datasets.store import MANIFEST

_SCORES = "scores.csv"


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config and what follows from it; paths are strings, as rules have them.

    names: what each label is loaded by.
    """

    config: config.Config
    trials: list[Trial]
    names: dict[str, str]
    accelerator: cluster.Accelerator

    @property
    def scale(self) -> Scale:
        return load_protocol(self.config.protocol).scale

    @property
    def workloads(self) -> list[str]:
        return plan.workloads(self.config)

    @property
    def datasets(self) -> dict[str, str]:
        return plan.datasets(self.config)

    def manifest(self, dataset: str) -> str:
        return str(store_path(self.config.data_dir, dataset) / MANIFEST)

    def manifest_of(self, workload: str) -> str:
        return self.manifest(load_spec(workload, self.scale).dataset)

    def result_pattern(self, workload: str) -> str:
        """The result of any trial of a workload, with wildcards for what distinguishes them.

        The results folder is one, too, because Slurm's jobs are named after them: see `leftovers.py`.
        """
        return self._pattern(workload, official_files.RESULT)

    def error_pattern(self, workload: str) -> str:
        """Where such a trial says why it failed."""
        return self._pattern(workload, official_files.ERRORS)

    def _pattern(self, workload: str, file: str) -> str:
        trial = f"{self.config.protocol}/{{ruleset}}/{{label}}/study_{{study}}/{workload}_{{framework}}/trial_{{trial}}"
        return f"{{results}}/{trial}/{file}"

    @property
    def place(self) -> str:
        """Where a trial runs and finds data and rivals, as options in a rule's `shell:`: no part of what it is."""
        options = ("--accelerator", self.config.accelerator, "--data-dir", str(self.config.data_dir))
        return shlex.join((*options, *self.races.options)).replace("{", "{{").replace("}", "}}")

    def log(self, name: str) -> str:
        """What a rule that is no trial has said went wrong."""
        return str(self.config.results_dir / self.config.protocol / "logs" / f"{name}.log")

    @property
    def results_constraint(self) -> str:
        return re.escape(str(self.config.results_dir))

    def trials_of(self, ruleset: str) -> list[Trial]:
        return [trial for trial in self.trials if trial.ruleset == ruleset]

    def results(self, ruleset: str | None = None) -> list[str]:
        """The results of all trials, or of one ruleset's; of a partial score, those that are there."""
        chosen = self.trials if ruleset is None else self.trials_of(ruleset)
        paths = (self.config.results_dir / trial.folder / official_files.RESULT for trial in chosen)
        return [str(path) for path in paths if not self.config.partial or path.exists()]

    def partial(self, ruleset: str) -> list[str]:
        """The option by which a partial score says how much of the whole it is; none where the score is whole."""
        planned = len(self.trials_of(ruleset))
        return ["--partial", f"{len(self.results(ruleset))} of {planned} trials"] if self.config.partial else []

    def logs(self, ruleset: str) -> str:
        return str(self.config.results_dir / self.config.protocol / ruleset)

    def scores(self, ruleset: str) -> str:
        """The folder that the scores of a ruleset are written to; a partial score does not stand for the whole."""
        name = f"{ruleset}_partial" if self.config.partial else ruleset
        return str(self.config.results_dir / self.config.protocol / "scores" / name)

    def submission(self, label: str, ruleset: Ruleset) -> str | list[str]:
        """What a contestant is loaded by, with what its points are drawn from, and how, where the config says it."""
        options = self.config.drawing(label, ruleset)
        return [self.names[label], *options] if options else self.names[label]

    def identity(self, workload: str, wildcards: Any) -> dict[str, Any]:
        """What a trial computes: what changes it makes it another trial."""
        return self._definition(workload, wildcards).identity

    def _definition(self, workload: str, wildcards: Any) -> Definition:
        """wildcards: of `result_pattern`."""
        numbers = int(wildcards.study), int(wildcards.trial)
        names = self.config.protocol, wildcards.ruleset, self.names[wildcards.label], wildcards.label
        trial = Trial(*names, wildcards.framework, workload, *numbers)
        if trial.ruleset != TARGET_SETTING:
            return self._definitions[trial]
        searched = self._target_definitions[dataclasses.replace(trial, study=0)]
        return dataclasses.replace(searched, trial=trial)

    @functools.cached_property
    def _definitions(self) -> dict[Trial, Definition]:
        return plan.definitions(self.config, self.trials, self._asked_for)

    @property
    def _asked_for(self) -> cluster.Accelerator | None:
        return None if self.config.accelerator == cluster.LOCAL else self.accelerator

    # What lies on the disk may have been made of something else: in another folder, where Snakemake has no record of
    # it, or by hand.

    def remade_trial(self, dag: Any, workload: str, wildcards: Any) -> list[str]:
        """As an input function: no file, but the trial is run again where its result is of another by now."""
        definition = self._definition(workload, wildcards)
        label, path = definition.trial.label, self.config.results_dir / definition.trial.folder / official_files.RESULT
        try:
            result = journal.find_result(path.parent) if path.exists() else None
        except InfrastructureError:  # a damaged result is the trial's own to say
            return []
        if result is not None and (why := definition.difference(result, is_finished=True)):
            dag.forcefiles.add(str(path))
            self._say_once(f"{label} has results of {why}: they are set aside, and it is run again.")
        elif result is not None and not self.races.holds(definition.trial, result):
            dag.forcefiles.add(str(path))
            self._say_once(f"{label} has trials that racing had ended: they go on.")
        elif result is not None and "submission_sha256" not in result:
            say_so = "an earlier version made them; they are taken as they are, and `algoperf rerun` runs them anew"
            self._say_once(f"{label} has results that do not say of which code they are: {say_so}.")
        return []

    def remade_scores(self, dag: Any, ruleset: str) -> list[str]:
        """As an input function: no file, but the scores are made again where they are of other trials or results."""
        folder, logs = Path(self.scores(ruleset)), Path(self.logs(ruleset))
        trials = (trial.folder.relative_to(f"{trial.protocol}/{ruleset}") for trial in self.trials_of(ruleset))
        if (folder / _SCORES).exists() and not made_of.is_current(folder, logs, map(str, trials)):
            dag.forcefiles.add(str(folder / _SCORES))
        return []

    def remade_best_point(self, dag: Any, workload: str) -> list[str]:
        """As an input function: no file, but the best point is looked for again where it is of another search."""
        searched = [of for trial, of in self._target_definitions.items() if trial.workload == workload]
        path = self.best_point(workload)
        if Path(path).exists() and not target_records.is_best_of(Path(path), searched):
            dag.forcefiles.add(path)
        return []

    @functools.cached_property
    def _said(self) -> set[str]:
        return set()

    def _say_once(self, sentence: str) -> None:
        if sentence not in self._said:
            self._said.add(sentence)
            say(sentence)

    def plan_file(self) -> str:
        """What was planned, for the scores: a leaderboard is of its config, whatever else lies among the results."""
        name = "plan_partial.json" if self.config.partial else "plan.json"
        return str(self.config.results_dir / self.config.protocol / name)

    @functools.cached_property
    def races(self) -> Races:
        return Races(self.config, Path(self.plan_file()), lambda: self._definitions)

    # Target setting: only asked for where it is run.

    @functools.cached_property
    def _target_definitions(self) -> dict[Trial, Definition]:
        searched = [trial for trials in self._target_search.values() for trial in trials]
        return plan.definitions(self.config, searched, self._asked_for)

    @functools.cached_property
    def _target_search(self) -> dict[str, list[Trial]]:
        return plan.target_search(self.config)

    @property
    def target_setting(self) -> TargetSetting:
        return plan.target_setting(self.config)

    @property
    def targets(self) -> str:
        """The folder that targets are written to."""
        return str(target_records.folder(self.config.results_dir, self.config.protocol))

    def best_point(self, workload: str) -> str:
        return str(target_records.best_point_file(self.config.results_dir, self.config.protocol, workload))

    def target_search(self, workload: str) -> list[str]:
        """The results of a workload's search."""
        return [
            str(self.config.results_dir / trial.folder / official_files.RESULT)
            for trial in self._target_search[workload]
        ]

    def target_repeats(self, best_point: str) -> list[str]:
        """The results of the repeats of a best point."""
        repeats = plan.target_repeats(self.config, target_records.best_trial(Path(best_point)))
        return [str(self.config.results_dir / trial.folder / official_files.RESULT) for trial in repeats]

    def threads(self, workload: str, cores: int | None) -> int:
        """Of a trial: a single machine's, as far as this process may use them; of each node, what a job asks for."""
        of_node = resources.cpus(self.accelerator, load_spec(workload, self.scale))
        return min(cores, processors.available()) if cores else of_node

    def resources(self, workload: str) -> dict[str, Any]:
        """What a job for a trial of this workload asks of Slurm, in the words of Snakemake's executor for it."""
        spec = load_spec(workload, self.scale)
        eval_period = load_protocol(self.config.protocol).eval_period(spec)
        return resources.resources(self.accelerator, spec, plan.max_runtime(self.config, workload), eval_period)

    def begin(self, executor: Any | None) -> None:
        """Takes the results folder for this run. executor: Slurm's, which is arranged; None on a single machine."""
        try:
            plan.write(Path(self.plan_file()), self._definitions)
            if self.config.partial:  # it runs no trial, and may be asked for while another run trains
                return
            job.restore()
            atexit.register(lock.FolderLock(self.config.results_dir).take().release)
            if executor is not None:
                on_cluster.begin(executor, self.accelerator, self._known_trials, self.config.results_dir, say)
            for trial in self._known_trials:
                journal.keep_result(self.config.results_dir / trial.folder)
        except InfrastructureError as error:
            say(f"error: {error}")
            sys.exit(1)

    def print_failures(self) -> None:
        """Which trials have failed, why, and what to do."""
        trials = self._known_trials
        definitions = plan.definitions(self.config, trials, self._asked_for)
        status_view.print_failures(status.statuses(trials, self.config.results_dir, definitions))

    @property
    def _known_trials(self) -> list[Trial]:
        return [*self.trials, *target_records.begun_trials(self.config, self.config.results_dir)]


def say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def read(content: Mapping[str, Any], files: Iterable[str] = ()) -> Experiment:
    """The experiment of a Snakemake config. A mistake in it ends the process with one sentence and exit code 2."""
    try:
        job.current()  # while the variables that say so are there
        checked = config.parse(dict(content), files=files)
        return make(checked, cluster.load().accelerator(checked.accelerator))
    except UsageError as error:
        say(f"error: {error}")
        sys.exit(2)


def make(checked: config.Config, accelerator: cluster.Accelerator) -> Experiment:
    """The experiment of a config. Raises UsageError as `plan.trials` does."""
    names = {entry.label: entry.name for entry in checked.submissions}
    return Experiment(checked, plan.trials(checked), names, accelerator)


def bin_folder() -> str:
    """Where the commands of this Python environment are, quoted for a shell."""
    return shlex.quote(str(Path(sys.executable).parent))


def ignore_signals() -> None:
    """Slurm's notices, and a new run's, are for the trial in a job; the Snakemake around it would die of them."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    signal.signal(interruption.TAKE_OVER, signal.SIG_IGN)
