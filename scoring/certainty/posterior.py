"""What three studies tell of the score that infinitely many would give: a hierarchical posterior of the times.

A bootstrap of three studies has few different draws, and none in which a submission that reached a workload in all of
its studies loses it; its "95 %" intervals cover 80 to 90 %. Here each submission has on each workload

- a probability to reach the target, Beta(k + 0.3, n - k + 0.3) for k of n studies that did: with 3 of 3 the true
  probability may well be below 1, and below one half the workload is lost;
- log times that are normal around its own mean, with the deviation of the workload that all submissions share: it is
  estimated from all of their studies together, which is more than the three of any one of them.

A draw takes both, and with them the median over infinitely many studies, infinite where fewer than half reach: the
quantile 1 / (2 p) of the times. A submission with one study has so an interval, where others have more. One that never
reached may yet have probability; its time is then drawn from those of the others.

The medians go through all rules of the score. How often such an interval covers the truth is simulated in
benchmarks/coverage.py; the table is in docs/uncertainty.md.
Source: Gelman et al. (2013), Bayesian Data Analysis, 3rd edition, ch. 3 and 5; the prior 0.3 lies between Jeffreys' 1/2
and what the published studies show, of which one in eight reaches in some studies and not in others.
"""

import functools
from statistics import NormalDist

import numpy as np

_PRIOR = 0.3
_PRIOR_STUDIES = 1  # degrees of freedom that the deviation of all workloads together weighs beside a workload's own
_LARGEST = 300.0  # of a log time: a deviation that hardly any study tells of may be drawn without bounds
_LEAST_SPREAD = 0.1  # between the log times of submissions on a workload


def draw_medians(times: np.ndarray, draws: int, generator: np.random.Generator) -> np.ndarray:
    """(draws, submissions, workloads): charged seconds; inf where fewer than half of the studies reach, NaN: no data.

    times: (submissions, studies, workloads), inf not reached, NaN no such study.
    """
    present = np.count_nonzero(~np.isnan(times), axis=1)
    reached = np.isfinite(times)
    counts = np.count_nonzero(reached, axis=1)
    logs = np.log(times, out=np.zeros_like(times), where=reached)
    means = np.divide(logs.sum(axis=1), counts, out=np.full(counts.shape, np.nan), where=counts > 0)
    squares = np.where(reached, (logs - np.where(counts > 0, means, 0)[:, None]) ** 2, 0).sum(axis=(0, 1))
    shape = (draws, *counts.shape)

    probability = generator.beta(counts + _PRIOR, present - counts + _PRIOR, size=shape)
    deviation = _draw_deviations(squares, np.maximum(counts - 1, 0).sum(axis=0), draws, generator)[:, None]
    normal = generator.standard_normal(shape)
    center, spread = _of_all(means)
    own = means + deviation * normal / np.sqrt(np.maximum(counts, 1))
    mean = np.where(counts > 0, own, center + spread * normal)
    is_reached = (probability > 0.5) & (present > 0)
    quantile = np.interp(probability, *_quantiles())
    drawn = np.exp(
        np.clip(mean + deviation * quantile, -_LARGEST, _LARGEST), out=np.full(shape, np.inf), where=is_reached
    )
    return np.where(present > 0, drawn, np.nan)


@functools.cache
def _quantiles() -> tuple[np.ndarray, np.ndarray]:
    """Probabilities to reach, and in deviations how far the median of all studies lies above that of those that do."""
    probabilities = np.linspace(0.5, 1, 1_001)[1:]
    normal = NormalDist()
    return probabilities, np.array([normal.inv_cdf(0.5 / probability) for probability in probabilities.tolist()])


def _draw_deviations(
    squares: np.ndarray, freedom: np.ndarray, draws: int, generator: np.random.Generator
) -> np.ndarray:
    """(draws, workloads): deviations of log times. squares, freedom: (workloads,), of studies around their means."""
    of_all = squares.sum() / max(freedom.sum(), 1)
    degrees = freedom + _PRIOR_STUDIES
    return np.sqrt((squares + _PRIOR_STUDIES * of_all) / generator.chisquare(degrees, size=(draws, len(degrees))))


def _of_all(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(workloads,) twice: where the submissions' mean log times lie on each workload, and how far apart."""
    known = ~np.isnan(means)
    number = np.maximum(np.count_nonzero(known, axis=0), 1)
    center = np.where(known, means, 0).sum(axis=0) / number
    variance = np.where(known, (means - center) ** 2, 0).sum(axis=0) / number
    return center, np.sqrt(variance + _LEAST_SPREAD**2)
