"""The tables that the reader fills and the scores are made of: one row per trial, one row per finding."""

import dataclasses
import functools
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

from scoring.logs.curves import Curve
from scoring.logs.record import Record


@dataclasses.dataclass(frozen=True, slots=True)
class Trial:
    """One trial. Times are charged seconds, inf where the trial never hit.

    path: from the root of the logs. rows: evaluations that could be read. A trial counts where it has some, or says
    that it has ended without having reached its target; another takes no part in the scores. hit_time: the earliest
    hit. hit_row, hit_row_time, hit_step: the first row that hits, its time and its global step (NaN where no step is
    logged). curve: its evaluations. record: what the other files of its folder say. end_time: of its last evaluation,
    NaN where nothing is known. point: words that are equal for equal hyperparameters, None where nothing is known.
    test_time: of the earliest evaluation that meets the target on test, inf none, NaN not known. eval_time, total_time:
    seconds of its evaluations, and of all it did, waits not among them, NaN where they are not logged.
    """

    submission: str
    study: str
    workload: str
    framework: str
    trial: str
    path: str
    rows: int = 0
    hit_time: float = math.inf
    hit_row: int | None = None
    hit_row_time: float = math.inf
    hit_step: float = math.inf
    curve: Curve = dataclasses.field(default_factory=Curve, repr=False)
    record: Record = dataclasses.field(default_factory=Record, repr=False)
    end_time: float = math.nan
    point: str | None = None
    test_time: float = math.nan
    eval_time: float = math.nan
    total_time: float = math.nan

    @property
    def readable(self) -> bool:
        return self.rows > 0

    @property
    def counts(self) -> bool:
        return self.readable or self.record.has_missed

    @property
    def is_ended_by_racing(self) -> bool:
        """Whether its time to target is not infinite, but only known to be beyond `charged`."""
        return self.status == "pruned" and math.isinf(self.hit_time)

    @property
    def charged(self) -> float:
        """Seconds that it was charged, as its result says, or else its last evaluation; 0 where nothing is known."""
        said = self.record.result.get("charged_time", self.end_time)
        return float(said) if isinstance(said, int | float) and math.isfinite(said) else 0.0

    @property
    def status(self) -> str | None:
        """How it ended, a refusal told from other ends."""
        return self.record.status if self.record.refused is None else "refused"

    @property
    def hardware(self) -> str | None:
        return self.record.hardware

    def renamed(self, submission: str) -> "Trial":
        return dataclasses.replace(self, submission=submission)


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """One row of the data-quality table: where, what is wrong there, and what was done about it."""

    path: str
    what: str
    done: str


@dataclasses.dataclass(frozen=True)
class Logs:
    """A tree of logs, read: every trial of a known workload, and everything that is wrong with the tree.

    infos: of each submission what its `submission_info.yml` says (`scoring.logs.info.Info`).
    """

    trials: tuple[Trial, ...]
    findings: tuple[Finding, ...]
    infos: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@functools.lru_cache(4_096)  # thousands of trials share a few names
def natural(name: str) -> tuple[str | int, ...]:
    """Sort key that puts `trial_10` after `trial_9`."""
    return tuple(int(part) if odd % 2 else part for odd, part in enumerate(re.split(r"([0-9]+)", name)))


def in_order(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Directory order: by submission, study, workload, framework and trial."""
    return tuple(
        sorted(trials, key=lambda t: (t.submission, natural(t.study), t.workload, t.framework, natural(t.trial)))
    )
