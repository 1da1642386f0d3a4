"""Published leaderboards, one row per trial: enough to rank an own submission among theirs (README.md: origin)."""

import csv
import dataclasses
import io
import math
import re
from pathlib import Path

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import Protocol, Ruleset
from algoperf.records.atomic import write_atomically
from scoring.logs.trials import Logs, Trial, in_order


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """hardware: what its submissions ran on, as published. kind: a pattern of our names for it."""

    protocol: str
    ruleset: Ruleset
    hardware: str
    kind: str

    def ran_on(self, kind: str) -> bool:
        """Whether this kind of hardware, in the words of `scoring.logs.record`, is that of the leaderboard."""
        return re.match(self.kind, kind) is not None


_V100 = dict(hardware="8 x NVIDIA V100", kind=r"8 x .*\bV100\b")
_A100 = dict(hardware="4 x NVIDIA A100", kind=r"4 x .*\bA100\b")
# Those that can be made from their logs; the ones whose file lies here are shipped.
LEADERBOARDS: dict[str, Leaderboard] = {
    "v0.5-external": Leaderboard("v0.5", "external", **_V100),
    "v0.5-self": Leaderboard("v0.5", "self", **_V100),
    "v0.6-external": Leaderboard("v0.6", "external", **_V100),
    "v0.6-a100-self": Leaderboard("v0.6-a100", "self", **_A100),
}
_FOLDER = Path(__file__).parents[1] / "published"
PUBLISHED = {name: leaderboard for name, leaderboard in LEADERBOARDS.items() if (_FOLDER / f"{name}.csv").exists()}
PUBLISHED_PREFIX = "published:"  # what such a name has before it wherever logs are named
_IDENTITY = ("submission", "study", "workload", "framework", "trial")
_HIT = ("hit_time", "hit_row", "hit_row_time", "hit_step")


def find_published(name: str) -> Leaderboard:
    """Raises UsageError for an unknown name."""
    if name in LEADERBOARDS and name not in PUBLISHED:
        raise UsageError(f"{name} is not shipped; `python -m scoring.published LOGS {name}` makes it from its logs.")
    if name not in PUBLISHED:
        raise UsageError(f"there is no published leaderboard {name!r}; there are {', '.join(PUBLISHED)}.")
    return PUBLISHED[name]


def read_published(name: str, protocol: Protocol, ruleset: Ruleset) -> Logs:
    """The trials of a published leaderboard. Raises UsageError where there is none, or none of this protocol."""
    of = find_published(name)
    if (of.protocol, of.ruleset) != (protocol.name, ruleset):
        raise UsageError(
            f"{PUBLISHED_PREFIX}{name} is of protocol {of.protocol}, ruleset {of.ruleset}, "
            f"and cannot be ranked under protocol {protocol.name}, ruleset {ruleset}."
        )
    text = leaderboard_file(name).read_text("utf-8")
    return Logs(tuple(_trial(f"{PUBLISHED_PREFIX}{name}", row) for row in csv.DictReader(io.StringIO(text))), ())


def leaderboard_file(name: str) -> Path:
    """Where the trials of a leaderboard lie, or are to be written."""
    return _FOLDER / f"{name}.csv"


def published_scores(name: str) -> dict[str, float]:
    """The scores as they were published, by submission, best first: four decimals, or six."""
    with (_FOLDER / f"{name}.scores.csv").open(encoding="utf-8", newline="") as file:
        return {row["submission"]: float(row["score"]) for row in csv.DictReader(file)}


def write_published(logs: Logs, protocol: Protocol, path: Path) -> None:
    """Writes what `read_published` reads: the readable trials of the protocol's workloads."""
    scored = (*protocol.workloads, *protocol.held_out)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*_IDENTITY, "rows", *_HIT, "end_time", "point"))
    numbers: dict[str, dict[str, int]] = {}
    for trial in in_order(logs.trials):
        if trial.counts and trial.workload in scored:
            identity = (getattr(trial, name) for name in _IDENTITY)
            hit = (trial.hit_time, trial.hit_row, trial.hit_row_time, f"{trial.hit_step:.0f}")
            of_submission = numbers.setdefault(trial.submission, {})
            # The points of a submission by number: which trials share one is all that a score needs of them.
            point = "" if trial.point is None else of_submission.setdefault(trial.point, 1 + len(of_submission))
            hits = hit if trial.hit_row is not None else [""] * len(_HIT)
            writer.writerow((*identity, trial.rows, *hits, f"{trial.end_time:.3f}", point))
    write_atomically(path, text.getvalue().encode("utf-8"))


def _trial(source: str, row: dict[str, str]) -> Trial:
    folder = f"{row['submission']}/{row['study']}/{row['workload']}_{row['framework']}/{row['trial']}"
    return Trial(
        **{name: row[name] for name in _IDENTITY},
        path=f"{source}/{folder}",
        rows=int(row["rows"]),
        hit_time=float(row["hit_time"] or math.inf),
        hit_row=int(row["hit_row"]) if row["hit_row"] else None,
        hit_row_time=float(row["hit_row_time"] or math.inf),
        hit_step=float(row["hit_step"] or math.inf),
        end_time=float(row["end_time"]),
        point=row["point"] or None,
    )
