"""How often does a "95 %" interval of a score cover the truth? Leaderboards whose truth is known, drawn and scored.

    python benchmarks/coverage.py [--leaderboards 400]

A world says of ten submissions on every workload of a protocol how likely a study reaches the target, and how its log
times are distributed; its truth is the score of infinitely many studies. From it, as many studies as a protocol has are
drawn and scored, and each way of drawing gives its intervals. The numbers of a world are like those of the published
leaderboards of v0.5 and v0.6-a100: of their cells about half reach in all studies, a third in none, one in eight in
some; deviations of log times within a cell are 0.02 to 0.36; fastest and slowest lie a factor of two to four apart.
Tails: normal (light), or Student's t with three degrees of freedom, of the same deviation (heavy), where each
submission has a deviation of its own, too, which the posterior assumes to be shared.

Coverage is over all submissions of all leaderboards. `again`: how often the score of another leaderboard, with as many
studies of the same world, lies in the posterior's interval: less often, since it has luck of its own.
"""

import argparse
import dataclasses
import math
from collections.abc import Iterator
from statistics import NormalDist
from typing import Literal, TypeAlias

import numpy as np

from algoperf.benchmark.protocol import Protocol, load_protocol
from scoring.certainty.posterior import draw_medians
from scoring.certainty.resampling import draw_studies
from scoring.certainty.uncertainty import CONFIDENCE
from scoring.rules.score import Table, integrate, median, settle

Tails: TypeAlias = Literal["light", "heavy"]
SUBMISSIONS = 10
DRAWS = 500
_DEGREES = 3  # of freedom, of heavy tails


@dataclasses.dataclass(frozen=True)
class World:
    """All of shape (submissions, workloads). center: median log time of the studies that reach."""

    center: np.ndarray
    deviation: np.ndarray
    probability: np.ndarray
    tails: Tails

    @classmethod
    def drawn(cls, generator: np.random.Generator, protocol: Protocol, tails: Tails) -> "World":
        shape = SUBMISSIONS, len(protocol.workloads) + len(protocol.held_out)
        center = 8 + generator.normal(0, 0.25, (SUBMISSIONS, 1)) + generator.normal(0, 0.25, shape)
        deviation = np.broadcast_to(np.exp(generator.normal(math.log(0.1), 0.5, shape[1])), shape)
        if tails == "heavy":
            deviation = deviation * np.exp(generator.normal(0, 0.4, shape))
        kind = generator.random(shape)
        some = generator.random(shape)
        probability = np.where(kind < 0.5, 1.0, np.where(kind < 0.75, 0.0, some))
        return cls(center, deviation, probability, tails)

    def times(self, generator: np.random.Generator, studies: int) -> np.ndarray:
        """(submissions, studies, workloads)."""
        shape = len(self.center), studies, self.center.shape[1]
        logs = self.center[:, None] + self.deviation[:, None] * _noise(generator, self.tails, shape)
        return np.where(generator.random(shape) < self.probability[:, None], np.exp(logs), np.inf)

    def medians(self) -> np.ndarray:
        """(submissions, workloads): of infinitely many studies."""
        reached = self.probability > 0.5
        quantile = np.vectorize(lambda share: _quantile(self.tails, share), otypes=[float])
        shares = 0.5 / np.where(reached, self.probability, 1)
        return np.where(reached, np.exp(self.center + self.deviation * quantile(shares)), np.inf)


def _noise(generator: np.random.Generator, tails: Tails, shape: tuple[int, ...]) -> np.ndarray:
    if tails == "light":
        return generator.standard_normal(shape)
    return generator.standard_t(_DEGREES, shape) / math.sqrt(_DEGREES)


def _quantile(tails: Tails, share: float) -> float:
    if tails == "light":
        return NormalDist().inv_cdf(share)
    low, high = -1e3, 1e3  # Student's distribution function with three degrees of freedom, inverted by halving
    for _ in range(80):
        middle = (low + high) / 2
        x = middle / math.sqrt(_DEGREES)
        below = 0.5 + (x / (1 + x * x) + math.atan(x)) / math.pi
        low, high = (middle, high) if below < share else (low, middle)
    return low / math.sqrt(_DEGREES)


def scores(times: np.ndarray, protocol: Protocol) -> np.ndarray:
    """(..., submissions), of medians (..., submissions, workloads)."""
    return integrate(settle(times, protocol).ratios, "as-documented")


def ways(times: np.ndarray, draws: int, generator: np.random.Generator) -> Iterator[tuple[str, np.ndarray]]:
    """Of each way of drawing its name and medians (draws, submissions, workloads); the first is what we once did."""
    rows, studies, columns = times.shape
    whole = generator.integers(studies, size=(draws, rows, studies))
    yield "whole studies", median(times[np.arange(rows)[:, None], whole], axis=2)
    names = tuple(f"study_{study}" for study in range(studies))
    table = Table(tuple(map(str, range(rows))), (names,) * rows, tuple(map(str, range(columns))), times, times, {})
    yield "studies by workload", draw_studies(table, draws, generator)
    yield "posterior", draw_medians(times, draws, generator)


def coverage(protocol: Protocol, studies: int, tails: Tails, leaderboards: int, seed: int = 0) -> dict[str, float]:
    """Way of drawing -> share of the submissions whose interval covers the truth."""
    generator = np.random.default_rng(seed)
    hits: dict[str, list[float]] = {}
    for _ in range(leaderboards):
        world = World.drawn(generator, protocol, tails)
        truth = scores(world.medians(), protocol)
        times, again = world.times(generator, studies), world.times(generator, studies)
        observed = scores(median(times, axis=1), protocol)
        for name, drawn in ways(times, DRAWS, generator):
            ends = interval(scores(drawn, protocol), observed)
            hits.setdefault(name, []).append(_covered(ends, truth))
        hits.setdefault("again", []).append(_covered(ends, scores(median(again, axis=1), protocol)))
    return {name: float(np.mean(covered)) for name, covered in hits.items()}


def coverage_of_one_study(protocol: Protocol, studies: int, tails: Tails, leaderboards: int, seed: int = 0) -> float:
    """Of the posterior's interval for one submission with one study, where its nine rivals have `studies`."""
    generator = np.random.default_rng(seed)
    covered = []
    for _ in range(leaderboards):
        world = World.drawn(generator, protocol, tails)
        times = world.times(generator, studies)
        times[0, 1:] = np.nan
        observed = scores(median(times, axis=1), protocol)
        ends = interval(scores(draw_medians(times, DRAWS, generator), protocol), observed)
        covered.append(_covered(ends[:, :1], scores(world.medians(), protocol)[:1]))
    return float(np.mean(covered))


def interval(drawn: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """(2, submissions): percentiles of the draws, widened to the observed score, as in `scoring.certainty`."""
    low, high = np.quantile(drawn, (0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2), axis=0)
    return np.array([np.minimum(low, observed), np.maximum(high, observed)])


def _covered(ends: np.ndarray, truth: np.ndarray) -> float:
    return float(((ends[0] - 1e-9 <= truth) & (truth <= ends[1] + 1e-9)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leaderboards", type=int, default=400)
    leaderboards = parser.parse_args().leaderboards
    print("| protocol | studies | tails | whole studies | by workload | posterior | again | one study |")
    print("|---|---|---|---|---|---|---|---|")
    for name in ("v0.6-a100", "v0.5"):
        protocol = load_protocol(name)
        for studies in (3, 5):
            for tails in ("light", "heavy"):
                found = coverage(protocol, studies, tails, leaderboards)
                one = coverage_of_one_study(protocol, studies, tails, leaderboards)
                cells = " | ".join(f"{100 * share:.1f} %" for share in (*found.values(), one))
                print(f"| {name} | {studies} | {tails} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
