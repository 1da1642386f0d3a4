"""What XLA compiles for the tests: made in a hurry where it runs only shortly, and forgotten after each file."""

import contextlib
import ctypes
import functools
import gc
from collections.abc import Iterator

import jax
import pytest

COMPILE_FAST = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


@pytest.fixture(scope="module", autouse=True)
def forgotten_after_a_file() -> Iterator[None]:
    """JAX keeps what it has compiled, and the allocator what was freed: a process that tests many files would grow and
    grow."""
    yield
    jax.clear_caches()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):  # a C library without it
        ctypes.CDLL(None).malloc_trim(0)


@pytest.fixture
def compiled_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled during the test; not functions that were decorated by `jax.jit` before."""
    monkeypatch.setattr(jax, "jit", functools.partial(jax.jit, compiler_options=COMPILE_FAST))
