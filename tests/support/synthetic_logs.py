"""Logs of any size, of curves that come near their targets or meet them: what a large competition leaves behind."""

import itertools
import math
from array import array

import numpy as np

from algoperf.benchmark.protocol import Protocol, load_protocol
from algoperf.benchmark.registry import load_spec
from scoring.logs.curves import Curve
from scoring.logs.info import Info
from scoring.logs.record import Record
from scoring.logs.trials import Logs, Trial
from scoring.result import Result
from scoring.rules.score import score_trials

MACHINE = "4 x NVIDIA A100-SXM4-40GB"


NAMES = "submission_{:02d}"
FORTY_LETTERS = "a_name_of_forty_letters_in_many_parts_{:02d}"


def trials(
    protocol: Protocol, submissions: int, studies: int, numbers: int, rows: int, names: str = NAMES
) -> list[Trial]:
    """Of every workload of the protocol; each trial evaluates `rows` times. names: a format of their numbers."""
    generator = np.random.default_rng(0)
    found = []
    for place, workload in itertools.product(range(submissions), protocol.workloads):
        spec = load_spec(workload, protocol.scale)
        budget = protocol.max_runtime(spec, "external")
        # One in five is never good enough; the others lie within a few times of the fastest.
        pace = generator.uniform(0.2, 0.9) if generator.random() < 0.8 else 1.4
        for study, number in itertools.product(range(studies), range(1, 1 + numbers)):
            own = pace * generator.uniform(0.9, 1.2)
            found.append(_trial(names.format(place), place, workload, study, number, budget, own, rows, protocol))
    return found


def _trial(
    submission: str,
    place: int,
    workload: str,
    study: int,
    number: int,
    budget: float,
    pace: float,
    rows: int,
    protocol: Protocol,
) -> Trial:
    target = load_spec(workload, protocol.scale).target
    times = np.linspace(budget / rows, budget, rows)
    # It meets the target at `pace` of the budget, and goes on a little.
    far = np.exp(-4 * times / budget) - math.exp(-4 * pace)
    sign = 1 if target.goal == "min" else -1
    values = target.validation + sign * abs(target.validation) * 0.5 * far
    steps = np.arange(1, rows + 1) * (50 + place)
    hits = np.flatnonzero(values <= target.validation if target.goal == "min" else values >= target.validation)
    hit = {}
    if hits.size:
        row = int(hits[0])
        hit = dict(hit_time=float(times[row]), hit_row=row, hit_row_time=float(times[row]), hit_step=float(steps[row]))
    return Trial(
        submission,
        f"study_{study}",
        workload,
        "jax",
        f"trial_{number}",
        f"{submission}/study_{study}/{workload}_jax/trial_{number}",
        rows,
        **hit,
        curve=Curve(*(array("d", column) for column in (times, steps.astype(float), values))),
        record=Record(hardware=MACHINE, machine=MACHINE, hyperparameters=f'{{"learning_rate": {number}e-3}}'),
        end_time=float(times[-1]),
        eval_time=0.25 * budget,
        total_time=1.3 * budget,
        test_time=math.inf,
    )


def result(protocol: Protocol, submissions: int, studies: int, numbers: int, rows: int, names: str = NAMES) -> Result:
    made = tuple(trials(protocol, submissions, studies, numbers, rows, names))
    infos = {trial.submission: Info(authors="A. Author, B. Author", affiliations="A University") for trial in made}
    return Result("logs", "external", Logs(made, (), infos), score_trials(made, protocol, "as-documented"))


def large_result() -> Result:
    """Of 4,050 trials: as large as a competition may become."""
    return result(load_protocol("v0.6-a100"), submissions=30, studies=3, numbers=5, rows=1_000)
