"""What a submission may not do, done by a real one in the real loop: refused, or flagged for a referee."""

import csv
import json
import random
import textwrap

import numpy as np
import pytest
import torch

from algoperf.benchmark.facts import FRAMEWORKS
from algoperf.benchmark.identity import make_trial
from algoperf.records import official_files
from algoperf.trial import conduct, session, setup
from tests.trial.test_session import run

SUBMISSION = """
IMPORTED

COUNT = 0

def get_batch_size(workload_name):
    return 256 * 64

def get_eval_batch_size(workload_name):
    return 4_096 + CHANGE * COUNT

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {}

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    global COUNT
    COUNT += 1
    params = current_param_container
    if global_step == 0:
DONE
    return optimizer_state, params, model_state

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)
"""
BUSY = "while not (Path(__file__).parent / 'stop').exists(): sum(range(1_000))"


@pytest.fixture
def tried(tmp_path, data_dir):
    """The result and the error log of a trial whose submission does `what` in its first step."""

    def tried(what, framework="pytorch", imported="", change=0, max_steps=1):
        folder = tmp_path / "mine"
        folder.mkdir()
        done = textwrap.indent(textwrap.dedent(what), 8 * " ")
        text = SUBMISSION.replace("DONE", done).replace("CHANGE", str(change))
        (folder / "submission.py").write_text(text.replace("IMPORTED", imported))
        identity = make_trial("mini", "self", str(folder), framework, "criteo1tb", 0, 1)
        out = tmp_path / "trial_1"
        try:
            result = session.execute(setup.set_up(identity, out, data_dir, max_steps), lambda state: None)
        finally:
            (folder / "stop").touch()
        assert json.loads((out / "result.json").read_text()) == result
        errors = out / official_files.ERRORS
        return result, errors.read_text() if errors.exists() else ""

    return tried


REFUSED = {
    "type": ("params.half()", "changed the model: 'embedding.weight' was float32 (65536, 16) and is float16"),
    "name": ("import torch; params.extra = torch.nn.Linear(1, 1)", "was not there and is Linear"),
    "shape": (
        "import torch; next(params.parameters()).data = torch.zeros(1)",
        "was float32 (65536, 16) and is float32 (1,)",
    ),
    "another model": ("import torch; params = torch.nn.Linear(2, 2)", "changed the model"),
    "nothing": ("params = None", "the submission returned a NoneType as its parameters"),
    "forward": ("params.forward = lambda batch, context: batch[:, :1]", "with another forward"),
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
    "data": (
        """
        from workloads.datasets.prepare import open_source
        open_source(workload.spec, "validation", workload.data_dir)
        """,
        "manifest.json: the prepared data, validation and test among them, are the benchmark's",
    ),
}


@pytest.fixture
def restored():
    """What the submissions of these tests replace is put back."""
    from algoperf.backends.pytorch_workload import PytorchWorkload  # noqa: PLC0415 (a framework)
    from workloads.metrics import loss  # noqa: PLC0415

    result = loss.result
    yield
    loss.result = result
    if "has_reached_validation_target" in vars(PytorchWorkload):
        del PytorchWorkload.has_reached_validation_target


@pytest.mark.parametrize("name", REFUSED)
def test_what_falsifies_numbers_is_refused(name, tried, restored):
    what, sentence = REFUSED[name]
    result, errors = tried(what)
    assert (result["status"], result["time_to_target"]) == ("submission_error", None)
    assert sentence in errors
    assert len(errors.splitlines()) == 1


def test_jax_parameters_of_another_type_are_refused(tried):
    what = "import jax, jax.numpy as jnp; params = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)"
    result, errors = tried(what, framework="jax")
    assert result["status"] == "submission_error"
    assert "was float32 (64,) and is bfloat16 (64,)" in errors


def test_the_evaluation_batch_size_may_be_chosen_but_not_changed(tried):
    result, errors = tried("pass", change=1)
    assert result["status"] == "submission_error"
    assert "changed its evaluation batch size from 4096 to 4097" in errors


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
            import subprocess, sys
            subprocess.Popen([sys.executable, "-c", f"__file__ = {{__file__!r}}; from pathlib import Path\\n{BUSY}"])
            """,
            "its process",
        ),
    ],
    ids=["thread", "process"],
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
    "idle thread": (
        """
        import threading, time
        from pathlib import Path
        def idle():
            while not (Path(__file__).parent / "stop").exists():
                time.sleep(0.5)
        threading.Thread(target=idle, name="waiting").start()
        """,
        "threads",
        "mine.submission, was alive",
    ),
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


@pytest.mark.parametrize("name", FLAGGED)
def test_what_a_person_must_judge_is_flagged(name, tried, settings, monkeypatch):
    monkeypatch.delenv("XLA_FLAGS_OF_MINE", raising=False)
    seeders = torch.manual_seed, np.random.seed, random.seed
    what, rule, sentence = FLAGGED[name]
    result, errors = tried(what)
    assert (result["status"], errors) == ("budget_exhausted", "")
    (flag,) = result["flags"]
    assert (flag["rule"], flag["global_step"]) == (rule, 1)
    assert sentence in flag["what"]
    assert (torch.manual_seed, np.random.seed, random.seed) == seeders


@pytest.mark.parametrize("framework", FRAMEWORKS)
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


def test_flags_outlast_an_interruption_and_are_noted_once(tmp_path, data_dir):
    folder = tmp_path / "mine"
    folder.mkdir()
    text = SUBMISSION.replace("DONE", 8 * " " + "import random; random.seed(1)").replace("IMPORTED", "")
    (folder / "submission.py").write_text(text.replace("CHANGE", "0"))
    identity = make_trial("mini", "self", str(folder), "pytorch", "criteo1tb", 0, 1)
    out = tmp_path / "trial_1"
    assert run(setup.set_up(identity, out, data_dir, 2), killed_after=1) is None
    run(setup.set_up(identity, out, data_dir, 2))
    with (out / official_files.EVALUATIONS).open(newline="") as file:
        assert [row["preemption_count"] for row in csv.DictReader(file)] == ["0", "1"]
    (flag,) = json.loads((out / "result.json").read_text())["flags"]
    assert flag == {"rule": "random_state", "what": "the submission called random.seed.", "global_step": 1}


def test_code_that_is_replaced_is_named(monkeypatch):
    before = conduct.code_of_benchmark()
    assert conduct.replaced(before) is None
    monkeypatch.setattr(official_files.Table, "append", None)
    assert conduct.replaced(before) == "algoperf.records.official_files.Table.append"
