"""What a trial's files say of it, and that none of it is said which the trial will write again."""

import math

import pytest

from algoperf.records import official_files
from scoring.logs.files import read_object
from scoring.mirror.places import find
from scoring.mirror.runs import EVALUATIONS, MEASUREMENTS, Position, read
from tests.conftest import REPOSITORY
from tests.scoring.mirror.conftest import BEGAN, POINT, Trial
from tests.support.little_trials import little_data, made
from tests.support.little_trials import run as run_trial
from tests.support.own_submissions import write


def run_of(trial):
    (place,) = find(trial.folder.parents[5])
    return read(place)


def test_a_run_says_what_its_trial_does(trial):
    assert run_of(trial) is None  # nothing was evaluated yet
    run = run_of(trial.evaluate())
    assert (run.status, run.facts["status"], run.began, run.point) == (None, "unfinished", BEGAN, POINT)
    assert (run.facts["hardware"], run.facts["seed"], run.facts["workload"]) == ("1 x a processor", "7", "wmt")
    assert [row.step for row in run.rows[MEASUREMENTS]] == [0, 5]
    assert [row.seconds for row in run.rows[MEASUREMENTS]] == [0, 2.5]
    (row,) = run.rows[EVALUATIONS]
    assert (row.step, row.seconds, row.values["validation/bleu"]) == (10, 5.0, 1.5)
    run = run_of(trial.evaluate().end())
    assert run.facts["hardware"] == "4 x NVIDIA A100, 40 GiB"
    assert run.facts["software"] == "jax 0.10"
    assert (run.status, run.facts["status"], run.facts["time_to_target"]) == ("reached", "reached", "5.000 s")
    assert [row.step for row in run.rows[MEASUREMENTS]] == [0, 5, 10, 15, 20]
    assert math.isnan(run.rows[EVALUATIONS][1].values["validation/loss"])


def test_what_a_trial_logs_again_after_an_interruption_is_not_said_before(trial):
    trial.evaluate().measurements.append([{"global_step": 10, "loss": 0.5}])
    assert [row.step for row in run_of(trial).rows[MEASUREMENTS]] == [0, 5]


def test_a_position_holds_where_columns_are_added_and_not_where_rows_are_others(trial):
    before = Position.of(run_of(trial.evaluate()), BEGAN)
    key = run_of(trial).key
    trial.evaluate(**{"test/bleu": 1.0})  # writes the whole table anew
    run = run_of(trial)
    assert before.continues_to(run)
    assert run.key == key
    path = trial.folder / official_files.EVALUATIONS
    path.write_text(path.read_text().replace(",1.5,", ",1.6,"))
    assert not before.continues_to(run_of(trial))
    path.write_text("\n".join(path.read_text().split("\n")[:1]))
    assert run_of(trial) is None


def test_a_trial_that_is_begun_anew_is_another_run(trial, tmp_path):
    first = run_of(trial.evaluate())
    assert run_of(Trial(tmp_path / "again", slowness=1.5).evaluate()).key != first.key


@pytest.mark.parametrize("content", ["", "\0\xff", "global_step\n1\n", 'a,"b\n1', "global_step,score\nx,y\n3,inf\n"])
def test_a_table_that_is_none_has_no_rows(trial, content):
    (trial.folder / official_files.EVALUATIONS).write_text(content)
    (trial.folder / "measurements.csv").write_text(content)
    assert run_of(trial) is None
    run = run_of(trial.end("out_of_memory"))
    assert (run.has_failed, run.rows[EVALUATIONS]) == (True, [])


def test_logs_of_others_are_runs_too():
    runs = [read(place) for place in find(REPOSITORY / "tests" / "data" / "scoring" / "logs")]
    found = {run.place.name: run for run in runs if run is not None}
    assert len(found) == 21
    run = found["baseline/study_1/fastmri_jax/trial_1"]
    assert run.facts["status"] == "unfinished"
    assert len(run.rows[EVALUATIONS]) > 10
    assert all("validation/ssim" in row.values for row in run.rows[EVALUATIONS])


def test_the_rows_of_a_real_trial_only_become_more(data_dir, tmp_path):
    """Whenever one looks, and however often it is interrupted."""
    submission = write(
        tmp_path / "mine",
        "workload.metrics_logger.append_scalar_metrics({'seen': global_step}, global_step)",
    )
    data = data_dir, little_data(data_dir, tmp_path / "little")
    out = tmp_path / "results/mini/self/mine_pytorch/study_0/criteo1tb_pytorch/trial_1"
    before, key = None, None

    def look(state=None):
        nonlocal before, key
        (place,) = find(tmp_path / "results") or (None,)
        run = None if place is None else read(place)
        if run is not None:
            assert before is None or before.continues_to(run)
            assert key in (None, run.key)
            before, key = Position.of(run, run.began), run.key

    for stops_after in (3, 2, None):
        try:
            run_trial(made(submission, out, data, "pytorch"), stops_after, report=look)
        except Exception as error:
            assert type(error).__name__ == "InterruptionError"
        look()
    result = read_object(str(out / official_files.RESULT))
    assert result["preemptions"] == 2
    assert before.rows == {EVALUATIONS: 3, MEASUREMENTS: 7}
