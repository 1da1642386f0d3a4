"""The timing rules of the loop, one by one, with a clock that the test sets.

The device, the workload and the submission here are stand-ins that cost a known number of seconds; the real ones are
trained in test_session.py.
"""

import contextlib
import dataclasses
import errno
import math
from pathlib import Path

import pytest

from algoperf.benchmark.facts import InfrastructureError, TrainingCompleteError, UsageError, replace
from algoperf.benchmark.registry import load_spec
from algoperf.machine.interruption import InterruptionError, Watch
from algoperf.referee.compiled import CompileCaches
from algoperf.referee.referee import Referee
from algoperf.submission.loading import Submission
from algoperf.trial.clock import Clock
from algoperf.trial.train import DIVERGED_EVALUATIONS, Run, State, SubmissionError, run_trial, time_to_target

EVALUATION_SECONDS = 1_000.0
SAVING_SECONDS = 300.0
EVAL_PERIOD = 10.0


class World:
    """The present, and a device that works through a queue on its own while the host goes on."""

    def __init__(self):
        self.seconds = 50.0
        self.device_done = 0.0

    def __call__(self) -> float:
        return self.seconds

    def dispatch(self, seconds: float) -> None:
        self.device_done = max(self.device_done, self.seconds) + seconds


class Backend:
    """Keys are tuples that record where they come from."""

    def __init__(self, world):
        self.world = world
        self.finite = True
        self.compilation = 0.0  # seconds, of the first call

    def step_keys(self, key, global_step):
        self.world.seconds += self.compilation
        self.compilation = 0.0
        return tuple((*key, global_step, number) for number in range(4))

    def from_first(self, values):
        return values

    def is_infrastructure_error(self, error):
        return "CUDA" in str(error)

    def is_out_of_memory(self, error):
        return isinstance(error, MemoryError)

    def wait(self):
        self.world.seconds = max(self.world.seconds, self.world.device_done)

    def synchronize(self, *trees):
        self.wait()

    def evaluating(self, params):
        return contextlib.nullcontext()

    def hooks(self, params):
        return []

    def foreign_attributes(self, params):
        return []

    def compiles_into(self, folder):
        return None

    def all_finite(self, params):
        return self.finite

    def layout(self, params):
        return type(params)

    def describe(self, params):
        return {"parameters": type(params).__name__}

    def settings(self):
        return {}

    def seeding_functions(self):
        return ()

    def writing_functions(self):
        return ()

    def not_exported(self, tree, name):
        return []


class Workload:
    """The facts of a real workload, with an evaluation period that is easy to count with."""

    data_dir = Path("data")
    loss_type = "loss type"
    model_params_types = "types"

    def __init__(self):
        self.spec = replace(load_spec("imagenet_resnet", "mini"), {"target": {"validation": 0.5, "test": 0.5}})
        self.eval_period_time_sec = EVAL_PERIOD

    def has_reached_validation_target(self, row):
        return self.spec.target.reached(row["validation/accuracy"], "validation")

    def has_reached_test_target(self, row):
        return self.spec.target.reached(row["test/accuracy"], "test")


class Asking(Watch):
    """Asks for a checkpoint, or for the end, after the steps that the test names."""

    checkpoints = ()
    interruption_at = None

    def __init__(self, trial):
        super().__init__(trial.world)
        self._trial = trial

    @property
    def is_checkpoint_due(self):
        return self._trial.state.global_step in self.checkpoints

    @property
    def is_interrupted(self):
        return self._trial.state.global_step == self.interruption_at


class Trial:
    """Runs the loop with steps of `host` seconds on the host and `device` seconds on the device."""

    def __init__(self, host=1.0, device=0.0, max_runtime=35.0, max_steps=None, prepare=None, data=0.0):
        self.world = World()
        self.backend = Backend(self.world)
        self.calls = []
        self.host, self.device, self.data = host, device, data
        self.accuracy = lambda step: (0.0, 0.0)
        self.loss = lambda step: 1.0
        self.on_step = lambda step: None
        submission = Submission(
            path=Path("nobody's/submission.py"),
            home=None,
            unmet=(),
            get_batch_size=lambda name: 1,
            init_optimizer_state=None,
            update_params=self.update_params,
            data_selection=self.data_selection,
            prepare_for_eval=prepare and self.prepare_for_eval,
            get_eval_batch_size=None,
            takes_train_state=True,
        )
        self.prepare = prepare
        workload = Workload()
        caches = CompileCaches()
        caches.announce()
        referee = Referee(self.backend, workload, Path("nobody's"), caches)
        referee.begin("params")
        self.run = Run(
            *(workload, submission, self.backend, self.evaluate, "hyperparameters", ("rng",), referee),
            *(max_runtime, max_steps),
        )
        self.state = State("params", "optimizer state", "model state")
        self.clock = Clock(self.world)
        self.watch = Asking(self)

    def data_selection(self, workload, queue, optimizer_state, params, model_state, hyperparameters, step, rng):
        self.world.seconds += self.data
        self.calls.append(("data", step, rng))
        return next(queue)

    def update_params(self, **arguments):
        self.calls.append(("update", arguments["global_step"], arguments))
        self.world.seconds += self.host
        self.world.dispatch(self.device)
        self.on_step(arguments["global_step"])
        return "optimizer state", "params", "model state"

    def prepare_for_eval(self, **arguments):
        self.calls.append(("prepare", arguments["global_step"], arguments))
        self.world.seconds += self.prepare
        return "optimizer state", "averaged params", "model state"

    def evaluate(self, params, model_state, rng):
        self.calls.append(("evaluate", self.state.global_step, params))
        self.backend.synchronize()
        self.world.seconds += EVALUATION_SECONDS
        validation, test = self.accuracy(self.state.global_step)
        return {
            "train/loss": self.loss(self.state.global_step),
            "validation/accuracy": validation,
            "test/accuracy": test,
        }

    def save(self):
        self.calls.append(("save", self.state.global_step, None))
        self.world.seconds += SAVING_SECONDS
        return self.state.global_step

    def __call__(self):
        self.status = run_trial(self.run, self.state, self.clock, iter(range(10**9)), self.save, self.watch)
        return self

    def steps_of(self, kind):
        return [step for name, step, _ in self.calls if name == kind]

    def charged(self):
        return [row["accumulated_submission_time"] for row in self.state.evaluations]


def test_the_first_evaluation_comes_after_the_first_step_and_the_others_after_the_period():
    trial = Trial()()
    assert trial.steps_of("evaluate") == [1, 11, 21, 31]
    assert trial.charged() == [1, 11, 21, 31]


@pytest.mark.parametrize("host", [0.01, 1.0, 1_000.0])
def test_evaluations_by_steps_come_at_the_same_steps_however_long_these_take(host):
    trial = Trial(host=host, max_runtime=math.inf, max_steps=10)
    trial.run = dataclasses.replace(trial.run, evaluated_every=4)
    trial()
    assert trial.steps_of("evaluate") == trial.steps_of("save") == [4, 8, 10]
    assert trial.status == "budget_exhausted"


def test_selecting_data_and_updating_are_charged():
    assert Trial(host=1.0, data=0.5)().charged() == [1.5, 12, 22.5, 33]


def test_evaluating_logging_and_saving_are_free():
    trial = Trial()()
    assert trial.clock.charged == 35
    last = trial.state.evaluations[-1]
    assert last["accumulated_eval_time"] == 4 * EVALUATION_SECONDS
    assert last["accumulated_logging_time"] == 3 * SAVING_SECONDS
    assert last["score"] == last["accumulated_submission_time"]
    assert last["total_duration"] == 31 + 4 * EVALUATION_SECONDS + 3 * SAVING_SECONDS


def test_queued_device_work_is_waited_for_and_charged():
    # The host runs ahead: a step costs it 1 s, the device needs 3 s for each.
    trial = Trial(host=1.0, device=3.0, max_runtime=100)()
    assert trial.charged()[0] == 4
    # Ten steps later (4 + 10 s on the host) the device still has 3 s each to finish.
    assert trial.charged()[1] == 4 + 1 + 10 * 3
    assert all(later - earlier >= 3 * 10 for earlier, later in zip(trial.charged(), trial.charged()[1:], strict=False))


def test_no_step_waits_for_the_device_between_evaluations():
    trial = Trial(host=1.0, device=3.0, max_runtime=100)
    waits = []
    wait = trial.backend.synchronize
    trial.backend.synchronize = lambda *trees: (waits.append(trial.state.global_step), wait())
    trial()
    assert set(waits) == {0, *trial.steps_of("evaluate"), trial.state.global_step}


def test_what_setting_up_has_queued_is_not_charged():
    trial = Trial()
    trial.world.dispatch(7.0)
    assert trial().charged() == [1, 11, 21, 31]


def test_what_the_loop_compiles_for_itself_is_not_charged():
    trial = Trial()
    trial.backend.compilation = 7.0
    assert trial().charged() == [1, 11, 21, 31]


def test_what_an_evaluation_or_a_checkpoint_has_queued_is_not_charged():
    trial = Trial()
    save = trial.save
    trial.save = lambda: (save(), trial.world.dispatch(7.0))
    assert trial().charged() == [1, 11, 21, 31]


def test_preparing_for_an_evaluation_is_charged_and_its_parameters_are_evaluated_and_kept():
    trial = Trial(prepare=2.0)()
    assert trial.charged() == [3, 15, 27]
    assert all(params == "averaged params" for name, _, params in trial.calls if name == "evaluate")
    second = next(arguments for name, step, arguments in trial.calls if name == "update" and step == 1)
    assert second["current_param_container"] == "averaged params"


def test_the_budget_is_enforced_at_every_step_and_nothing_is_evaluated_beyond_it():
    trial = Trial(max_runtime=15.0)()
    assert trial.status == "budget_exhausted"
    assert trial.state.global_step == 15
    assert trial.charged() == [1, 11]


def test_the_budget_counts_what_the_device_still_has_to_do():
    # At 11 s on the host an evaluation is due, but the device finishes what was queued at 31 s, beyond the budget.
    trial = Trial(host=1.0, device=3.0, max_runtime=20.0)()
    assert trial.status == "budget_exhausted"
    assert trial.charged() == [4]
    assert trial.clock.charged > 20


def test_training_goes_on_past_the_validation_target_until_the_test_target():
    trial = Trial(max_runtime=100)
    trial.accuracy = lambda step: (0.5 if step >= 11 else 0.0, 0.6 if step >= 31 else 0.0)
    trial()
    assert trial.status == "reached"
    assert trial.state.global_step == 31
    assert time_to_target(trial.run.workload, trial.state) == 11


def test_targets_once_met_stay_met():
    trial = Trial(max_runtime=100)
    trial.accuracy = lambda step: {11: (0.9, 0.0), 31: (0.0, 0.9)}.get(step, (0.0, 0.0))
    trial()
    assert (trial.status, trial.state.global_step) == ("reached", 31)


def test_the_test_target_alone_does_not_end_a_trial():
    trial = Trial()
    trial.accuracy = lambda step: (0.0, 1.0)
    assert trial().status == "budget_exhausted"
    assert time_to_target(trial.run.workload, trial.state) is None


def test_validation_alone_is_reached_when_the_budget_ends():
    trial = Trial()
    trial.accuracy = lambda step: (1.0, 0.0)
    assert trial().status == "reached"
    assert time_to_target(trial.run.workload, trial.state) == 1


def test_a_submission_can_say_that_training_is_complete():
    def complete(step):
        if step == 4:
            raise TrainingCompleteError

    trial = Trial()
    trial.on_step = complete
    trial()
    assert trial.status == "budget_exhausted"
    assert trial.steps_of("evaluate") == [1, 5]


def test_the_last_of_max_steps_is_evaluated():
    trial = Trial(max_steps=7)()
    assert trial.steps_of("evaluate") == [1, 7]
    assert trial.status == "budget_exhausted"


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_stays_not_finite_ends_the_trial(bad):
    trial = Trial(max_runtime=1_000)
    trial.loss = lambda step: bad if step > 1 else 1.0
    trial()
    assert trial.status == "diverged"
    assert len(trial.state.evaluations) == 1 + DIVERGED_EVALUATIONS


def test_parameters_that_stay_not_finite_end_the_trial():
    trial = Trial(max_runtime=1_000)
    trial.backend.finite = False
    assert trial().status == "diverged"


def test_a_loss_that_recovers_does_not():
    trial = Trial(max_runtime=200)
    trial.loss = lambda step: math.nan if step % 30 != 1 else 1.0
    assert trial().status == "budget_exhausted"


def test_whoever_diverges_after_the_target_has_reached_it():
    trial = Trial(max_runtime=1_000)
    trial.accuracy = lambda step: (1.0, 0.0)
    trial.loss = lambda step: math.nan
    assert trial().status == "reached"


def test_what_a_submission_raises_is_the_submissions():
    def fail(step):
        raise ZeroDivisionError("mine")

    trial = Trial()
    trial.on_step = fail
    with pytest.raises(SubmissionError, match="mine") as error:
        trial()
    assert isinstance(error.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize(
    "error", [SystemExit(0), SystemExit(1), GeneratorExit(), type("Mine", (BaseException,), {})("x")]
)
def test_to_leave_in_another_way_is_the_submissions_too(error):
    def leave(step):
        raise error

    trial = Trial()
    trial.on_step = leave
    with pytest.raises(SubmissionError) as raised:
        trial()
    assert raised.value.__cause__ is error


def test_a_person_at_the_keyboard_ends_the_process(monkeypatch):
    def interrupt(step):
        raise KeyboardInterrupt

    for is_from_keyboard, expected in ((True, KeyboardInterrupt), (False, SubmissionError)):
        monkeypatch.setattr("algoperf.trial.train.is_from_keyboard", lambda answer=is_from_keyboard: answer)
        trial = Trial()
        trial.on_step = interrupt
        with pytest.raises(expected):
            trial()


def test_memory_that_the_next_batch_does_not_find_is_the_submissions():
    def fail(step):
        raise InfrastructureError("the training data could not be read: ") from MemoryError()

    trial = Trial()
    trial.on_step = fail
    with pytest.raises(SubmissionError) as error:
        trial()
    assert isinstance(error.value.__cause__, MemoryError)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: unspecified launch failure"),
        OSError(errno.EIO, "the disk"),
        OSError(errno.ENOSPC, "full"),
    ],
)
def test_a_machine_that_fails_under_a_submission_is_no_result(error):
    def fail(step):
        raise error

    trial = Trial()
    trial.on_step = fail
    with pytest.raises(InfrastructureError, match="the machine failed"):
        trial()


def test_a_file_that_a_submission_does_not_find_is_its_own_mistake():
    def fail(step):
        raise FileNotFoundError(errno.ENOENT, "no such table")

    trial = Trial()
    trial.on_step = fail
    with pytest.raises(SubmissionError):
        trial()


def test_checkpoints_between_evaluations_are_free_and_change_nothing():
    plain = Trial()()
    saving = Trial()
    saving.watch.checkpoints = (5, 11, 17)
    saving()
    assert saving.steps_of("save") == [1, 5, 11, 17, 21, 31]
    assert saving.charged() == plain.charged()
    assert saving.steps_of("evaluate") == plain.steps_of("evaluate")
    assert saving.clock.charged == plain.clock.charged


def test_a_checkpoint_waits_for_the_device_so_that_its_work_is_charged():
    trial = Trial(host=1.0, device=3.0, max_runtime=100)
    trial.watch.checkpoints = (4,)
    saved = []
    trial.save = lambda: saved.append((trial.state.global_step, trial.state.charged)) or trial.state.global_step
    trial()
    # The first evaluation after one step at 4 s; three steps later the device is done at 4 + 1 + 3 * 3 s.
    assert saved[1] == (4, 14)


def test_an_interrupted_trial_is_saved_after_the_step_and_stops():
    trial = Trial()
    trial.watch.interruption_at = 7
    with pytest.raises(InterruptionError, match="step 7"):
        trial()
    assert trial.steps_of("save") == [1, 7]
    assert trial.clock.charged == 7


def test_a_trial_that_ends_with_the_step_has_its_result_all_the_same():
    trial = Trial(max_steps=7)
    trial.watch.interruption_at = 7
    assert trial().status == "budget_exhausted"


def test_all_processes_go_by_the_first_ones_clock():
    # A process that is not the first, and whose own clock says nothing: the first one's goes twice as fast.
    trial = Trial(max_runtime=30)
    trial.backend.from_first = lambda values: (2 * values[0], *values[1:])
    trial()
    assert trial.charged() == [2, 12, 22]
    arguments = {step: arguments for name, step, arguments in trial.calls if name == "update"}
    assert arguments[3]["train_state"]["accumulated_submission_time"] == 6


@pytest.mark.parametrize("error", [InfrastructureError("the disk"), UsageError("the folder")])
def test_what_the_machine_or_a_person_gets_wrong_is_not(error):
    def fail(step):
        raise error

    trial = Trial()
    trial.on_step = fail
    with pytest.raises(type(error)):
        trial()


def test_an_evaluation_that_fails_is_not_the_submissions():
    def fail(step):
        raise OSError("the validation data")

    trial = Trial()
    trial.accuracy = fail
    with pytest.raises(OSError, match="validation data"):
        trial()


def test_train_state_is_what_the_official_api_says_and_read_only():
    trial = Trial()()
    arguments = {step: arguments for name, step, arguments in trial.calls if name == "update"}
    seen = arguments[12]["train_state"]
    assert set(seen) == {
        "validation_goal_reached",
        "test_goal_reached",
        "is_time_remaining",
        "last_eval_time",
        "training_complete",
        "accumulated_submission_time",
        "accumulated_eval_time",
        "accumulated_logging_time",
        "last_step_end_time",
    }
    assert seen["accumulated_submission_time"] == 12
    assert seen["last_eval_time"] == 11
    with pytest.raises(TypeError):
        seen["training_complete"] = True


def test_eval_results_are_the_evaluations_so_far():
    trial = Trial()()
    arguments = {step: arguments for name, step, arguments in trial.calls if name == "update"}
    assert arguments[0]["eval_results"] == []
    assert [step for step, _ in arguments[12]["eval_results"]] == [1, 11]
    assert arguments[12]["eval_results"][0][1]["validation/accuracy"] == 0.0


def test_eval_results_are_copies():
    trial = Trial(prepare=1.0)
    trial.on_step = lambda step: trial.calls[-1][2]["eval_results"].append("mine")
    trial()
    assert all(isinstance(row, dict) for row in trial.state.evaluations)
    for name, _, arguments in trial.calls:
        if name == "update":
            assert not any(row is kept for _, row in arguments["eval_results"][:-1] for kept in trial.state.evaluations)


def test_every_step_and_purpose_has_its_own_key():
    trial = Trial(prepare=1.0)()
    keys = [key for name, _, key in trial.calls if name == "data"]
    keys += [arguments["rng"] for name, _, arguments in trial.calls if name in ("update", "prepare")]
    assert len(set(keys)) == len(keys)
    # To prepare for an evaluation belongs to the step before it.
    steps = {
        name: {arguments["rng"][-2] for of, _, arguments in trial.calls if of == name} for name in ("update", "prepare")
    }
    assert steps["prepare"] <= steps["update"]
    assert max(steps["prepare"]) == max(steps["update"])
