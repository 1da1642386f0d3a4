"""A trial that goes on from its checkpoint is the one that never stopped, or it says in a sentence that it is not."""

import re

import pytest

from algoperf.benchmark.facts import FRAMEWORKS, InfrastructureError
from algoperf.machine.interruption import InterruptionError
from tests.support.kept_states import states_of, submission
from tests.support.little_trials import evaluations, little_data, logged, made, run
from tests.support.nightly import pytorch_first, some_first
from tests.support.own_submissions import write


@pytest.fixture(scope="module")
def data(data_dir, tmp_path_factory):
    return data_dir, little_data(data_dir, tmp_path_factory.mktemp("little"))


@pytest.mark.parametrize("framework", some_first(FRAMEWORKS, ["pytorch"], "every state in JAX"))
def test_every_state_comes_back_after_a_stop_at_a_step_that_is_not_evaluated(framework, data, tmp_path):
    path = submission(tmp_path / "one", framework, states_of(framework))
    expected = run(made(path, tmp_path / "whole", data, framework))
    assert expected["status"] == "budget_exhausted", (tmp_path / "whole" / "error.log").read_text()
    with pytest.raises(InterruptionError, match="saved at step 5"):
        run(made(path, tmp_path / "stopped", data, framework), stops_after=5)
    result = run(made(path, tmp_path / "stopped", data, framework))
    assert result["charged_time"] == expected["charged_time"] == 7.0
    assert evaluations(tmp_path / "stopped") == evaluations(tmp_path / "whole")
    assert logged(tmp_path / "stopped") == logged(tmp_path / "whole")


# The kinds of state that cannot come back, and what is said of them.
LOST = {
    "an iterator": (
        "state['i'] = iter(range(99))",
        "next(state['i'])",
        r"does not keep optimizer_state\['i'\]",
    ),
    "a state_dict that raises": ("state['o'] = Broken()", "pass", "the state cannot be saved, so .* begins anew"),
    "a state_dict that ends the process": ("state['o'] = Leaving()", "pass", "the state cannot be saved"),
}
BROKEN = """
import sys
class Broken:
    def state_dict(self): raise NotImplementedError("no")
    def load_state_dict(self, state): pass
class Leaving(Broken):
    def state_dict(self): sys.exit(0)
"""


@pytest.mark.parametrize("name", LOST)
def test_what_does_not_come_back_is_said(name, data, tmp_path):
    init, step, sentence = LOST[name]
    path = write(tmp_path / "one", step, f"state = {{}}\n{init}\nreturn state", BROKEN)
    with pytest.raises(InterruptionError) as stopped:
        run(made(path, tmp_path / "out", data, "pytorch"), stops_after=3)
    is_saved = name == "an iterator"
    assert stopped.value.may_requeue is is_saved
    assert ("saved at step 3" in str(stopped.value)) is is_saved
    assert is_saved or "begins anew" in str(stopped.value)
    assert is_saved or "cannot be saved" in (tmp_path / "out" / "error.log").read_text()
    result = run(made(path, tmp_path / "out", data, "pytorch"))
    assert result["status"] == "budget_exhausted"
    (flag,) = result["flags"]
    assert re.search(sentence, flag["what"])


@pytest.mark.parametrize(
    "late",
    ["torch.optim.SGD(params.parameters(), lr=0.1)", "collections.defaultdict(list)", "len", "torch.nn.Linear(1, 1)"],
)
def test_a_trial_that_cannot_go_on_says_so_and_that_is_no_result(late, data, tmp_path):
    step = f"if global_step == 3: state['late'] = {late}"
    path = write(tmp_path / "one", step, imported="import collections, torch")
    with pytest.raises(InterruptionError):
        run(made(path, tmp_path / "out", data, "pytorch"), stops_after=5)
    for _ in range(2):
        with pytest.raises(InfrastructureError, match=r"\['late'\], .* made later than the first steps"):
            run(made(path, tmp_path / "out", data, "pytorch"))
    assert not (tmp_path / "out" / "result.json").exists()


FAILS = {
    "an exception": "1 / 0",
    "the end of the process": "sys.exit(0)",
    "no memory": "raise MemoryError",
    "something else": "raise GeneratorExit",
}


@pytest.mark.parametrize("name", FAILS)
def test_whatever_the_first_steps_raise_when_they_are_taken_again_is_no_result(name, data, tmp_path):
    """The submission finds a file that its first session has left: no warm-up can see all that the step saw."""
    step = f"if global_step == 1 and MARKER.exists(): {FAILS[name]}\nif global_step == 2: MARKER.touch()"
    path = write(
        tmp_path / "one", step, imported=f"import pathlib, sys\nMARKER = pathlib.Path({str(tmp_path / 'm')!r})"
    )
    with pytest.raises(InterruptionError):
        run(made(path, tmp_path / "out", data, "pytorch"), stops_after=4)
    before = evaluations(tmp_path / "out")
    result = run(made(path, tmp_path / "out", data, "pytorch"))
    assert (result["status"], result["charged_time"]) == ("budget_exhausted", 7.0)
    (flag,) = [flag for flag in result["flags"] if flag["rule"] == "checkpoint"]  # beside the file that it leaves
    assert flag["what"].startswith("the first steps, taken again to compile, failed: ")
    assert evaluations(tmp_path / "out")[: len(before)] == before


@pytest.mark.parametrize("framework", pytorch_first("generators of a trial in JAX"))
def test_the_generators_of_python_and_numpy_are_seeded_by_the_trial(framework, data, tmp_path):
    step = (
        "import numpy as np, random\nworkload.metrics_logger.append_scalar_metrics("
        "{'numpy': np.random.rand(), 'python': random.random()}, global_step)"
    )
    path = write(tmp_path / "one", step)
    for out in ("first", "second"):
        run(made(path, tmp_path / out, data, framework, max_steps=1))
    assert logged(tmp_path / "first") == logged(tmp_path / "second")


def test_the_record_is_handed_out_as_a_copy(data, tmp_path):
    step = "if eval_results: eval_results[0][1]['validation/loss'] = 0.0; eval_results.clear()"
    path = write(tmp_path / "one", step)
    run(made(write(tmp_path / "idle" / "one"), tmp_path / "whole", data, "pytorch"))
    with pytest.raises(InterruptionError):
        run(made(path, tmp_path / "out", data, "pytorch"), stops_after=3)
    before = (tmp_path / "out" / "eval_measurements.csv").read_bytes()
    result = run(made(path, tmp_path / "out", data, "pytorch"))
    assert result["time_to_target"] is None
    assert (tmp_path / "out" / "eval_measurements.csv").read_bytes().startswith(before)
    assert evaluations(tmp_path / "out") == evaluations(tmp_path / "whole")
