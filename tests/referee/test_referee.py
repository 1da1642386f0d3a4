"""What a submission may not do, done by a real one in the real loop: refused, or flagged for a referee."""

import csv
import inspect
import itertools
import json
import random
import sys
import textwrap

import numpy as np
import pytest
import torch

from algoperf.benchmark import facts
from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.benchmark.identity import make_trial
from algoperf.imports import packages
from algoperf.losses import pytorch
from algoperf.records import official_files
from algoperf.referee import benchmark_code, referee
from algoperf.trial import session, setup, train
from tests.support.nightly import some_first
from tests.trial.test_session import run

SUBMISSION = """
IMPORTED

SIZES = []

def get_batch_size(workload_name):
    SIZES.append("batch")
    return 256 * 64

def get_eval_batch_size(workload_name):
    SIZES.append("evaluation")
    return 4_096

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    INIT
    return {}

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    params = current_param_container
    if global_step == 0:
DONE
    return optimizer_state, params, model_state

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)
"""
# Ends within the evaluation, however slow the machine is: what it has used by then counts.
BUSY_FOR_A_WHILE = "while time.thread_time() < 0.5: sum(range(1_000))"
BUSY = "while not (Path(__file__).parent / 'stop').exists(): sum(range(1_000))"


@pytest.fixture
def tried(tmp_path, data_dir):
    """The result and the error log of a trial whose submission does `what` in its first step."""

    def tried(what, framework="pytorch", imported="", max_steps=1, init="pass"):
        folder = tmp_path / "mine"
        folder.mkdir(exist_ok=True)
        done = textwrap.indent(textwrap.dedent(what), 8 * " ")
        text = SUBMISSION.replace("DONE", done).replace("INIT", init)
        (folder / "submission.py").write_text(text.replace("IMPORTED", imported))
        identity = make_trial("mini", "self", str(folder), framework, "criteo1tb", 0, 1)
        out = tmp_path / f"trial_{next(numbers)}"
        try:
            result = session.execute(setup.set_up(identity, out, data_dir, max_steps), lambda state: None)
        finally:
            (folder / "stop").touch()
        assert json.loads((out / "result.json").read_text()) == result
        errors = out / official_files.ERRORS
        return result, errors.read_text() if errors.exists() else ""

    numbers = itertools.count(1)
    return tried


REFUSED = {
    "type": ("params.half()", "changed the model: 'embedding.weight' was float32 (16384, 16) and is float16"),
    "name": ("import torch; params.extra = torch.nn.Linear(1, 1)", "was not there and is Linear"),
    "shape": (
        "import torch; next(params.parameters()).data = torch.zeros(1)",
        "was float32 (16384, 16) and is float32 (1,)",
    ),
    "another model": ("import torch; params = torch.nn.Linear(2, 2)", "changed the model"),
    "nothing": ("params = None", "the submission returned a NoneType as its parameters"),
    "forward": (
        "params.forward = lambda batch, context: batch[:, :1]",
        "the attribute 'forward' of the module '' was not there and is function",
    ),
    "spec": (
        "import dataclasses; workload.spec = dataclasses.replace(workload.spec, eval_period=1.0)",
        "changed the workload: its spec is another",
    ),
    "a dictionary of the spec": ("workload.spec.model['dropout'] = 1", "changed the workload: its spec is another"),
    "attribute": ("workload.loss_fn = lambda *_: None", "changed the workload: its loss_fn is another"),
    "code": (
        "from workloads.metrics import loss; loss.result = lambda rows: 0.0",
        "benchmark's own code: workloads.metrics.loss.result is another",
    ),
    "method": (
        "type(workload).has_reached_validation_target = lambda *_: True",
        "benchmark's own code: algoperf.backends.pytorch_workload.PytorchWorkload.has_reached_validation_target",
    ),
    "known attribute": ("params.vocab_size = 7", "'vocab_size' of the module '' was 16384 and is 7"),
    "kind of a parameter": (
        """
        import torch
        class Mine(torch.nn.Parameter): pass
        name, old = next(iter(params.embedding._parameters.items()))
        params.embedding._parameters[name] = Mine(old.detach())
        """,
        "is Mine of float32",
    ),
    "held by the workload": ("workload._backend.place_batch = len", "its _backend.place_batch is another"),
    "constant": (
        "from algoperf.trial import train; train.DIVERGED_EVALUATIONS = 10**6",
        "algoperf.trial.train.DIVERGED_EVALUATIONS is another",
    ),
    "library": ("import numpy; numpy.concatenate = numpy.stack", "numpy.concatenate is another"),
    "layer": ("import torch; torch.nn.Linear.forward = torch.nn.Bilinear.forward", "Linear.forward is another"),
    "data": (
        """
        from workloads.datasets.prepare import open_source
        open_source(workload.spec, "validation", workload.data_dir)
        """,
        "manifest.json: the data, raw or prepared, validation and test among them, are the benchmark's",
    ),
    "unseen": (
        """
        import sys
        class Optimizer:
            def state_dict(self):
                sys.setprofile(None)
                return {}
            def load_state_dict(self, state):
                pass
        optimizer_state["mine"] = Optimizer()
        """,
        "the submission called sys.setprofile, or began a profile, in code that runs while the clock stands",
    ),
}


@pytest.fixture
def restored():
    """What the submissions of these tests replace is put back."""
    from algoperf.backends.pytorch_workload import PytorchWorkload  # noqa: PLC0415 (a framework)
    from workloads.metrics import loss  # noqa: PLC0415

    result, concatenate, forward = loss.result, np.concatenate, torch.nn.Linear.forward
    diverged = train.DIVERGED_EVALUATIONS
    yield
    loss.result, np.concatenate, torch.nn.Linear.forward = result, concatenate, forward
    train.DIVERGED_EVALUATIONS = diverged
    if "has_reached_validation_target" in vars(PytorchWorkload):
        del PytorchWorkload.has_reached_validation_target


@pytest.mark.parametrize("name", REFUSED)
def test_what_falsifies_numbers_is_refused(name, tried, restored):
    what, sentence = REFUSED[name]
    result, errors = tried(what)
    assert (result["status"], result["time_to_target"]) == ("submission_error", None)
    assert sentence in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.landing("what the referee sees in JAX")
def test_jax_parameters_of_another_type_are_refused(tried):
    what = "import jax, jax.numpy as jnp; params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)"
    result, errors = tried(what, framework="jax")
    assert result["status"] == "submission_error"
    assert "was float32 (64,) and is bfloat16 (64,)" in errors


@pytest.mark.landing("what the referee sees in JAX")
@pytest.mark.usefixtures("few_evaluated")
def test_a_cached_property_of_the_workload_cannot_be_planted(tried):
    result, errors = tried("vars(workload)['evaluation_step'] = lambda *arguments: None", framework="jax")
    assert result["status"] == "submission_error"
    assert "changed the workload: its evaluation_step is another" in errors


@pytest.mark.usefixtures("few_evaluated")
def test_the_sizes_of_batches_are_asked_for_once(tried, tmp_path):
    result, _ = tried("print(SIZES)", max_steps=3)
    assert (result["status"], result["flags"]) == ("budget_exhausted", [])
    assert sys.modules[packages.module_name(tmp_path / "mine" / "submission")].SIZES == ["batch", "evaluation"]


@pytest.mark.parametrize(
    ("what", "who"),
    [
        (
            f"""
            import threading
            from pathlib import Path
            def busy():
                {BUSY}
            threading.Thread(target=busy, name="trainer", daemon=True).start()
            """,
            "its thread 'trainer' used",
        ),
        (
            f"""
            import threading, time
            def busy():
                {BUSY_FOR_A_WHILE}
            threading.Thread(target=busy, name="trainer", daemon=True).start()
            """,
            "its thread 'trainer' used",
        ),
        (
            f"""
            import subprocess, sys
            subprocess.Popen([sys.executable, "-c", f"__file__ = {{__file__!r}}; from pathlib import Path\\n{BUSY}"])
            """,
            "its process",
        ),
    ],
    ids=["thread", "thread that ends", "process"],
)
def test_who_computes_during_an_evaluation_is_refused(what, who, tried):
    result, errors = tried(what)
    assert result["status"] == "submission_error"
    assert f"computed during an evaluation, which is free: {who}" in errors


FLAGGED = {
    "torch": ("import torch; torch.manual_seed(3)", "random_state", "called torch.manual_seed"),
    "numpy": ("import numpy; numpy.random.seed(3)", "random_state", "called numpy.random.seed"),
    "python": ("import random; random.seed(3)", "random_state", "called random.seed"),
    "environment": ("import os; os.environ['XLA_FLAGS_OF_MINE'] = '1'", "environment", "variable XLA_FLAGS_OF_MINE"),
    "threads": ("import torch; torch.set_num_threads(3)", "settings", "torch.num_threads was"),
    "type": ("import torch; torch.set_default_dtype(torch.float64)", "settings", "is torch.float64"),
    "mode": (
        "from torch.overrides import BaseTorchFunctionMode as Mode; Mode().__enter__()",
        "settings",
        "torch.modes was [] and is ['BaseTorchFunctionMode']",
    ),
    "idle thread": (
        """
        import threading, time
        def idle():
            while not (Path(__file__).parent / "stop").exists():
                time.sleep(0.5)
        threading.Thread(target=idle, name="waiting").start()
        """,
        "threads",
        "mine.submission, was alive",
    ),
    "thread of another kind": ("import _thread; _thread.start_new_thread(len, ((),))", "threads", "which nobody can"),
    "process": ("import subprocess; subprocess.run(['true'])", "processes", "does not see: true."),
    "network": ("import socket; socket.socket().connect_ex(('127.0.0.1', 9))", "network", "connected to"),
    "hook": ("params.register_forward_hook(lambda m, i, o: 0 * o)", "hooks", "forward_hooks on the module ''"),
    "hook on all": (
        "import torch.nn.modules.module as m; m.register_module_forward_pre_hook(lambda m, i: None)",
        "hooks",
        "forward_pre_hooks on all modules",
    ),
    "attribute": ("params.mine = 3", "attributes", "the attribute 'mine' of the module '' is the submission's"),
    "read": (
        "import numpy; numpy.memmap(Path(__file__).parents[1] / 'carried.npy', 'u1', 'r')",
        "files",
        "carried.npy",
    ),
    "left": ("import torch; torch.save({}, Path(__file__).parent / 'left.pt')", "files", "mine/left.pt, which a later"),
    "lost state": (
        "optimizer_state['rows'] = iter([1])",
        "checkpoint",
        "does not keep optimizer_state['rows'], a list_iterator",
    ),
    "no state": (
        """
        class Optimizer:
            def state_dict(self):
                raise NotImplementedError("not supported")
            def load_state_dict(self, state):
                pass
        optimizer_state["mine"] = Optimizer()
        """,
        "checkpoint",
        "the state cannot be saved, so an interrupted trial begins anew: not supported",
    ),
}


@pytest.fixture
def settings():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)
    torch.nn.modules.module._global_forward_pre_hooks.clear()
    while torch.overrides._len_torch_function_stack():
        torch.overrides._pop_torch_function_stack()


def test_what_a_person_must_judge_is_flagged(tried, settings, monkeypatch, tmp_path):
    """All in one step of one trial: none hides another, and nothing else is flagged."""
    monkeypatch.delenv("XLA_FLAGS_OF_MINE", raising=False)
    (tmp_path / "carried.npy").write_bytes(b"weights")
    seeders = inspect.unwrap(torch.manual_seed), np.random.seed, random.seed
    done = "from pathlib import Path\n" + "\n".join(textwrap.dedent(what).strip() for what, _, _ in FLAGGED.values())
    result, errors = tried(done)
    assert result["status"] == "budget_exhausted"
    assert "Traceback" not in errors
    for name, (_, rule, sentence) in FLAGGED.items():
        found = [flag for flag in result["flags"] if flag["rule"] == rule and sentence in flag["what"]]
        assert len(found) == 1, name
        assert found[0]["global_step"] == 1
    # What it has left beside its code and names there is by now a part of what it is made of.
    rules = ["content", *(rule for _, rule, _ in FLAGGED.values())]
    assert sorted(flag["rule"] for flag in result["flags"]) == sorted(rules)
    assert (inspect.unwrap(torch.manual_seed), np.random.seed, random.seed) == seeders


def test_what_is_free_is_timed_and_flagged_where_it_takes_long_or_trains(tried, monkeypatch, tmp_path):
    monkeypatch.setattr(referee, "FREE_SECONDS", -1.0)
    result, _ = tried("pass", init="next(model_params.parameters()).data += 1e-3")
    acts = ["import", "get_batch_size", "get_eval_batch_size", "init_optimizer_state"]
    assert list(result["free_seconds"]) == acts
    assert all(0 <= seconds < 600 for seconds in result["free_seconds"].values())
    assert [flag["rule"] for flag in result["flags"]] == [*["free_time"] * 4, "initialisation"]
    metadata = json.loads((tmp_path / "trial_1" / "meta_data_0.json").read_text())
    assert set(metadata["free_seconds"]) == set(acts)


@pytest.mark.landing("what the referee sees in JAX")
@pytest.mark.usefixtures("few_evaluated")
def test_a_dictionary_of_jax_parameters_that_initialisation_changes_is_noticed(tried):
    result, _ = tried(
        "pass", framework="jax", init="name = min(model_params); model_params[name] = {**model_params[name]}"
    )
    assert result["flags"] == []
    init = "import jax; tree = jax.tree.map(lambda leaf: leaf + 1, model_params); model_params.update(tree)"
    result, _ = tried("pass", framework="jax", init=init)
    assert [flag["rule"] for flag in result["flags"]] == ["initialisation"]


def test_what_runs_while_the_clock_stands_is_charged(tried):
    what = """
        import time
        class Optimizer:
            def state_dict(self):
                time.sleep(0.3)
                return {}
            def load_state_dict(self, state):
                pass
        optimizer_state["mine"] = Optimizer()
        """
    result, errors = tried(what, max_steps=6)
    assert (result["flags"], errors) == ([], "")
    assert result["charged_time"] > 0.3


@pytest.mark.usefixtures("few_evaluated")
@pytest.mark.parametrize("framework", some_first(FRAMEWORKS, ["pytorch"], "what the referee sees in JAX"))
def test_an_honest_submission_has_no_flags(framework, tried):
    what = """
        import os, threading
        with open(__file__) as file:
            file.read()
        threading.Thread(target=len, args=((),)).start()
        """
    allowed = {
        "jax": "import jax; jax.config.update('jax_default_matmul_precision', None)",
        "pytorch": "import torch; torch.set_float32_matmul_precision('highest'); torch.rand(1)",
    }
    result, errors = tried(what, framework=framework, imported=allowed[framework])
    assert (result["status"], result["flags"], errors) == ("budget_exhausted", [], "")


def test_what_a_submission_does_when_it_is_imported_counts(tried):
    result, _ = tried("pass", imported="import random; random.seed(1)")
    assert [(flag["rule"], flag["what"]) for flag in result["flags"]] == [
        ("random_state", "the submission called random.seed.")
    ]


@pytest.mark.usefixtures("few_evaluated")
def test_flags_outlast_an_interruption_and_are_noted_once(tmp_path, data_dir):
    folder = tmp_path / "mine"
    folder.mkdir()
    done = 8 * " " + "import random; random.seed(1)"
    text = SUBMISSION.replace("DONE", done).replace("IMPORTED", "").replace("INIT", "pass")
    (folder / "submission.py").write_text(text)
    identity = make_trial("mini", "self", str(folder), "pytorch", "criteo1tb", 0, 1)
    out = tmp_path / "trial_1"
    assert run(setup.set_up(identity, out, data_dir, 2), killed_after=1) is None
    run(setup.set_up(identity, out, data_dir, 2))
    with (out / official_files.EVALUATIONS).open(newline="") as file:
        assert [row["preemption_count"] for row in csv.DictReader(file)] == ["0", "1"]
    (flag,) = json.loads((out / "result.json").read_text())["flags"]
    assert flag == {"rule": "random_state", "what": "the submission called random.seed.", "global_step": 1}


def another(table, name):
    del table, name


TABLE = official_files.Table
# Another thing's name -> what is set instead: an attribute, or an entry of a dictionary.
REPLACED = {
    "algoperf.records.official_files.Table.append": (TABLE, "append", None),
    "algoperf.records.official_files.Table.append.code": (TABLE.append, "__code__", another.__code__),
    "algoperf.records.official_files.Table.append.__defaults__": (TABLE.append, "__defaults__", ({},)),
    "algoperf.records.official_files.Table.append.__kwdefaults__": (TABLE.append, "__kwdefaults__", {"name": 1}),
    "algoperf.records.official_files.Table.new": (TABLE, "new", another),
    "algoperf.benchmark.facts.FRAMEWORKS": (facts, "FRAMEWORKS", ("jax",)),
    "algoperf.losses.pytorch.LOSSES.ctc_loss": (pytorch.LOSSES, "ctc_loss", another),
    "algoperf.benchmark.facts": (sys.modules, "algoperf.benchmark.facts", another),
    "numpy.mean": (np, "mean", another),
}


@pytest.mark.parametrize("name", REPLACED)
def test_code_that_is_replaced_is_named(name, monkeypatch):
    code = benchmark_code.Code()
    assert code.replaced() is None
    holder, key, other = REPLACED[name]
    if isinstance(holder, dict):
        monkeypatch.setitem(holder, key, other)
    else:
        monkeypatch.setattr(holder, key, other, raising=False)
    assert code.replaced() == name
    monkeypatch.undo()
    assert code.replaced() is None
