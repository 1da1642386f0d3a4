"""How the trials of an experiment are raced: what they are told, in which order they go, and which results stand."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from algoperf.benchmark.identity import Trial
from algoperf.benchmark.protocol import Ruleset, load_protocol
from algoperf.experiment import plan
from algoperf.experiment.config import Config
from algoperf.racing import race
from algoperf.racing.bounds import NONE, Bound
from algoperf.racing.results import Results, place_of
from algoperf.trial.definition import Definition


class Races:
    """Those of a config. plan_file: where `plan.json` is. definitions: what the trials compute."""

    def __init__(self, config: Config, plan_file: Path, definitions: Callable[[], Mapping[Trial, Definition]]):
        self._config, self._plan_file, self._definitions = config, plan_file, definitions
        self._results = functools.cache(self._read)

    @property
    def options(self) -> tuple[str, ...]:
        """What `algoperf trial` is told."""
        if self._config.racing == "none":
            return ()
        return ("--racing", self._config.racing, "--plan", str(self._plan_file))

    def priority(self, workload: str, study: int) -> int:
        """Study after study, and held-out workloads last; all alike where no order is asked for.

        Of all orders that saves most: a base that is lost spares its held-outs (benchmarks/racing.py).
        """
        protocol = load_protocol(self._config.protocol)
        if self._config.racing_order == "parallel":
            return 0
        return max(0, protocol.studies - study) + (0 if workload in protocol.held_out else protocol.studies)

    def holds(self, trial: Trial, result: Mapping[str, Any]) -> bool:
        """Whether a result stands; one of a trial that racing has ended, by the results as they were at first."""

        def bound() -> Bound:
            if self._config.racing == "none":
                return NONE
            place = place_of(trial.folder, trial.workload)
            return self._results(trial.ruleset).bound(place, self._config.racing)

        return race.stands(result, bound)

    def _read(self, ruleset: Ruleset) -> Results:
        protocol, results = self._config.protocol, self._config.results_dir
        found = Results(plan.records(self._definitions()), results, protocol, ruleset)
        found.look()
        return found
