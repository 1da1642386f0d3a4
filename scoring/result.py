"""What a scoring hands to whoever shows it."""

import dataclasses

from algoperf.protocol import Ruleset
from scoring.score import Scores
from scoring.trials import Logs


@dataclasses.dataclass(frozen=True)
class Result:
    """source: where the logs are, as the person named it. logs: what was read. scores: what came of it."""

    source: str
    ruleset: Ruleset
    logs: Logs
    scores: Scores

    @property
    def title(self) -> str:
        return f"AlgoPerf {self.scores.protocol.name}, {self.ruleset} tuning"
