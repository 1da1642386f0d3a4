"""What a scoring hands to whoever shows it."""

import dataclasses

from algoperf.protocol import Ruleset
from scoring.score import Scores
from scoring.trials import Logs


@dataclasses.dataclass(frozen=True)
class Result:
    """source: where the logs are, as the person named it. logs: what was read. scores: what came of it.

    caveats: why these are not scores like any others ("partial: 37 of 40 trials"), to be shown wherever they are.
    """

    source: str
    ruleset: Ruleset
    logs: Logs
    scores: Scores
    caveats: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        return f"AlgoPerf {self.scores.protocol.name}, {self.ruleset} tuning"

    @property
    def caveat(self) -> str:
        """All caveats in one line; empty where there are none."""
        return "; ".join(self.caveats)
