"""For tests whose JAX code is over sooner than XLA has made it fast."""

import functools

import jax
import pytest

COMPILE_FAST = {"xla_backend_optimization_level": 0, "xla_cpu_use_fusion_emitters": False}


@pytest.fixture
def compiled_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is compiled during the test; not functions that were decorated by `jax.jit` before."""
    monkeypatch.setattr(jax, "jit", functools.partial(jax.jit, compiler_options=COMPILE_FAST))
