"""What the harness adds to a step: seconds per step through `run_trial` against the bare loop on the same batches.

Both run the same submission on the same resident batches, in turn in one process, so that only their ratio counts: of
seconds on the wall, and of the process's own processor seconds, which others on the machine do not disturb.
Run: python benchmarks/overhead.py
"""

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from algoperf.benchmark.facts import FRAMEWORKS, replace
from algoperf.benchmark.identity import make_trial
from algoperf.machine.interruption import Watch
from algoperf.submission.points import as_hyperparameters
from algoperf.trial.clock import Clock
from algoperf.trial.setup import set_up
from algoperf.trial.train import Run, State, run_trial
from workloads.datasets.prepare import open_source

STEPS = 20
ROUNDS = 11
BATCH_SIZE = 600  # a step of 50 ms or more on two cores
CLOCKS = {"wall": time.monotonic, "processor": time.process_time}


def measure(framework: str, data_dir: Path, out: Path) -> dict[str, tuple[float, float, float]]:
    """Median seconds per step, bare and through `run_trial`, and the median of their ratios, pair by pair.

    By which clock: wall or processor.
    """
    setup = set_up(make_trial("mini", "external", "nadamw", framework, "imagenet_resnet", 0, 1), out, data_dir)
    backend, workload = setup.backend, setup.workload
    workload.spec = replace(workload.spec, {"eval_period": 1e9})
    hyperparameters = as_hyperparameters(setup.point)
    source = open_source(workload.spec, "train", data_dir)
    with ThreadPoolExecutor() as pool:
        indices = np.arange(8 * BATCH_SIZE).reshape(8, BATCH_SIZE)
        read = [source.read(rows, np.zeros_like(rows), slice(None), BATCH_SIZE, 0, pool) for rows in indices]
        batches = [backend.place_batch(batch) for batch in read]

    params, model_state = backend.place(workload.init_model_fn(backend.prng_key(0)))
    optimizer_state = setup.submission.init_optimizer_state(workload, params, model_state, hyperparameters, None)
    state = State(params, backend.place(optimizer_state), model_state)
    rng = backend.prng_key(1)
    setup.referee.begin(params)
    values = {"train/loss": 0.0, "validation/accuracy": 0.0, "test/accuracy": 0.0}
    run = Run(
        workload, setup.submission, backend, lambda *_: values, hyperparameters, rng, setup.referee, 1e9, STEPS + 1
    )

    def harness(now: Callable[[], float]) -> float:
        state.global_step, state.evaluations, state.status = 0, [], None
        run_trial(run, state, Clock(now), itertools.cycle(batches), lambda: None, Watch(time.monotonic))
        first, last = (row["accumulated_submission_time"] for row in state.evaluations)
        return (last - first) / STEPS

    def bare(now: Callable[[], float]) -> float:
        stream = itertools.cycle(batches)
        for step in range(STEPS + 1):
            if step == 1:  # as in `run_trial`, the first step is not counted and has ended
                backend.synchronize()
                start = now()
            state.optimizer_state, state.params, state.model_state = setup.submission.update_params(
                workload=workload,
                current_param_container=state.params,
                current_params_types=None,
                model_state=state.model_state,
                hyperparameters=hyperparameters,
                batch=next(stream),
                loss_type=workload.loss_type,
                optimizer_state=state.optimizer_state,
                eval_results=[],
                global_step=step,
                rng=rng,
            )
        backend.synchronize()
        return (now() - start) / STEPS

    harness(time.monotonic)  # compiles
    pairs = {clock: [] for clock in CLOCKS}
    for number in range(ROUNDS):
        for clock, now in CLOCKS.items():
            # Whichever comes first alternates: a machine that slows down over time favours neither.
            first, second = (bare, harness) if number % 2 else (harness, bare)
            times = {first: first(now), second: second(now)}
            pairs[clock].append((times[bare], times[harness], times[harness] / times[bare]))
    return {clock: tuple(map(statistics.median, zip(*found, strict=True))) for clock, found in pairs.items()}


def main() -> None:
    print(f"{'framework':10} {'clock':10} {'bare ms':>9} {'run_trial ms':>13} {'ratio':>7}")
    for framework in FRAMEWORKS:
        with tempfile.TemporaryDirectory() as folder:
            measured = measure(framework, Path("data"), Path(folder))
        for clock, (bare, harness, ratio) in measured.items():
            print(f"{framework:10} {clock:10} {1e3 * bare:9.2f} {1e3 * harness:13.2f} {ratio:7.3f}")


if __name__ == "__main__":
    main()
