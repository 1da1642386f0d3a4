"""The rehearsals of an experiment, as the Snakefile asks for them: one for each workload and contestant."""

import dataclasses
import shlex

from algoperf.benchmark.protocol import load_protocol
from algoperf.benchmark.registry import load_spec
from algoperf.experiment import plan
from algoperf.experiment.config import Config
from algoperf.rehearsal import measured
from algoperf.rehearsal.stages import RECORD
from algoperf.rehearsal.table import CSV
from workloads.datasets.prepare import store_path
from workloads.datasets.store import MANIFEST


@dataclasses.dataclass(frozen=True)
class Cells:
    """Paths are strings, as rules have them."""

    config: Config

    @property
    def _folder(self) -> str:
        return str(measured.folder(self.config.results_dir, self.config.protocol))

    def pattern(self, workload: str) -> str:
        """The record of any contestant on a workload."""
        return f"{{results}}/{self.config.protocol}/rehearsal/{{label}}/{workload}_{{framework}}/{RECORD}"

    def records(self) -> list[str]:
        return [
            f"{self._folder}/{entry.label}/{workload}_{entry.framework}/{RECORD}"
            for workload in plan.workloads(self.config)
            for entry in self.config.submissions
        ]

    def data(self, workload: str) -> list[str]:
        """What has to be prepared before a workload is rehearsed: nothing where its examples are made up."""
        dataset = load_spec(workload, load_protocol(self.config.protocol).scale).dataset
        return [str(store_path(self.config.data_dir, dataset) / MANIFEST)] if self.config.rehearsal.with_data else []

    @property
    def options(self) -> str:
        """Of `algoperf trial`, as a rule's `shell:` has them."""
        asked = self.config.rehearsal
        words = ["--rehearse", str(asked.steps)]
        words += [] if asked.batch_size is None else ["--batch-size", str(asked.batch_size)]
        return shlex.join([*words, *(["--with-data"] if asked.with_data else [])])

    @property
    def table(self) -> str:
        return f"{self._folder}/{CSV}"
