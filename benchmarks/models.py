"""How long does a training step take in each framework, beside the reference implementation's?

    OMP_WAIT_POLICY=PASSIVE python benchmarks/models.py [CELL ...]

A step is `update_params` of the submission nadamw (forward, backward, update) without dropout, in float32, on a batch
that is in memory. Machines are compared by two kernels, a product of two 2048 x 2048 matrices and a 3x3 convolution of
8 x 56 x 56 x 64 with 64 filters, which take turns with the step; times are medians of seven rounds after two discarded.
The reference's seconds are scaled by the geometric mean of the kernels' ratios: `ours / reference` below 1 is faster
than the reference in the same framework, `/ faster` compares with the faster of its two frameworks. Where the kernels'
ratios are far apart, that mean fits no model: `by its kernel` is `ours / reference` scaled by the ratio of that kernel
alone which the model is made of. `first s` is the first step, in which JAX compiles.
"""

import argparse
import dataclasses
import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import torch

from algoperf.backends import load_backend
from algoperf.benchmark.facts import Framework
from algoperf.benchmark.workload import load_workload
from algoperf.submission import loading
from benchmarks.batches import clicks, molecules, photographs, recordings, sentences, slices

NUM_DISCARDED = 2
NUM_TIMED = 7

# Seconds on the machine that timed the reference: 2 CPU cores, JAX 0.7.0, PyTorch 2.13.0.
REFERENCE_KERNELS: Mapping[Framework, Mapping[str, float]] = {
    "jax": {"product": 0.046, "convolution": 0.0099},
    "pytorch": {"product": 0.096, "convolution": 0.0051},
}


class Hyperparameters(NamedTuple):
    learning_rate: float = 1e-3
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    weight_decay: float = 0.1
    warmup_factor: float = 0.0002
    label_smoothing: float = 0.0
    dropout_rate: float = 0.0


@dataclasses.dataclass(frozen=True)
class Cell:
    """A model and a batch, the reference's seconds for a step, and which kernel most of them go into."""

    workload: str
    batch: Mapping[str, Any]
    reference: Mapping[Framework, float]
    kernel: Literal["product", "convolution"]
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)


# SpecAugment off, as the reference was timed without dropout.
UNMASKED = {"time_mask_count": 0, "freq_mask_count": 0}
CONFORMER, DEEPSPEECH = "librispeech_conformer", "librispeech_deepspeech"
SHORT_RECORDINGS, LONG_RECORDING = recordings(2, 48_000, 64), recordings(1, 320_000, 256)

CELLS = {
    "criteo1tb_65536_rows": Cell(
        "criteo1tb", clicks(1024), {"jax": 0.113, "pytorch": 0.179}, "product", model={"vocab_size": 65_536}
    ),
    "criteo1tb": Cell("criteo1tb", clicks(256), {"jax": 2.51, "pytorch": 5.01}, "product"),
    "fastmri_160": Cell("fastmri", slices(160), {"jax": 0.347, "pytorch": 0.222}, "convolution"),
    "fastmri_320": Cell("fastmri", slices(320), {"jax": 1.56, "pytorch": 0.516}, "convolution"),
    "imagenet_resnet": Cell("imagenet_resnet", photographs(4), {"jax": 1.28, "pytorch": 0.668}, "convolution"),
    "imagenet_vit": Cell("imagenet_vit", photographs(4), {"jax": 0.748, "pytorch": 0.860}, "product"),
    "conformer_48000": Cell(CONFORMER, SHORT_RECORDINGS, {"jax": 0.546, "pytorch": 0.567}, "product", UNMASKED),
    "conformer_320000": Cell(CONFORMER, LONG_RECORDING, {"jax": 1.38, "pytorch": 1.71}, "product", UNMASKED),
    "deepspeech_48000": Cell(DEEPSPEECH, SHORT_RECORDINGS, {"jax": 2.37, "pytorch": 1.19}, "product", UNMASKED),
    "deepspeech_320000": Cell(DEEPSPEECH, LONG_RECORDING, {"jax": 2.15, "pytorch": 2.55}, "product", UNMASKED),
    "ogbg": Cell("ogbg", molecules(64), {"jax": 0.278, "pytorch": 0.430}, "product"),
    "wmt_64": Cell("wmt", sentences(2, 64), {"jax": 1.89, "pytorch": 1.37}, "product"),
    "wmt_256": Cell("wmt", sentences(1, 256), {"jax": 2.27, "pytorch": 1.92}, "product"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("cells", nargs="*", metavar="CELL", default=list(CELLS), help=", ".join(CELLS))
    names = parser.parse_args().cells
    columns = f"{'product':>9}{'convolution':>13}{'first s':>9}{'step s':>8}"
    columns += f"{'ours / reference':>18}{'/ faster':>10}{'by its kernel':>15}"
    print(" " * 31 + columns)
    for name in names:
        for framework in REFERENCE_KERNELS:
            report(name, CELLS[name], framework)


def report(name: str, cell: Cell, framework: Framework) -> None:
    kernels = {"jax": jax_kernels, "pytorch": pytorch_kernels}[framework]()
    step = training_step(cell, framework)
    start = time.perf_counter()
    step()
    first = time.perf_counter() - start
    seconds = median_seconds({"step": step, **kernels})
    ratios = {kernel: seconds[kernel] / there for kernel, there in REFERENCE_KERNELS[framework].items()}
    scaled = seconds["step"] / math.prod(ratios.values()) ** (1 / len(ratios))
    print(
        f"{name:22}{framework:9}{ratios['product']:7.2f} x{ratios['convolution']:11.2f} x"
        f"{first:9.1f}{seconds['step']:8.3f}"
        f"{scaled / cell.reference[framework]:18.2f}{scaled / min(cell.reference.values()):10.2f}"
        f"{seconds['step'] / ratios[cell.kernel] / cell.reference[framework]:15.2f}",
        flush=True,
    )


def kernel_arrays() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    shapes = ((2048, 2048), (8, 56, 56, 64), (3, 3, 64, 64))
    return tuple(random.standard_normal(shape, dtype=np.float32) for shape in shapes)


def jax_kernels() -> dict[str, Callable[[], Any]]:
    matrix, images, filters = map(jnp.asarray, kernel_arrays())
    layout = ("NHWC", "HWIO", "NHWC")
    product = jax.jit(jnp.matmul)
    convolution = jax.jit(lambda x, w: jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=layout))
    return {
        "product": lambda: product(matrix, matrix).block_until_ready(),
        "convolution": lambda: convolution(images, filters).block_until_ready(),
    }


def pytorch_kernels() -> dict[str, Callable[[], Any]]:
    matrix, images, filters = map(torch.from_numpy, kernel_arrays())
    images, filters = images.permute(0, 3, 1, 2).contiguous(), filters.permute(3, 2, 0, 1).contiguous()
    return {
        "product": lambda: matrix @ matrix,
        "convolution": lambda: torch.nn.functional.conv2d(images, filters, padding=1),
    }


def training_step(cell: Cell, framework: Framework) -> Callable[[], None]:
    workload = load_workload(cell.workload, framework, model=cell.model)
    functions = loading.load(loading.find("nadamw", framework))
    backend = load_backend(framework)
    key = backend.prng_key(0)
    params, model_state = workload.init_model_fn(key)
    hyperparameters = Hyperparameters()
    state = functions.init_optimizer_state(workload, params, model_state, hyperparameters, key)
    batch = backend.place_batch(dict(cell.batch))
    # Where a trial puts them, so that the first step is compiled as the others are.
    params, model_state, state = backend.place(params), backend.place(model_state), backend.place(state)

    def step() -> None:
        nonlocal state, params, model_state
        state, params, model_state = functions.update_params(
            workload, params, None, model_state, hyperparameters, batch, None, state, [], 1, key
        )
        backend.synchronize()

    return step


def median_seconds(functions: Mapping[str, Callable[[], Any]]) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(NUM_DISCARDED + NUM_TIMED):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values[NUM_DISCARDED:]) for name, values in times.items()}


if __name__ == "__main__":
    main()
