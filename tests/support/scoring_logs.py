"""Trials to score: the published ones, and small ones of any kind."""

import dataclasses
import itertools
import math

from hypothesis import strategies as st

from algoperf.benchmark.protocol import load_protocol
from scoring.logs.read import read_logs
from scoring.logs.trials import Trial

V05 = load_protocol("v0.5")
PUBLISHED = read_logs("published:v0.5-external", V05, "external").trials
# A base workload with its held-out, and one without.
SMALL = dataclasses.replace(V05, workloads=("fastmri", "wmt"), held_out=("fastmri_tanh",))

_times = st.one_of(st.floats(1, 1e5), st.sampled_from([math.inf, 100.0, 400.0, 401.0]))


def trial(submission: str, study: int, workload: str, number: int, time: float, row: int = 3, step: int = 9) -> Trial:
    hit = {} if math.isinf(time) else dict(hit_time=time, hit_row=row, hit_row_time=time, hit_step=step)
    return Trial(submission, f"study_{study}", workload, "jax", f"trial_{number}", "", 9, **hit)


@st.composite
def logs(draw: st.DrawFn) -> list[Trial]:
    """Of SMALL: up to three submissions, each of up to three studies of up to two trials, with holes."""
    trials = []
    for name in "abc"[: draw(st.integers(1, 3))]:
        studies, numbers = draw(st.integers(1, 3)), draw(st.integers(1, 2))
        workloads = (*SMALL.workloads, *SMALL.held_out)
        for study, workload, number in itertools.product(range(studies), workloads, range(1, 1 + numbers)):
            if draw(st.integers(0, 9)):
                row, step = draw(st.integers(0, 3)), draw(st.integers(1, 10_000))
                trials.append(trial(name, study, workload, number, draw(_times), row, step))
    return trials
