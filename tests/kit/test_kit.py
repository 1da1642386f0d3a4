"""The kit: its schedules, the names of hyperparameters, and the step that it makes of an optimizer."""

import json
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from algoperf.backends import load_backend
from algoperf.backends.jax_workload import JaxWorkload
from algoperf.backends.pytorch_workload import PytorchWorkload
from algoperf.benchmark.facts import ParameterType
from algoperf.dry_run.check import check_one
from algoperf.kit import hyperparameters, schedules_jax, schedules_pytorch
from algoperf.kit.jax import OptaxSubmission
from algoperf.kit.muon_jax import hidden_matrices
from algoperf.kit.muon_pytorch import hidden_and_other
from algoperf.submission import loading
from algoperf.submission.points import as_hyperparameters
from tests.support.nightly import pytorch_first
from tests.support.small_models import BASES, small_spec
from workloads.layers.jax import canonical_names


@pytest.mark.parametrize("warmup_factor", [0.0, 0.05, 0.5])
@pytest.mark.parametrize("step_hint", [1, 7, 100])
def test_schedules_are_the_same_in_both_frameworks(warmup_factor, step_hint):
    point = {"learning_rate": 2.0, "warmup_factor": warmup_factor, "decay_steps_factor": 0.9, "end_factor": 0.01}
    for name in ("warmup_cosine", "warmup_linear", "warmup_constant"):
        in_jax, in_pytorch = (
            getattr(module, name)(as_hyperparameters(point), step_hint) for module in (schedules_jax, schedules_pytorch)
        )
        for step in range(0, 2 * step_hint, max(1, step_hint // 10)):
            assert float(in_jax(step)) == pytest.approx(2.0 * in_pytorch(step), abs=1e-6), (name, step)


def test_hyperparameters_have_the_names_of_the_published_points():
    searched = as_hyperparameters({"one_minus_beta1": 0.1, "beta2": 0.999, "warmup_factor": 0.05})
    assert hyperparameters.betas(searched) == (0.9, 0.999)
    assert hyperparameters.warmup_steps(searched, 1_000) == 50
    set_targets = as_hyperparameters({"beta1": 0.8, "beta2": 0.99, "warmup_steps": 7})
    assert hyperparameters.betas(set_targets) == (0.8, 0.99)
    assert hyperparameters.warmup_steps(set_targets, 1_000) == 7


def test_the_jax_step_is_compiled_once_and_state_is_not_copied():
    """One cache entry after several steps: what enters the first step looks like what leaves it."""

    class Workload:
        step_hint = 10
        metrics_logger = None

        def model_fn(self, params, batch, model_state, mode, rng, update_batch_norm, dropout_rate):
            return batch["inputs"] @ params["kernel"], model_state

        def loss_fn(self, labels, logits, mask, label_smoothing):
            return {"summed": ((logits - labels) ** 2).sum(), "n_valid_examples": 1.0}

    backend = load_backend("jax")
    submission = OptaxSubmission(lambda hyperparameters, workload: optax.adam(0.1), {})
    params = backend.place({"kernel": jnp.full((3, 1), 1.0)})
    state = backend.place(
        submission.init_optimizer_state(Workload(), params, None, SimpleNamespace(_asdict=dict), None)
    )
    batch = backend.place_batch({"inputs": np.ones((4, 3), np.float32), "targets": np.zeros((4, 1), np.float32)})
    step = state.step
    for number in range(4):
        before = params
        state, params, _ = submission.update_params(
            Workload(), params, None, None, None, batch, None, state, [], number, jax.random.PRNGKey(number)
        )
        assert before["kernel"].is_deleted()
    assert step._cache_size() == 1


@pytest.mark.parametrize("name", BASES)
def test_muon_is_for_the_same_hidden_matrices_in_both_frameworks(name):
    in_jax = JaxWorkload(small_spec(name), None, "v0.6")
    in_pytorch = PytorchWorkload(small_spec(name), None, "v0.6")
    names = jax.tree.leaves(canonical_names(in_jax._abstract))
    hidden = {key for key, it in zip(names, jax.tree.leaves(hidden_matrices(in_jax)), strict=True) if it}
    model = in_pytorch._abstract
    parts = [set(map(id, part)) for part in hidden_and_other(model, in_pytorch)]
    assert hidden == {key for key, param in model.named_parameters() if id(param) in parts[0]}
    rest = {key for key, param in model.named_parameters() if id(param) in parts[1]}
    for key in rest:
        kind, shape = in_pytorch.model_params_types[key], in_pytorch.param_shapes[key].shape_tuple
        is_vector = np.prod(shape) == max(shape, default=1)
        assert is_vector or kind == ParameterType.EMBEDDING or in_pytorch.is_output_params(key), key
    assert len(hidden) >= len(hidden | rest) / 6


@pytest.mark.parametrize("framework", pytorch_first("points with null in JAX"))
def test_what_a_point_has_as_null_is_left_out(framework, tmp_path, data_dir):
    point = json.loads((loading.SUBMISSIONS / "nadamw" / "self_tuning.json").read_text())
    point |= dict.fromkeys(("label_smoothing", "dropout_rate", "grad_clip"))
    (tmp_path / "space.json").write_text(json.dumps([point]))
    asked = ("nadamw", framework, "ogbg", "external", data_dir)
    row = check_one(*asked, lambda doing: None, tmp_path / "space.json")
    assert (row.outcome, row.sentences) == ("ok", ())
