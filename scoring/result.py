"""What a scoring hands to whoever shows it."""

import dataclasses
import functools

from algoperf.benchmark.protocol import Ruleset
from scoring.certainty.clock_noise import ClockNoise, clock_noise
from scoring.certainty.leave_one_out import LeftOut, leave_one_out
from scoring.certainty.uncertainty import RESAMPLED, Resampled, Uncertainty, resample
from scoring.logs.trials import Logs
from scoring.rules.comparison import Pair, Reach, pairs, reaches
from scoring.rules.score import Scores


@dataclasses.dataclass(frozen=True)
class Result:
    """source: where the logs are, as the person named it. logs: what was read. scores: what came of it.

    caveats: why these are not scores like any others ("partial: 37 of 40 trials"), to be shown wherever they are.
    published: the submissions that were ranked with the source's own. What follows from the logs and costs time is
    computed when it is first asked for.
    """

    source: str
    ruleset: Ruleset
    logs: Logs
    scores: Scores
    caveats: tuple[str, ...] = ()
    published: tuple[str, ...] = ()

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
        """Over the studies; then over the trials, too, where there are several of both."""
        over_studies, over_trials = RESAMPLED
        first = self._resampled(over_studies)
        several = {trial.trial for trial in self.logs.trials if trial.readable}
        return (first, self._resampled(over_trials)) if first.draws and len(several) > 1 else (first,)

    @functools.cached_property
    def clock_noise(self) -> ClockNoise | None:
        """None where studies were repeated, which says more."""
        return None if self.uncertainties[0].draws else clock_noise(self.logs.trials, self.scores)

    def _resampled(self, what: Resampled) -> Uncertainty:
        return resample(self.logs.trials, self.scores.protocol, self.scores.reading, what)

    @functools.cached_property
    def left_out(self) -> tuple[LeftOut, ...]:
        return leave_one_out(self.logs.trials, self.scores.protocol, self.scores.reading)

    @functools.cached_property
    def pairs(self) -> tuple[Pair, ...]:
        return pairs(self.scores)

    @functools.cached_property
    def reaches(self) -> tuple[Reach, ...]:
        return reaches(self.scores)
