"""Every baseline on every mini workload, in JAX."""

import jax
import pytest

from tests.baselines import BASELINES, WORKLOADS, short_trials, takes_two_steps


@pytest.fixture(scope="module", autouse=True)
def short():
    """Two steps are over sooner than XLA has made them fast."""
    jax.config.update("jax_disable_most_optimizations", True)
    with short_trials():
        yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.mark.parametrize("workload", WORKLOADS)
@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_trains(name, workload, tmp_path, data_dir):
    takes_two_steps(name, "jax", workload, tmp_path, data_dir)
