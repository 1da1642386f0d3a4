"""What the training core asks of a framework. `jax.py` and `pytorch.py` answer; nothing else in the core knows them."""

import contextlib
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from algoperf.benchmark.facts import Framework, WorkloadSpec

Key = Any


class Backend(Protocol):
    """Devices, processes, random keys, and the conversion of a framework's state to and from plain data.

    A trial of several processes (see `ranks.py`) has one backend in each. What is said to involve all of them must be
    called by all of them, in the same order.
    """

    @property
    def num_devices(self) -> int:
        """How many devices share a batch, over all processes."""

    @property
    def shard(self) -> tuple[int, int]:
        """(this process, number of processes)."""

    def accelerator(self) -> dict[str, Any]:
        """`kind` (cpu | gpu | tpu), `name`, `count` and `memory_gib` (None where unknown) of the devices."""

    def configure(self, spec: WorkloadSpec) -> None:
        """Lets the framework compute as the workload says, where there is a choice."""

    def framework_settings(self) -> dict[str, Any]:
        """By which libraries and how the devices compute, as `result.json` records it: equal where times compare."""

    def seed(self, seed: int) -> None:
        """Seeds the global random states of Python, NumPy and the framework, differently in each process."""

    def prng_key(self, seed: int) -> Key: ...

    def split(self, key: Key, count: int) -> Any: ...

    def step_keys(self, key: Key, global_step: int) -> tuple[Key, Key, Key, Key]:
        """The keys of a step, for selecting data, updating, preparing for an evaluation, and evaluating."""

    def from_first(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """What the first process says, in every process, so that all of them decide alike. Involves all processes."""

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """The rows, float64 of shape (n, k), of all processes in their order; n may differ. Involves all processes."""

    def place_batch(self, batch: Any) -> Any:
        """This process's examples of a batch, arrays in a dict that may nest, on its devices, each with its share."""

    def place(self, tree: Any) -> Any:
        """Parameters or optimizer state where the training step leaves them, so that it is compiled only once."""

    def wait(self) -> None:
        """Returns when this process's devices have finished all that was queued, whoever did, and its callbacks."""

    def synchronize(self, *trees: Any) -> None:
        """As `wait`, for the devices of all processes, `trees` among what was queued. Involves all processes."""

    def evaluating(self, params: Any) -> contextlib.AbstractContextManager[None]:
        """Inside of it a model computes what its parameters say: hooks of the submission are set aside."""

    def hooks(self, params: Any) -> list[str]:
        """What `evaluating` would set aside, in words."""

    def remember(self, params: Any) -> Callable[[], bool]:
        """Keeps the parameters' values in mind; the function says whether they are others now."""

    def all_finite(self, params: Any) -> bool:
        """Whether every parameter is a finite number."""

    def is_out_of_memory(self, error: BaseException) -> bool: ...

    def is_infrastructure_error(self, error: BaseException) -> bool:
        """Whether a device, its driver or another process failed, and not what a submission asked of them."""

    def snapshot(self, value: Any) -> Any:
        """A device's array of this framework as it is now, which no later step can change; no device is waited for.

        None for anything else.
        """

    def export(self, tree: Any) -> Any:
        """The state in `tree` as dictionaries, lists, numbers, strings and NumPy arrays; code is left out.

        Each process has its own. Involves all processes, in JAX where arrays are divided over them.
        """

    def restore(self, template: Any, exported: Any) -> Any:
        """`template` with its state replaced by what `export` gave, whatever was added to it, or taken away, meanwhile.

        Raises CheckpointError where the state needs an object that is not there.
        """

    def not_exported(self, tree: Any, name: str) -> list[str]:
        """Where in `tree`, called `name`, there is something that `export` leaves out, functions aside."""

    def foreign_attributes(self, params: Any) -> list[str]:
        """What the modules of a model have that their own code neither makes nor reads, in words."""

    def layout(self, params: Any) -> Any:
        """Names, shapes and types of all parameters, and the modules that hold them: equal for equal models. Fast."""

    def describe(self, params: Any) -> dict[str, str]:
        """What `layout` compares, in words, by name."""

    def settings(self) -> dict[str, Any]:
        """The framework's global settings, by name, but those that a submission may choose (docs/rules.md)."""

    def seeding_functions(self) -> tuple[tuple[Any, str], ...]:
        """Where the framework has its functions that seed its global random state: modules, and names in them."""

    def writing_functions(self) -> tuple[tuple[Any, str], ...]:
        """Where the framework has functions that write their second argument, a path, by native code."""

    def compile_into(self, folder: Path) -> None:
        """Keeps what is compiled from here on in `folder`, and takes it from nowhere else."""

    def compiles_into(self, folder: Path) -> str | None:
        """The folder that is used instead of `folder`, None where it is that one."""

    def peak_memory(self) -> int | None:
        """The most bytes that the devices of this process have held at once; None where the device does not tell."""

    def export_random_state(self) -> Any:
        """This process's global random states, as plain data."""

    def restore_random_state(self, exported: Any) -> None:
        """The inverse of `export_random_state`."""


def load_backend(framework: Framework) -> Backend:
    return importlib.import_module(f"algoperf.backends.{framework}").BACKEND()


def gather_rows(rows: np.ndarray, from_all: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """`Backend.gather` by means of `from_all`, which gives the arrays of all processes where they have one shape."""
    lengths = from_all(np.array([len(rows)], np.float64))[:, 0].astype(int)
    padded = np.zeros((lengths.max(), rows.shape[1]), np.float64)
    padded[: len(rows)] = rows
    return np.concatenate([part[:length] for part, length in zip(from_all(padded), lengths, strict=True)])
