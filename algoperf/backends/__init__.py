"""What the training core asks of a framework. `jax.py` and `pytorch.py` answer; nothing else in the core knows them."""

import importlib
from typing import Any, Protocol

import numpy as np

from algoperf.spec import Framework

Key = Any


class Backend(Protocol):
    """Devices, random keys, and the conversion of a framework's state to and from plain data."""

    @property
    def num_devices(self) -> int:
        """How many devices share a batch, over all processes."""

    @property
    def shard(self) -> tuple[int, int]:
        """(this process, number of processes)."""

    def accelerator(self) -> dict[str, Any]:
        """`kind` (cpu | gpu | tpu), `name`, `count` and `memory_gib` (None where unknown) of the devices."""

    def seed(self, seed: int) -> None:
        """Seeds the framework's global random state, where it has one."""

    def prng_key(self, seed: int) -> Key: ...

    def split(self, key: Key, count: int) -> Any: ...

    def step_keys(self, key: Key, global_step: int) -> tuple[Key, Key, Key, Key]:
        """The keys of a step, for selecting data, updating, preparing for an evaluation, and evaluating."""

    def place_batch(self, batch: dict[str, np.ndarray]) -> dict[str, Any]:
        """A NumPy batch on the devices, each with its share of the examples."""

    def place(self, tree: Any) -> Any:
        """Parameters or optimizer state where the training step leaves them, so that it is compiled only once."""

    def synchronize(self, *trees: Any) -> None:
        """Returns when the devices have finished computing `trees` and whatever was queued before them."""

    def all_finite(self, params: Any) -> bool:
        """Whether every parameter is a finite number."""

    def is_out_of_memory(self, error: BaseException) -> bool: ...

    def export(self, tree: Any) -> Any:
        """The state in `tree` as dictionaries, lists, numbers, strings and NumPy arrays; functions are left out."""

    def restore(self, template: Any, exported: Any) -> Any:
        """`template` with its state replaced by what `export` gave. Raises CheckpointError where they do not match."""

    def export_random_state(self) -> Any: ...

    def restore_random_state(self, exported: Any) -> None: ...


def load_backend(framework: Framework) -> Backend:
    return importlib.import_module(f"algoperf.backends.{framework}").BACKEND()
