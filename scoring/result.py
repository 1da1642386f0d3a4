"""What a scoring hands to whoever shows it."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path

from algoperf.benchmark.facts import Target
from algoperf.benchmark.protocol import Ruleset
from algoperf.benchmark.registry import load_spec
from scoring.certainty.clock_noise import ClockNoise, clock_noise
from scoring.certainty.leave_one_out import LeftOut, leave_one_out
from scoring.certainty.uncertainty import WAYS, Uncertainty, Way, draw
from scoring.logs.checks import budgets, loose_trials
from scoring.logs.info import Info, with_frameworks
from scoring.logs.trials import Logs, Trial
from scoring.rules.alternatives import Alternative, alternatives
from scoring.rules.closeness import Closest, closest
from scoring.rules.comparison import Pair, Reach, pairs, reaches
from scoring.rules.raced import summary
from scoring.rules.score import Scores
from scoring.rules.studies import Study, studies
from scoring.rules.study_bands import AGAINST, Against, StudyBand, standing_for, study_band


@dataclasses.dataclass(frozen=True)
class Result:
    """source: where the logs are, as the person named it. logs: what was read. scores: what came of it.

    caveats: why these are not scores like any others ("partial: 37 of 40 trials"), to be shown wherever they are.
    published: the submissions that were ranked with the source's own. folder: of the own logs, None where these are no
    folder. What follows from the logs and costs time is
    computed when it is first asked for.
    """

    source: str
    ruleset: Ruleset
    logs: Logs
    scores: Scores
    caveats: tuple[str, ...] = ()
    published: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def title(self) -> str:
        return f"AlgoPerf {self.scores.protocol.name}, {self.ruleset} tuning"

    @property
    def caveat(self) -> str:
        """All caveats in one line; empty where there are none."""
        return "; ".join(self.caveats)

    @property
    def own(self) -> tuple[str, ...]:
        """The source's own submissions, best first."""
        return tuple(s.submission for s in self.scores.standings if s.submission not in self.published)

    @functools.cached_property
    def uncertainties(self) -> tuple[Uncertainty, ...]:
        """The posterior; then draws of the studies, and of the trials, too, where there are several of both."""
        posterior, *bootstraps = WAYS
        first = self._drawn(posterior)
        if not first.draws:
            return (first,)
        several = {trial.trial for trial in self.logs.trials if trial.counts}
        return (first, *map(self._drawn, bootstraps[: 1 + (len(several) > 1)]))

    @functools.cached_property
    def clock_noise(self) -> ClockNoise | None:
        """None where studies were repeated, which says more."""
        return None if self.uncertainties[0].draws else clock_noise(self.logs.trials, self.scores)

    def _drawn(self, way: Way) -> Uncertainty:
        loose = loose_trials(self.logs.trials, self.scores.protocol, self.ruleset)
        scores = self.scores
        known = {"budgets": self.budgets, "scores": scores}
        return draw(self.logs.trials, scores.protocol, scores.reading, way, loose, **known)

    @functools.cached_property
    def infos(self) -> dict[str, Info]:
        """Of every submission what is said of it, and its framework."""
        return with_frameworks(dict(self.logs.infos), self.logs.trials)

    @functools.cached_property
    def budgets(self) -> dict[str, float]:
        """Charged seconds that a trial may use, by workload."""
        return budgets(self.logs.trials, self.scores.protocol, self.ruleset)

    @functools.cached_property
    def targets(self) -> dict[str, Target]:
        """Of the protocol's workloads, held-outs among them."""
        protocol = self.scores.protocol
        return {name: load_spec(name, protocol.scale).target for name in (*protocol.workloads, *protocol.held_out)}

    @functools.cached_property
    def max_steps(self) -> dict[str, int | None]:
        """The steps with which a trial ends, by workload; None where only its charged seconds count."""
        protocol = self.scores.protocol
        return {
            name: protocol.max_steps(load_spec(name, protocol.scale), self.ruleset)
            for name in (*protocol.workloads, *protocol.held_out)
        }

    @functools.cached_property
    def left_out(self) -> tuple[LeftOut, ...]:
        return leave_one_out(self.scores)

    @property
    def racing(self) -> str:
        """What racing has ended of the source's own trials, in a sentence; empty where it has ended none."""
        return summary([t for t in self.logs.trials if t.submission not in self.published], self.budgets)

    @functools.cached_property
    def pairs(self) -> tuple[Pair, ...]:
        return pairs(self.scores, self.budgets)

    @functools.cached_property
    def alternatives(self) -> tuple[Alternative, ...]:
        return alternatives(self.scores)

    @functools.cached_property
    def studies(self) -> dict[tuple[str, str], tuple[Study, ...]]:
        """By submission and workload."""
        return studies(self.logs.trials, self.scores.reading)

    @functools.cached_property
    def closest(self) -> dict[tuple[str, str], Closest]:
        """By submission and workload of the protocol, of those that have evaluations."""
        found = {cell: closest(of_cell, target) for cell, of_cell, target in self._cells()}
        return {cell: one for cell, one in found.items() if one is not None}

    @functools.cached_property
    def standing_trials(self) -> dict[tuple[str, str], tuple[Trial | None, ...]]:
        """By submission and workload of the protocol the trial that stands for each study."""
        return {
            cell: tuple(standing_for(study, target) for study in of_cell) for cell, of_cell, target in self._cells()
        }

    @functools.cached_property
    def study_bands(self) -> dict[tuple[str, str, Against], StudyBand]:
        """By submission, workload and what they are against, of those that have evaluations."""
        found = {
            (*cell, against): study_band([trial for trial in trials if trial is not None], against)
            for cell, trials in self.standing_trials.items()
            for against in AGAINST
        }
        return {place: band for place, band in found.items() if band is not None}

    def _cells(self) -> Iterator[tuple[tuple[str, str], Sequence[Study], Target]]:
        """Submission and workload, its studies, its target; in the order of the standings and of the protocol."""
        protocol = self.scores.protocol
        for standing in self.scores.standings:
            for name in (*protocol.workloads, *protocol.held_out):
                cell = standing.submission, name
                yield cell, self.studies.get(cell, ()), self.targets[name]

    @functools.cached_property
    def reaches(self) -> tuple[Reach, ...]:
        return reaches(self.scores)
