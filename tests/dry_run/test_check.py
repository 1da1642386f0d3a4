"""A submission checked on tiny steps: what it finds, and that nothing is written."""

import subprocess
import sys

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import PROTOCOLS
from algoperf.dry_run import check as dry_run
from tests.conftest import REPOSITORY
from tests.submissions.test_published import SUBMISSIONS

SUBMISSION = """
import torch
from algoperf import spec

COUNT = 0

def get_batch_size(workload_name):
    return 1_024

def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {}

def update_params(workload, current_param_container, current_params_types, model_state, hyperparameters, batch,
                  loss_type, optimizer_state, eval_results, global_step, rng):
    global COUNT
    COUNT += 1
    current_param_container.zero_grad()
    logits, _ = workload.model_fn(current_param_container, batch, None, spec.ForwardPassMode.TRAIN, rng, True)
    workload.loss_fn(batch["targets"], logits, batch.get("weights"))["summed"].backward()
    DONE
    with torch.no_grad():
        for parameter in current_param_container.parameters():
            parameter -= 1e-4 * parameter.grad
    return optimizer_state, current_param_container, None

def data_selection(workload, input_queue, optimizer_state, current_param_container, model_state, hyperparameters,
                   global_step, rng):
    return next(input_queue)
"""


@pytest.fixture
def mine(tmp_path):
    """The folder of a submission that does `what` before its update."""

    def mine(what):
        folder = tmp_path / "mine"
        folder.mkdir()
        (folder / "submission.py").write_text(SUBMISSION.replace("DONE", what))
        return str(folder)

    return mine


def check_one(folder, data_dir):
    said = []
    row = dry_run.check_one(folder, "pytorch", "criteo1tb", "self", data_dir, said.append)
    assert said[0] == "loading"
    return row


def check(folder, data_dir, workloads=("criteo1tb",)):
    return list(dry_run.check(folder, "pytorch", list(workloads), data_dir, lambda doing: None))


def test_an_honest_submission_is_ok_and_measured(mine, data_dir):
    row = check_one(mine("pass"), data_dir)
    assert (row.outcome, row.sentences, row.memory_of) == ("ok", (), "process")
    assert row.first_step > 0
    assert row.second_step > 0
    assert row.memory is not None


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("raise ZeroDivisionError('by my own\\nfault')", "ZeroDivisionError: by my own"),
        ("current_param_container.half()", "the submission changed the model"),
        ("workload.spec = None", "the submission changed the workload"),
        ("torch.empty(2**50)", "memory"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(what, sentence, mine, data_dir):
    row = check_one(mine(what), data_dir)
    assert (row.outcome, row.first_step) == ("wrong", None)
    assert sentence in row.sentences[0]
    assert "\n" not in row.sentences[0]


@pytest.mark.parametrize(
    ("what", "sentence"),
    [
        ("next(current_param_container.parameters()).data.add_(0.1 * COUNT)", "a step from its saved state comes out"),
        ("torch.manual_seed(1)", "the submission called torch.manual_seed."),
        ("optimizer_state['odd'] = type('Odd', (), {'state_dict': 0, 'load_state_dict': 0})()", "cannot be saved"),
    ],
)
def test_what_a_person_should_know_is_said_too(what, sentence, mine, data_dir):
    row = check_one(mine(what), data_dir)
    assert row.outcome == "ok"
    assert sentence in row.sentences[0]


@pytest.mark.landing("dry runs in processes")
def test_a_process_that_dies_stops_no_other(mine, data_dir):
    folder = mine("import os; workload.name == 'criteo1tb' and (os.write(1, b'bye\\n'), os._exit(3))")
    first, second = check(folder, data_dir, ["criteo1tb", "criteo1tb_layernorm"])
    assert (first.outcome, second.outcome) == ("wrong", "ok")
    assert first.sentences == ("its process ended with exit code 3; it said last: bye",)


def test_missing_data_are_named_and_not_the_submissions_fault(tmp_path):
    rows = check("nadamw", tmp_path, [])
    assert [row.workload for row in rows] == list(PROTOCOLS["mini"].workloads)
    assert {row.outcome for row in rows} == {"missing"}
    assert "run `algoperf data prepare criteo1tb --scale mini" in rows[0].sentences[0]


@pytest.mark.parametrize(("submission", "workload"), [("nadamv", "criteo1tb"), ("nadamw", "criteo2tb")])
def test_unknown_names_are_refused(submission, workload, data_dir):
    with pytest.raises(UsageError, match="there is no"):
        check(submission, data_dir, [workload])


def test_a_submission_that_cannot_be_loaded_is_refused_at_once(mine, data_dir):
    folder = mine("pass\n}")
    with pytest.raises(UsageError, match="cannot be imported"):
        check(folder, data_dir, [])


@pytest.mark.landing("dry runs in processes")
def test_the_command_needs_two_options_shows_a_table_and_writes_nothing(tmp_path, data_dir):
    command = [sys.executable, "-m", "algoperf", "trial", "--dry-run", "--framework", "pytorch"]
    command += ["--submission", str(SUBMISSIONS / "baseline"), "--workload", "criteo1tb", "--workload", "ogbg"]
    before = set(tmp_path.rglob("*"))
    found = subprocess.run(
        [*command, "--data-dir", str(data_dir)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={"PATH": "", "PYTHONPATH": str(REPOSITORY), "OMP_WAIT_POLICY": "PASSIVE"},
    )
    assert (found.returncode, found.stderr) == (1, "")  # it does not know ogbg
    assert "criteo1tb: the first step, which compiles" in found.stdout
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in found.stdout.splitlines() if "│" in line]
    assert cells == [["criteo1tb", "ok"], ["ogbg", "wrong"]]
    assert "for ogbg: ValueError: Unsupported workload name: ogbg." in " ".join(found.stdout.split())
    assert set(tmp_path.rglob("*")) == before
