"""Rows of the table, and training steps on a random batch: what the stages share."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from algoperf.backends import Backend, load_backend
from algoperf.benchmark.facts import Framework
from algoperf.benchmark.registry import load_spec
from algoperf.benchmark.workload import load_workload
from algoperf.submission import loading
from benchmarks import batches

PROTOCOL = "v0.6"
GIB = 2**30
# Of one of 8 V100; of one of 4 A100 for the language model.
BATCH = {
    **{"imagenet_resnet": 128, "imagenet_vit": 128, "fastmri": 4, "criteo1tb": 32_768, "wmt": 16, "ogbg": 64},
    **{"librispeech_conformer": 32, "librispeech_deepspeech": 32, "finewebedu_lm": 16},
}
_TINY_BATCH = 4
# What of a model is smaller where the check is tiny.
TINY = {
    "criteo1tb": {"vocab_size": 65_536},
    "finewebedu_lm": {"depth": 1, "width": 64, "num_heads": 2, "mlp_dim": 128, "sequence_length": 64},
    "imagenet_vit": {"depth": 2},
    "wmt": {"depth": 1},
    "librispeech_conformer": {"depth": 1},
    "librispeech_deepspeech": {"recurrent_depth": 1},
}


class Hyperparameters(NamedTuple):
    learning_rate: float = 1e-3
    one_minus_beta1: float = 0.1
    beta2: float = 0.999
    weight_decay: float = 0.1
    warmup_factor: float = 0.05


class Row(NamedTuple):
    """holds: None where it could not be seen here."""

    what: str
    expected: str
    seen: str
    holds: bool | None


def batch_of(name: str, size: int, is_tiny: bool) -> dict[str, Any]:
    """Random, but valid: lengths, graphs, paddings."""
    random = np.random.default_rng(0)
    if name == "fastmri":
        side = 64 if is_tiny else 320
        return {key: random.standard_normal((size, side, side), np.float32) for key in ("inputs", "targets")}
    if name == "imagenet_vit":
        targets = random.dirichlet(np.ones(1_000), size).astype(np.float32)
        return {**batches.photographs(size), "targets": targets}
    if name.startswith("librispeech"):
        return batches.recordings(size, *((16_000, 16) if is_tiny else (320_000, 256)))
    if name in ("wmt", "finewebedu_lm"):
        make, length = {"wmt": (batches.sentences, 256), "finewebedu_lm": (batches.tokens, 1_024)}[name]
        return make(size, 64 if is_tiny else length)
    return {"criteo1tb": batches.clicks, "imagenet_resnet": batches.photographs, "ogbg": batches.molecules}[name](size)


def may_take(name: str) -> float:
    """Milliseconds of a step of 8 V100, of 4 A100 for the language model, where the budget is to last."""
    budget = load_spec(name).budget[PROTOCOL]
    return 1e3 * budget.max_runtime / budget.step_hint


class Steps:
    """Training steps of nadamw on one batch. first: seconds of the first one."""

    def __init__(
        self, name: str, framework: Framework, is_tiny: bool, wrap: Callable[[Any], Any] = lambda model: model
    ):
        self.backend: Backend = load_backend(framework)
        model = TINY.get(name, {}) if is_tiny else {}
        self._workload = load_workload(name, framework, model=model, protocol=PROTOCOL)
        self._submission = loading.load(loading.find("nadamw", framework))
        key = self.backend.prng_key(1)
        params, self._model_state = self.backend.place(self._workload.init_model_fn(key))
        state = self._submission.init_optimizer_state(self._workload, params, self._model_state, Hyperparameters(), key)
        self._params, self._state = wrap(params), self.backend.place(state)
        self._name, self._size = name, _TINY_BATCH if is_tiny else BATCH[name]
        self._batch, self._number = batch_of(name, self._size, is_tiny), 0
        self._first = self.timed(1)

    def one(self) -> None:
        self._state, self._params, self._model_state = self._submission.update_params(
            *(self._workload, self._params, None, self._model_state, Hyperparameters()),
            *(self.backend.place_batch(self._batch), None, self._state, [], self._number),
            self.backend.prng_key(self._number),
        )
        self._number += 1

    def timed(self, count: int) -> float:
        """Seconds of so many steps."""
        begin = time.perf_counter()
        for _ in range(count):
            self.one()
        self.backend.synchronize(self._params, self._state)
        return time.perf_counter() - begin

    def row(self, what: str, count: int) -> Row:
        """What so many steps take, after two that are not counted."""
        self.timed(2)
        taken = 1e3 * self.timed(count) / count
        peak = self.backend.peak_memory()
        memory = "" if peak is None else f", peak {peak / GIB:.2f} GiB"
        seen = f"batch {self._size}: first {self._first:.1f} s, then {taken:.0f} ms{memory}"
        limit = may_take(self._name)
        return Row(what, f"a step within {limit:.0f} ms", seen, None if peak is None else taken <= limit)
