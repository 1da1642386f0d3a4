"""What racing would have saved of an experiment that is over, by replaying its logs; and that no number changes.

Run: python benchmarks/racing.py LOGS --protocol v0.5 --ruleset external [--nodes 100]

LOGS: a tree of logs in the official layout, or published:<name>. Every trial of the protocol's workloads that counts is
started on one of the nodes as soon as one is free, takes the charged time that it took, and is ended where it has
charged its bound: by the results that there were when it last looked, and the times of trials that had reached their
targets and went on to their test targets. Free time is taken to be none.
In the order `parallel` the trials start as they were planned, workload by workload; in `sequential` study after study,
with the held-out workloads after the others, before them, or, within a study, each before or after its base. One node
is a replay in sequence.

For each level and order: the node-hours, the share of them that is saved, how many trials are ended and how many of
those never begin, and which of study values, medians and scores are those of all trials, to the last digit. What could
be saved at level `trials` by who knew each study's best time beforehand is said, too. As CSV, of which
algoperf/progress/costs/racing.csv has columns.
"""

import argparse
import csv
import dataclasses
import heapq
import itertools
import math
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from algoperf.benchmark.protocol import RULESETS, Protocol, load_protocol
from algoperf.benchmark.registry import base_of
from algoperf.racing.bounds import LEVELS, Facts, Level, Place, bound, known, unproved
from algoperf.racing.race import PERIOD
from scoring.logs.read import read_logs
from scoring.logs.trials import Trial, natural
from scoring.rules.score import READINGS, median, score_table, settle, tabulate

Order = Callable[[Trial], object]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logs", help="a folder, or published:<name>")
    parser.add_argument("--protocol", default="v0.5")
    parser.add_argument("--ruleset", choices=RULESETS, default="external")
    parser.add_argument("--nodes", type=int, nargs="*", default=[100])
    arguments = parser.parse_args()
    protocol = load_protocol(arguments.protocol)
    logs = arguments.logs if arguments.logs.startswith("published:") else Path(arguments.logs)
    trials = counting(read_logs(logs, protocol, arguments.ruleset).trials, protocol)
    whole = sum(end_of(trial) for trial in trials) / 3_600
    print(f"# {len(trials):,} trials, {whole:,.0f} node-hours; trials at most {1 - least(trials) / whole:.4f}")
    table = csv.writer(sys.stdout, lineterminator="\n")
    table.writerow(
        ("protocol", "ruleset", "level", "order", "nodes", "hours", "saved", "ended", "never_begun", "the_same")
    )
    for level, (name, order), nodes in itertools.product(LEVELS[1:], orders(protocol).items(), arguments.nodes):
        charged = replay(trials, protocol, level, order, nodes)
        raced = [ended(trial, level, seconds) for trial, seconds in zip(trials, charged, strict=True)]
        cut = [seconds for seconds in charged if seconds is not None]
        hours = sum(end_of(t) if s is None else s for t, s in zip(trials, charged, strict=True)) / 3_600
        row = (protocol.name, arguments.ruleset, level, name, nodes, f"{hours:.0f}", f"{1 - hours / whole:.4f}")
        table.writerow((*row, len(cut), Counter(cut)[0.0], " and ".join(same(trials, raced, protocol))))
        sys.stdout.flush()
        assert level_is_kept(trials, raced, protocol, level)


def least(trials: Iterable[Trial]) -> float:
    """Hours where each trial ends when its study's best trial reaches the target."""
    studies: dict[tuple[str, str, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        studies[place_of(trial)[:3]].append(trial)
    bests = [(min(trial.hit_time for trial in members), members) for members in studies.values()]
    return sum(end_of(t) if t.hit_time == best else min(end_of(t), best) for best, of in bests for t in of) / 3_600


def counting(trials: Iterable[Trial], protocol: Protocol) -> list[Trial]:
    """The trials that a score is made of, as they were planned: workload by workload."""
    names = [name for base in protocol.workloads for name in (base, *held_outs(base, protocol))]
    scored = [trial for trial in trials if trial.counts and trial.workload in names]
    return sorted(scored, key=lambda t: (names.index(t.workload), t.submission, natural(t.study), natural(t.trial)))


def held_outs(base: str, protocol: Protocol) -> list[str]:
    facts = Facts((), protocol)
    return facts.held_outs[base]


def orders(protocol: Protocol) -> dict[str, Order]:
    """Name -> key, of which the smallest goes first; the sort is stable."""

    def is_held_out(trial: Trial) -> bool:
        return trial.workload in protocol.held_out

    found: dict[str, Order] = {
        "parallel": lambda trial: 0,
        "sequential": lambda trial: (is_held_out(trial), natural(trial.study)),
    }
    if protocol.held_out:
        found |= {
            "sequential, all held-outs first": lambda trial: (not is_held_out(trial), natural(trial.study)),
            "sequential, held-outs before their base": lambda trial: (
                natural(trial.study),
                protocol.workloads.index(base_of(trial.workload)),
                not is_held_out(trial),
            ),
            "sequential, held-outs after their base": lambda trial: natural(trial.study),
        }
    return found


def replay(trials: Sequence[Trial], protocol: Protocol, level: Level, order: Order, nodes: int) -> list[float | None]:
    """Of each trial the charged seconds at which it is ended; None where it takes as long as it took."""
    places = [place_of(trial) for trial in trials]
    facts = Facts(places, protocol)
    bounds = Bounds(facts, level)
    waiting = iter(sorted(range(len(trials)), key=lambda one: order(trials[one])))
    # Wall clock, trial, its next evaluation, and the charged seconds at which it is ended before that.
    running: list[tuple[float, int, int, float]] = []
    begun: dict[int, float] = {}
    charged: list[float | None] = [None] * len(trials)
    times = [looks(trial) for trial in trials]

    def finish(one: int, seconds: float | None) -> None:
        charged[one] = seconds
        time = None if seconds is not None or math.isinf(trials[one].hit_time) else trials[one].hit_time
        bounds.learn(places[one], known(time, end_of(trials[one]) if seconds is None else seconds, seconds is not None))

    def begin(now: float) -> None:
        for one in waiting:
            if bounds.of(places[one]) > 0:
                begun[one] = now
                go_on(one, 0)
                return
            finish(one, 0.0)

    def go_on(one: int, number: int) -> None:
        """From evaluation number - 1, after which it knows its bound, to the next one or to where it is ended."""
        seconds = times[one][number - 1] if number else 0.0
        limit = max(bounds.of(places[one]), seconds) if seconds < trials[one].hit_time else math.inf
        cut_at = limit if limit < times[one][number] else math.inf
        heapq.heappush(running, (begun[one] + min(cut_at, times[one][number]), one, number, cut_at))

    for _ in range(nodes):
        begin(0.0)
    while running:
        now, one, number, cut_at = heapq.heappop(running)
        hit = trials[one].hit_time
        if cut_at < math.inf:
            finish(one, cut_at)
        elif number + 1 == len(times[one]):
            finish(one, None)
        else:
            if (times[one][number - 1] if number else 0.0) < hit <= times[one][number]:
                bounds.learn(places[one], known(hit, times[one][number], False))
            go_on(one, number + 1)
            continue
        begin(now)
    return charged


class Bounds:
    """Those of a level, each computed anew only when something of its workload, or its held-outs, has become known."""

    def __init__(self, facts: Facts, level: Level):
        self._facts, self._level = facts, level
        self._versions: Counter[str] = Counter()
        self._known: dict[tuple[str, str, str], tuple[int, float]] = {}

    def learn(self, place: Place, of_it: object) -> None:
        self._facts.learn(place, of_it)
        self._versions[self._base(place)] += 1

    def of(self, place: Place) -> float:
        version, key = self._versions[self._base(place)], place[:3]
        if key not in self._known or self._known[key][0] != version:
            self._known[key] = version, bound(self._facts, place, self._level).seconds
        return self._known[key][1]

    def _base(self, place: Place) -> str:
        return self._facts.bases.get(place.workload, place.workload)


def place_of(trial: Trial) -> Place:
    return Place(trial.submission, trial.workload, trial.study, trial.trial)


def evaluations(trial: Trial) -> Sequence[float]:
    """Charged seconds of each, ascending; of a published leaderboard, which has only the hit's, evenly spread."""
    times = trial.curve.times
    if not times:
        spread = np.linspace(0, end_of(trial), trial.rows + 1)[1:].tolist()
        times = sorted({*spread, *([trial.hit_time] if math.isfinite(trial.hit_time) else [])})
    last = 0.0
    found = []
    for time in times:
        last = max(last, time) if math.isfinite(time) else last
        found.append(last)
    return found


def looks(trial: Trial) -> list[float]:
    """Charged seconds at which it knows the results that there are: at evaluations, and now and then between them."""
    found: list[float] = []
    for time in evaluations(trial):
        while time - (last := found[-1] if found else 0.0) > PERIOD:
            found.append(last + PERIOD)
        found.append(time)
    return found


def end_of(trial: Trial) -> float:
    """Charged seconds that it took; a trial whose logs say nothing of that took none."""
    return 0.0 if math.isnan(trial.end_time) else max(trial.end_time, 0.0)


def ended(trial: Trial, level: Level, seconds: float | None) -> Trial:
    """The trial as its log would be."""
    if seconds is None:
        return trial
    result = {"charged_time": seconds, "racing": {"level": level}}
    record = dataclasses.replace(trial.record, status="pruned", has_missed=True, result=result)
    rows = sum(time <= seconds for time in evaluations(trial))
    never = dict(hit_time=math.inf, hit_row=None, hit_row_time=math.inf, hit_step=math.inf)
    return dataclasses.replace(trial, rows=rows, end_time=seconds, record=record, **never)


def same(whole: Sequence[Trial], raced: Sequence[Trial], protocol: Protocol) -> list[str]:
    """What is equal to the last digit: study values, medians, ratios, scores and ranks."""
    (one, of_one), (other, of_other) = (
        (table, score_table(table, protocol, READINGS[0]).standings)
        for table in (tabulate(trials, protocol, READINGS[0]) for trials in (whole, raced))
    )
    medians = [median(table.times, axis=1) for table in (one, other)]
    ratios = [settle(times, protocol).ratios for times in medians]
    ranks = [[(s.rank, s.submission, s.score) for s in standings] for standings in (of_one, of_other)]
    found = {
        "study values": np.array_equal(one.times, other.times, equal_nan=True),
        "medians": np.array_equal(*medians, equal_nan=True),
        "scores": ranks[0] == ranks[1] and np.array_equal(*ratios),
    }
    return [name for name, is_same in found.items() if is_same]


def level_is_kept(whole: Sequence[Trial], raced: Sequence[Trial], protocol: Protocol, level: Level) -> bool:
    """Whether what the level promises is the same, and the check that is made before a score finds nothing."""
    facts = Facts(map(place_of, raced), protocol)
    cut = []
    for trial in raced:
        is_ended = trial.status == "pruned"
        time = None if math.isinf(trial.hit_time) else trial.hit_time
        facts.learn(place_of(trial), known(time, end_of(trial), is_ended))
        cut += [(place_of(trial), level, end_of(trial))] if is_ended else []
    promised = {"trials": "study values", "studies": "medians", "scores": "scores"}[level]
    return promised in same(whole, raced, protocol) and not list(unproved(facts, cut))


if __name__ == "__main__":
    main()
