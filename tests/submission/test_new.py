"""The submission that a newcomer begins with: it is written whole, trains, goes on, and computes what it says."""

import json

import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf.benchmark.facts import FRAMEWORKS, InfrastructureError, UsageError
from algoperf.benchmark.protocol import load_protocol
from algoperf.submission import loading, new
from algoperf.submission.points import as_hyperparameters
from algoperf.submission.search import load_search_space, points
from algoperf.trial import session
from submissions.batch_sizes import BATCH_SIZES
from tests.support.nightly import pytorch_first
from tests.trial.test_session import run, set_up, ticking, without_times

STEPS = 20
HYPERPARAMETERS = {
    "learning_rate": 0.01,
    "one_minus_beta1": 0.1,
    "beta2": 0.9,
    "weight_decay": 0.1,
    "warmup_factor": 0.25,
}


def functions(framework):
    """The names of a template's module."""
    return loading.load(new.TEMPLATE / f"{framework}.py").update_params.__globals__


@pytest.mark.usefixtures("few_evaluated")
@pytest.mark.parametrize("framework", pytorch_first("what the template in JAX learns"))
def test_it_learns_and_goes_on_where_it_was_killed(framework, tmp_path, data_dir):
    folder = str(new.create("mine", framework, tmp_path))
    whole = set_up(framework, tmp_path / "whole", data_dir, submission=folder, max_steps=STEPS)
    rows = run(whole)
    assert float(rows[-1]["validation/loss"]) < float(rows[0]["validation/loss"])
    assert json.loads((whole.out / "result.json").read_text())["label"] == f"mine_{framework}"
    cut = set_up(framework, tmp_path / "cut", data_dir, submission=folder, max_steps=STEPS)
    assert run(cut, killed_after=1) is None
    assert without_times(run(cut)) == without_times(rows)


@pytest.mark.parametrize("framework", FRAMEWORKS)
class TestTemplate:
    def test_it_has_what_the_harness_asks_for(self, framework):
        loaded = loading.load(new.TEMPLATE / f"{framework}.py")
        assert loaded.prepare_for_eval is not None
        assert {name: loaded.get_batch_size(name) for name in BATCH_SIZES} == BATCH_SIZES
        space = load_search_space(new.TEMPLATE / "search_space.json")
        found = points(space, load_protocol("v0.6").trials)
        assert len(found) == 5
        loaded.check_point(found[0])


@pytest.mark.landing("what the template in JAX compiles")
@pytest.mark.usefixtures("few_evaluated")
def test_its_step_is_compiled_once(tmp_path, data_dir):
    setup = set_up("jax", tmp_path / "out", data_dir, submission=str(new.TEMPLATE), max_steps=3)
    compilations = []
    session.execute(ticking(setup), lambda state: compilations.append(state.optimizer_state[1]._cache_size()))
    assert set(compilations) == {1}


def test_the_templates_compute_adamw_and_the_same_schedule():
    """Both frameworks' `update` against PyTorch's own AdamW, over ten steps with the schedule's rates."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(3, 4)).astype(np.float32)
    hyperparameters = as_hyperparameters(HYPERPARAMETERS)
    in_jax, in_pytorch = functions("jax"), functions("pytorch")
    oracle = torch.nn.Parameter(torch.tensor(start))
    adamw = torch.optim.AdamW([oracle], betas=(0.9, 0.9), weight_decay=0.1)
    model = torch.nn.Module()
    model.weight = torch.nn.Parameter(torch.tensor(start))
    state = in_pytorch["init_optimizer_state"](None, model, None, hyperparameters, None)
    params = {"weight": jnp.asarray(start)}
    jax_state = {"mean": {"weight": jnp.zeros((3, 4))}, "mean_of_squares": {"weight": jnp.zeros((3, 4))}}
    factors = [in_pytorch["schedule"](0.25, step, 10) for step in range(12)]
    assert factors[:3] == [0.5, 1.0, 1.0]  # two steps of warm-up, and the cosine begins
    assert factors[6] == pytest.approx(0.5)
    assert factors[10] == factors[11] == 0.0
    np.testing.assert_allclose([in_jax["schedule"](0.25, step, 10) for step in range(12)], factors, atol=1e-7)
    for step, factor in enumerate(factors):
        gradient = rng.normal(size=(3, 4)).astype(np.float32)
        oracle.grad, model.weight.grad = torch.tensor(gradient), torch.tensor(gradient)
        rate = adamw.param_groups[0]["lr"] = 0.01 * factor
        adamw.step()
        in_pytorch["update"](hyperparameters, rate, state, model, step + 1)
        gradients = {"weight": jnp.asarray(gradient)}
        jax_state, params = in_jax["update"](hyperparameters, rate, jax_state, params, gradients, step + 1)
        np.testing.assert_allclose(model.weight.detach(), oracle.detach(), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(params["weight"], oracle.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_the_twins_differ_only_in_their_framework():
    def names(framework):
        return [name for name, value in functions(framework).items() if callable(value) and name.islower()]

    own = {"train_step", "get_replicate_sharding", "sum_over_processes"}
    assert [name for name in names("jax") if name not in own] == [name for name in names("pytorch") if name not in own]


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_command_writes_a_folder_and_says_what_to_do_next(framework, tmp_path, algoperf):
    code, out, _ = algoperf("new-submission", "my_idea", "--framework", framework, "--into", tmp_path)
    folder = tmp_path / "my_idea"
    assert code == 0
    assert {path.name for path in folder.iterdir()} == {f"{framework}.py", "search_space.json", "README.md"}
    assert f"change `update` in {folder / framework}.py" in out
    readme = (folder / "README.md").read_text()
    assert "$" not in readme
    assert f"--submission {folder} --framework {framework}" in readme
    assert loading.find(str(folder), framework) == folder / f"{framework}.py"
    assert (folder / f"{framework}.py").read_bytes() == (new.TEMPLATE / f"{framework}.py").read_bytes()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"name": "my idea"}, "cannot be called 'my idea'"),
        ({"name": "../idea"}, "cannot be called '../idea'"),
        ({"name": "1st"}, "cannot be called '1st'"),
        ({"name": "idéa"}, "cannot be called 'idéa'"),
        ({"name": "there"}, "there is there already, and nothing is overwritten"),
        ({"name": "nadamw"}, "nadamw is there already"),
        ({"--framework": "tensorflow"}, "there is no framework 'tensorflow'; the frameworks are jax, pytorch"),
        ({"--into": "no/such"}, "there is no folder no/such"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_written(changed, says, tmp_path, algoperf):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "jax.py").write_text("mine")
    options = {"name": "idea", "--framework": "jax", "--into": tmp_path, **changed}
    name = options.pop("name")
    words = [word for pair in options.items() for word in pair]
    code, _, error = algoperf("new-submission", name, *words)
    assert (code, error.count("\n")) == (2, 1)
    assert says in error
    assert [path.name for path in tmp_path.rglob("*")] == ["there", "jax.py"]
    assert (tmp_path / "there" / "jax.py").read_text() == "mine"


def test_a_name_is_enough_in_submissions(tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "SUBMISSIONS", tmp_path)
    folder = new.create("idea", "jax", tmp_path)
    assert new.argument(folder) == "idea"
    assert loading.find("idea", "jax") == folder / "jax.py"
    with pytest.raises(UsageError, match="is there already"):
        new.create("idea", "pytorch", tmp_path)


@pytest.mark.parametrize("failing", ["copyfile", "rename"])
def test_what_cannot_be_written_whole_is_not_written(failing, tmp_path, monkeypatch):
    def fails(*arguments):
        raise OSError(28, "No space left on device")

    if failing == "copyfile":
        monkeypatch.setattr(new.shutil, "copyfile", fails)
    else:
        monkeypatch.setattr(new.Path, "rename", fails)
    with pytest.raises(InfrastructureError, match="No space left on device"):
        new.create("idea", "jax", tmp_path)
    assert list(tmp_path.iterdir()) == []
