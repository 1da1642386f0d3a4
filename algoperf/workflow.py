"""What the Snakefile asks: the config as a checked value, the trials, and the files that they end in."""

import dataclasses
import sys
from collections.abc import Mapping
from typing import Any

from algoperf import config, log, plan, submission
from algoperf.protocol import load_protocol
from algoperf.registry import load_spec
from algoperf.spec import Scale, UsageError
from algoperf.store import MANIFEST
from workloads.datasets.prepare import store_path


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A config and what follows from it; paths are strings, as rules have them."""

    config: config.Config
    trials: list[plan.Trial]

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
        """The result of any trial of a workload, with wildcards for what distinguishes them."""
        return str(
            self.config.results_dir
            / self.config.protocol
            / "{ruleset}"
            / "{label}"
            / "study_{study}"
            / f"{workload}_{{framework}}"
            / "trial_{trial}"
            / log.RESULT
        )

    def results(self, ruleset: str | None = None) -> list[str]:
        """The results of all trials, or of one ruleset's."""
        chosen = (trial for trial in self.trials if ruleset in (None, trial.ruleset))
        return [str(self.config.results_dir / trial.folder / log.RESULT) for trial in chosen]

    def logs(self, ruleset: str) -> str:
        return str(self.config.results_dir / self.config.protocol / ruleset)

    def scores(self, ruleset: str) -> str:
        """The folder that the scores of a ruleset are written to."""
        return str(self.config.results_dir / self.config.protocol / "scores" / ruleset)

    def submission(self, label: str) -> str:
        """What a contestant is loaded by."""
        return next(entry.name for entry in self.config.submissions if entry.label == label)

    def point(self, label: str, ruleset: str, trial: int) -> dict[str, Any]:
        """The hyperparameters of a trial."""
        entry = next(entry for entry in self.config.submissions if entry.label == label)
        path = submission.find(entry.name, entry.framework)
        protocol = load_protocol(self.config.protocol)
        return submission.hyperparameter_points(path, protocol, ruleset)[trial - 1]


def read(content: Mapping[str, Any]) -> Experiment:
    """The experiment of a Snakemake config. A mistake in it ends the process with one sentence and exit code 2."""
    try:
        checked = config.parse(dict(content))
        return Experiment(checked, plan.trials(checked))
    except UsageError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
