"""A trial compiles into caches of its own: empty at its begin, and those of its last checkpoint when it goes on."""

import contextlib
import os

import jax
import pytest

from algoperf.backends import load_backend
from algoperf.benchmark.identity import make_trial
from algoperf.referee import compiled
from algoperf.referee.compiled import CompileCaches
from algoperf.trial import session, setup
from tests.trial.test_session import StopsAfter

# Looks at what its caches hold before it compiles anything on the clock, and puts something there in each step.
SUBMISSION = """
import os
from pathlib import Path
HELD = []

def caches():
    return [Path(os.environ["JAX_COMPILATION_CACHE_DIR"]), Path(os.environ["TORCHINDUCTOR_CACHE_DIR"])]

def get_batch_size(workload_name):
    return 256 * 64

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    HELD.extend(sorted(file.name for folder in caches() for file in folder.rglob("*")))
    return {}

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    caches()[1].joinpath(f"kernel_{global_step}").write_text("")
    return optimizer_state, current_param_container, model_state

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)
"""


@pytest.fixture
def as_in_the_product(monkeypatch):
    """The tests' shared cache is put back afterwards."""
    shared, before = os.environ[compiled.SHARED], dict(os.environ)
    monkeypatch.delenv(compiled.SHARED)
    yield
    os.environ.clear()
    os.environ.update(before | {compiled.SHARED: shared})
    CompileCaches().use(load_backend("jax"))


@pytest.fixture
def held(tmp_path, data_dir, as_in_the_product):
    """What the caches of a trial held when it began, or went on."""

    def held(out, max_steps=2, watch=None, text=SUBMISSION):
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        (folder / "submission.py").write_text(text)
        identity = make_trial("mini", "self", str(folder), "pytorch", "criteo1tb", 0, 1)
        trial = setup.set_up(identity, tmp_path / out, data_dir, max_steps)
        result = None
        with contextlib.suppress(session.InterruptionError):
            result = session.execute(trial, lambda state: None, watch=watch)
        return trial.submission.update_params.__globals__["HELD"], result

    return held


def test_a_trial_begins_with_empty_caches_whatever_others_have_left(held, tmp_path):
    for out in ("trial_1", "trial_2"):
        found, result = held(out)
        assert found == []
        assert (result["compile_cache"], result["flags"]) == ("its own", [])
        assert not (tmp_path / out / "checkpoints" / "compiled").exists()


def test_a_trial_goes_on_with_what_it_had_compiled_at_its_checkpoint(held, tmp_path):
    assert held("trial_1", max_steps=9, watch=StopsAfter(2)) == ([], None)
    beside = tmp_path / "trial_1" / "checkpoints" / "compiled" / "inductor"
    (beside / "kernel_7").write_text("made after the checkpoint")
    found, result = held("trial_1", max_steps=9)
    assert found[:2] == ["kernel_0", "kernel_1"]
    assert "kernel_7" not in found
    assert result["preemptions"] == 1


def test_a_cache_that_a_submission_asks_for_is_not_used(held, tmp_path):
    for out in ("trial_1", "trial_2"):
        imported = f"import os; os.environ['TORCHINDUCTOR_CACHE_DIR'] = '{tmp_path}/kept'"
        found, result = held(out, text=imported + SUBMISSION)
        assert found == []
        assert [flag["rule"] for flag in result["flags"]] == ["compile_cache", "environment"]
    later = f"os.environ['TRITON_CACHE_DIR'] = '{tmp_path}/kept'"
    _, result = held("trial_3", text=SUBMISSION.replace("caches()[1]", f"{later}; caches()[1]"))
    assert result["status"] == "submission_error"
    assert "empty caches of its own" in (tmp_path / "trial_3" / "error.log").read_text()


def test_jax_finds_nothing_of_another_trial_and_its_own_again(as_in_the_product, tmp_path):
    """Real compilation: hits and misses as JAX itself counts them."""
    backend, events = load_backend("jax"), []
    jax.monitoring.register_event_listener(lambda name, **_: events.append(name.rpartition("/")[2]))
    threshold = jax.config.jax_persistent_cache_min_compile_time_secs
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)

    def compile_in(caches):
        events.clear()
        caches.use(backend)
        jax.clear_caches()
        jax.jit(lambda x: x * 3 + 1)(1.0).block_until_ready()
        return events.count("cache_hits"), events.count("cache_misses") > 0

    try:
        first, second, resumed = CompileCaches(), CompileCaches(), CompileCaches()
        assert compile_in(first) == (0, True)
        assert compile_in(second) == (0, True)
        names = first.save(tmp_path / "compiled")
        resumed.restore(tmp_path / "compiled", names)
        assert compile_in(resumed)[0] > 0
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", threshold)


def test_a_flag_of_xla_that_names_a_cache_is_dropped(as_in_the_product, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/tmp/x --xla_gpu_per_fusion_autotune_cache_dir=/tmp/y")
    CompileCaches().announce()
    assert os.environ["XLA_FLAGS"] == "--xla_dump_to=/tmp/x"


def test_a_shared_cache_is_not_copied(tmp_path):
    caches = CompileCaches()
    assert caches.shared == os.environ[compiled.SHARED]
    assert caches.save(tmp_path / "compiled") == []
