"""A trial in a race: it ends where its siblings' results leave it nothing to change, and can always go on."""

import dataclasses
import json
import threading
import time
from pathlib import Path

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.identity import make_trial
from algoperf.machine.interruption import InterruptionError
from algoperf.racing import race
from algoperf.racing.bounds import LEVELS, NEVER, Place
from algoperf.racing.results import Results, read_plan
from algoperf.records import checkpoint, official_files
from algoperf.trial import journal
from tests.support.little_trials import evaluations, little_data, made, run
from tests.support.own_submissions import write
from tests.support.patience import wait_until

MOVES = "for parameter in params.parameters(): parameter.data.add_(1e-3 * (1 + len(state)))\nstate[global_step] = 1"


@pytest.fixture(scope="module")
def data(data_dir, tmp_path_factory):
    return data_dir, little_data(data_dir, tmp_path_factory.mktemp("little"))


class Race:
    """A study of three trials on the disk, of which the first is run; what the others did is said."""

    def __init__(self, folder: Path, data: tuple[Path, Path], **changes):
        self.data, self.results = data, folder / "results"
        self.submission = write(folder / "mine", **{"step": MOVES, **changes})
        self.trial = make_trial("mini", "self", str(self.submission), "pytorch", "criteo1tb", 0, 1)
        self.plan = self.results / "mini" / "plan.json"
        names = [dataclasses.replace(self.trial, trial=number).folder for number in (1, 2, 3)]
        self.plan.parent.mkdir(parents=True)
        self.plan.write_text(json.dumps({str(name): {"workload": "criteo1tb", "seed": 7} for name in names}))

    @property
    def out(self) -> Path:
        return self.results / self.trial.folder

    def tell(self, number: int, seconds: float | None, **more) -> None:
        folder = self.results / dataclasses.replace(self.trial, trial=number).folder
        folder.mkdir(parents=True, exist_ok=True)
        result = {"status": "reached", "time_to_target": seconds, "charged_time": 9.0, "seed": 7, **more}
        (folder / official_files.RESULT).write_text(json.dumps(result))

    def entered(self, level="trials"):
        return race.enter(self.trial, self.out, level, self.plan)

    def setup(self, level="trials"):
        return dataclasses.replace(made(self.submission, self.out, self.data, "pytorch"), race=self.entered(level))


def test_it_ends_at_the_step_that_charges_its_bound(tmp_path, data):
    of = Race(tmp_path, data)
    of.tell(2, 2.5)
    result = run(of.setup())
    assert (result["status"], result["time_to_target"]) == ("pruned", None)
    assert (result["global_step"], result["charged_time"]) == (3, 3.0)
    set_by = str(of.results / dataclasses.replace(of.trial, trial=2).folder)
    assert result["racing"]["bound"] == 2.5
    assert result["racing"]["set_by"] == [set_by]
    assert [row["global_step"] for row in evaluations(of.out)] == ["1"]
    assert json.loads((of.out / official_files.RESULT).read_text()) == result


def test_a_result_that_comes_while_it_trains_ends_it(tmp_path, data):
    of = Race(tmp_path, data)
    setup = of.setup()
    result = run(setup, report=lambda state: of.tell(3, 3.5) if state.global_step == 5 else None)
    assert (result["status"], result["global_step"]) == ("pruned", 5)


def test_a_result_that_comes_between_two_evaluations_ends_it_there(tmp_path, data, monkeypatch):
    monkeypatch.setattr(race, "PERIOD", 0.01)
    of = Race(tmp_path, data)
    setup = of.setup()
    update_params = setup.submission.update_params

    def update(**arguments):
        if arguments["global_step"] == 1:
            of.tell(3, 2.5)
            wait_until(lambda: setup.race.known == 2.5, "news")
        return update_params(**arguments)

    result = run(dataclasses.replace(setup, submission=dataclasses.replace(setup.submission, update_params=update)))
    assert (result["status"], result["global_step"]) == ("pruned", 3)
    assert [row["global_step"] for row in evaluations(of.out)] == ["1"]
    assert "race" not in {thread.name for thread in threading.enumerate()}


def test_it_goes_on_from_its_checkpoint_without_racing_and_is_the_one_that_never_stopped(tmp_path, data):
    whole = Race(tmp_path / "whole", data)
    expected = run(whole.setup("none"))
    of = Race(tmp_path / "raced", data)
    of.tell(2, 2.5)
    run(of.setup())
    assert checkpoint.peek(of.out / journal.CHECKPOINTS, ("global_step",)) == {"global_step": 3}
    assert len(list((of.out / journal.CHECKPOINTS).glob("*.npz"))) == 1
    journal.take_back_result(of.out)
    result = run(of.setup("none"))
    assert (result["status"], result["global_step"]) == (expected["status"], expected["global_step"])
    assert result["charged_time"] == expected["charged_time"] == 7.0  # a step is a second: none is taken twice
    assert evaluations(of.out) == evaluations(whole.out)
    assert not list((of.out / journal.CHECKPOINTS).glob("*.npz"))


def test_an_interrupted_trial_whose_bound_has_come_is_not_trained_further(tmp_path, data):
    of = Race(tmp_path, data)
    with pytest.raises(InterruptionError):
        run(of.setup(), stops_after=6)
    of.tell(2, 3.0)
    result = run(of.setup())
    assert (result["status"], result["global_step"], result["charged_time"]) == ("pruned", 6, 6.0)
    assert [row["global_step"] for row in evaluations(of.out)] == ["1", "5"]
    journal.take_back_result(of.out)
    assert run(of.setup("none"))["charged_time"] == 7.0


def test_one_whose_bound_is_zero_is_recorded_without_training(tmp_path, data):
    of = Race(tmp_path, data, init="raise AssertionError('it begins')")
    names = [str(dataclasses.replace(of.trial, study=study).folder) for study in range(3)]
    of.plan.write_text(json.dumps({name: {"workload": "criteo1tb", "seed": 7} for name in names}))
    for study in (1, 2):
        folder = of.results / dataclasses.replace(of.trial, study=study).folder
        folder.mkdir(parents=True)
        missed = {"status": "diverged", "time_to_target": None, "charged_time": 9.0}
        (folder / official_files.RESULT).write_text(json.dumps(missed))
    result = run(of.setup("studies"))
    assert (result["status"], result["global_step"], result["racing"]["bound"]) == ("pruned", 0, 0.0)
    assert not race.stands(result, lambda: race.Bound(1.0))


def test_a_trial_that_has_reached_its_target_goes_on_to_its_test_target(tmp_path, data):
    of = Race(tmp_path, data)
    of.tell(2, 0.5)
    setup = of.setup()
    target = dataclasses.replace(setup.workload.spec.target, validation=1e9, test=-1.0)
    setup.workload.spec = dataclasses.replace(setup.workload.spec, target=target)
    result = run(setup)
    assert (result["status"], result["time_to_target"], result["global_step"]) == ("reached", 1.0, 7)


def test_while_it_goes_on_the_others_know_its_time(tmp_path, data):
    of = Race(tmp_path, data)
    setup = of.setup()
    target = dataclasses.replace(setup.workload.spec.target, validation=1e9, test=-1.0)
    setup.workload.spec = dataclasses.replace(setup.workload.spec, target=target)
    identity = json.loads(json.dumps(setup.definition.identity))
    of.plan.write_text(json.dumps({str(of.trial.folder): identity}))
    seen = []

    def look(state):
        results = Results(read_plan(of.plan), of.results, "mini", "self")
        results.look()
        seen.append(results.facts.of(Place("mine_pytorch", "criteo1tb", "study_0", "trial_1")).upper)

    run(setup, report=look)
    assert seen == [NEVER, 1.0, 1.0]


@pytest.mark.parametrize(
    "more",
    [{"seed": 8}, {"time_to_target": None, "status": "diverged"}, {"time_to_target": "soon"}, {"charged_time": []}],
)
def test_results_of_something_else_and_damaged_ones_bound_nothing(tmp_path, data, more):
    of = Race(tmp_path, data)
    of.tell(2, 2.5, **more)
    assert of.entered().bound().seconds == NEVER


def test_what_is_half_written_is_read_another_time(tmp_path, data):
    of = Race(tmp_path, data)
    entered = of.entered()
    of.tell(2, 2.5)
    path = of.results / dataclasses.replace(of.trial, trial=2).folder / official_files.RESULT
    text = path.read_text()
    path.write_text(text[:-5])
    assert entered.bound().seconds == NEVER
    path.write_text(text)
    assert entered.bound().seconds == 2.5


def test_it_is_in_no_race_without_being_asked_to_or_where_it_is_not_planned(tmp_path, data):
    of = Race(tmp_path, data)
    assert of.entered("none") is None
    other = dataclasses.replace(of.trial, ruleset="target_setting")
    assert race.enter(other, of.results / other.folder, "scores", of.plan) is None


def test_mistakes_are_one_sentence(tmp_path, data):
    of = Race(tmp_path, data)
    with pytest.raises(UsageError, match="needs --plan"):
        race.enter(of.trial, of.out, "trials", None)
    with pytest.raises(UsageError, match="cannot be read"):
        race.enter(of.trial, of.out, "trials", tmp_path / "no.json")
    with pytest.raises(UsageError, match="is not where the plan"):
        race.enter(of.trial, tmp_path / "elsewhere", "trials", of.plan)
    for content, words in (
        ("[", "is not JSON"),
        ("[]", "none that the workflow"),
        ('{"a": 1}', "none that the workflow"),
    ):
        of.plan.write_text(content)
        with pytest.raises(UsageError, match=words):
            of.entered()


@pytest.mark.parametrize("level", LEVELS[1:])
def test_looking_takes_no_longer_than_it_may(tmp_path, level):
    """The full v0.5 of eleven submissions: 3,850 trials, of which half are there."""
    plan = {}
    for workload in ("fastmri", "fastmri_tanh", "wmt", "wmt_glu_tanh"):
        for submission in range(11):
            for study in range(5):
                for trial in range(1, 6):
                    folder = Path(f"v0.5/external/s{submission}/study_{study}/{workload}_jax/trial_{trial}")
                    plan[str(folder)] = {"workload": workload}
                    if trial % 2:
                        (tmp_path / folder).mkdir(parents=True)
                        result = {"status": "reached", "time_to_target": 9.0, "charged_time": 9.0}
                        (tmp_path / folder / official_files.RESULT).write_text(json.dumps(result))
    results = Results(plan, tmp_path, "v0.5", "external")
    place = Place("s3", "fastmri", "study_4", "trial_2")
    results.only(place, level)
    before = time.process_time()  # of this process alone: others may keep the machine busy
    results.look(0.0)
    assert time.process_time() - before < 0.05
    results.look()
    before = time.process_time()
    entered = race.Race(level, place, results)
    assert entered.bound().seconds == 9.0
    assert time.process_time() - before < 0.05  # half of them are looked for in vain


def test_a_plan_of_the_workflow_can_be_read(tmp_path, data):
    of = Race(tmp_path, data)
    assert len(read_plan(of.plan)) == 3
