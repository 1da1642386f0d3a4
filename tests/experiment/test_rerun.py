"""Finished trials put back to be run: which are chosen, that nothing is lost, and what is refused."""

import json
from pathlib import Path

import pytest

from algoperf.benchmark.facts import InfrastructureError, UsageError
from algoperf.experiment import config, plan, rerun
from algoperf.experiment.config import Config
from algoperf.machine import lock
from algoperf.progress import status
from algoperf.records import official_files
from algoperf.records.atomic import write_json
from algoperf.trial import superseded

NADAMW = "v0.6/external/nadamw_jax/study_0"
NESTEROV = "v0.6/external/nesterov_pytorch/study_0"


@pytest.fixture
def experiment() -> Config:
    """Two submissions on two workloads: of each, three studies of five trials."""
    submissions = [{"name": "nadamw", "framework": "jax"}, {"name": "nesterov", "framework": "pytorch"}]
    workloads = ["criteo1tb", "imagenet_resnet"]
    return config.parse({"protocol": "v0.6", "submissions": submissions, "workloads": workloads})


@pytest.fixture
def results(experiment: Config, tmp_path: Path) -> Path:
    """Seven trials are finished, the first two of a study: one ran out of memory, one has an error, five are well."""
    ends = {
        f"{NADAMW}/criteo1tb_jax/trial_1": "out_of_memory",
        f"{NESTEROV}/imagenet_resnet_pytorch/trial_2": "submission_error",
        f"{NESTEROV}/criteo1tb_pytorch/trial_2": None,
    }
    begun = (trial for trial in plan.trials(experiment) if trial.study == 0 and trial.trial <= 2)
    for trial in begun:
        folder = tmp_path / trial.folder
        (folder / "checkpoints").mkdir(parents=True)
        if (end := ends.get(str(trial.folder), "reached")) is not None:
            result = {"status": end, "global_step": 9, "charged_time": 1.0}
            write_json(folder / "checkpoints" / "finished.json", result)
            write_json(folder / official_files.RESULT, result)
    return tmp_path


def moved(results: Path, places: list[Path]) -> list[str]:
    """The trials that lie in `places` now, and that do not where they were."""
    names = sorted(str(place).partition(f"/{superseded.FOLDER}/")[2].partition("/")[2] for place in places)
    for name, place in zip(names, sorted(places), strict=True):
        assert not (results / name).exists()
        assert {path.name for path in place.iterdir()} == {"checkpoints", official_files.RESULT}
        assert (place / "checkpoints" / "finished.json").exists()
    return names


def test_results_of_some_statuses_are_put_back(experiment: Config, results: Path):
    places = rerun.rerun(experiment, results, {"out_of_memory", "submission_error"}, [])
    assert moved(results, places) == [
        f"{NADAMW}/criteo1tb_jax/trial_1",
        f"{NESTEROV}/imagenet_resnet_pytorch/trial_2",
    ]
    progress = {str(s.trial.folder): s.progress for s in status.statuses(plan.trials(experiment), results)}
    assert progress[f"{NADAMW}/criteo1tb_jax/trial_1"] == "waiting"
    assert list(progress.values()).count("done") == 5


ALL_NADAMW = [f"{NADAMW}/{workload}_jax/trial_{k}" for workload in ("criteo1tb", "imagenet_resnet") for k in (1, 2)]
SECONDS = [
    f"{NADAMW}/criteo1tb_jax/trial_2",
    f"{NADAMW}/imagenet_resnet_jax/trial_2",
    f"{NESTEROV}/imagenet_resnet_pytorch/trial_2",
]


@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("nadamw_jax", ALL_NADAMW),
        ("nadamw", ALL_NADAMW),
        ("nada*", ALL_NADAMW),
        ("v0.6/external/nadamw_jax", ALL_NADAMW),
        ("nadamw_jax/study_0/criteo1tb_jax/trial_2", [f"{NADAMW}/criteo1tb_jax/trial_2"]),
        ("trial_2", SECONDS),
        ("study_0/*/trial_2/", SECONDS),
        ("nesterov/study_0/criteo1tb", [f"{NESTEROV}/criteo1tb_pytorch/trial_1"]),
    ],
)
def test_a_name_is_any_part_of_a_trials_path(experiment: Config, results: Path, name: str, chosen: list[str]):
    assert moved(results, rerun.rerun(experiment, results, None, [name])) == chosen


def test_a_name_may_be_the_path_of_the_folder_itself(experiment: Config, results: Path):
    name = f"{results}/{NADAMW}/criteo1tb_jax/trial_1/"
    assert moved(results, rerun.rerun(experiment, results, None, [name])) == [f"{NADAMW}/criteo1tb_jax/trial_1"]


def test_a_workloads_name_is_not_that_of_its_variants(tmp_path: Path):
    experiment = config.parse({"protocol": "v0.5", "submissions": [{"name": "nadamw", "framework": "jax"}]})
    for workload in ("wmt", "wmt_glu_tanh"):
        folder = tmp_path / "v0.5/external/nadamw_jax/study_0" / f"{workload}_jax" / "trial_1"
        folder.mkdir(parents=True)
        write_json(folder / official_files.RESULT, {"status": "reached"})
    (place,) = rerun.rerun(experiment, tmp_path, None, ["wmt"])
    assert place.parts[-2:] == ("wmt_jax", "trial_1")


def test_names_and_statuses_choose_what_has_both(experiment: Config, results: Path):
    places = rerun.rerun(experiment, results, {"reached"}, ["nadamw", "trial_1"])
    assert moved(results, places) == [
        *(name for name in ALL_NADAMW if name != f"{NADAMW}/criteo1tb_jax/trial_1"),
        f"{NESTEROV}/criteo1tb_pytorch/trial_1",
        f"{NESTEROV}/imagenet_resnet_pytorch/trial_1",
    ]


def test_a_result_that_cannot_be_read_is_put_back_by_name(experiment: Config, results: Path):
    name = f"{NADAMW}/criteo1tb_jax/trial_2"
    (results / name / official_files.RESULT).write_text('{"status": ')
    assert moved(results, rerun.rerun(experiment, results, None, [name])) == [name]


def test_a_trial_can_be_put_back_again_and_again(experiment: Config, results: Path):
    name = f"{NADAMW}/criteo1tb_jax/trial_1"
    content = json.loads((results / name / official_files.RESULT).read_text())
    (first,) = rerun.rerun(experiment, results, None, [name])
    (results / name).mkdir()
    write_json(results / name / official_files.RESULT, content)
    (second,) = rerun.rerun(experiment, results, None, [name])
    assert first != second
    assert (
        json.loads((first / official_files.RESULT).read_text())
        == json.loads((second / official_files.RESULT).read_text())
        == content
    )


@pytest.mark.parametrize(
    ("statuses", "names", "sentence"),
    [
        ({"oom"}, [], "there is no status 'oom'; the statuses are reached, budget_exhausted, diverged, out_of_memory"),
        (None, [], "name trials or statuses"),
        (None, ["wmt"], "no finished trial is called 'wmt'; .* are 1 out_of_memory, 5 reached, 1 submission_error"),
        (None, [f"{NESTEROV}/criteo1tb_pytorch/trial_2"], "no finished trial is called"),
        (None, ["nadamw", "typo"], "no finished trial is called 'typo'"),
        (None, [""], "no finished trial is called ''"),
        ({"diverged"}, [], "no trial ended as diverged"),
        ({"diverged", "pruned"}, ["nadamw"], "no trial called nadamw ended as diverged or pruned"),
    ],
)
def test_what_chooses_nothing_is_one_sentence_and_moves_nothing(
    experiment: Config, results: Path, statuses: set[str] | None, names: list[str], sentence: str
):
    with pytest.raises(UsageError, match=sentence):
        rerun.rerun(experiment, results, statuses, names)
    assert not (results / superseded.FOLDER).exists()


def test_an_experiment_without_results_says_so(experiment: Config, tmp_path: Path):
    with pytest.raises(UsageError, match="no trial of this experiment has a result yet"):
        rerun.rerun(experiment, tmp_path, {"reached"}, [])


def test_a_trial_that_is_in_somebodys_hands_is_refused_and_nothing_moves(experiment: Config, results: Path):
    with (
        lock.FolderLock(results / NADAMW / "criteo1tb_jax" / "trial_2"),
        pytest.raises(UsageError, match="criteo1tb_jax/trial_2 is in the hands of process"),
    ):
        rerun.rerun(experiment, results, None, ["nadamw"])
    assert not (results / superseded.FOLDER).exists()


def test_a_folder_that_cannot_be_moved_is_named_and_stays(experiment: Config, results: Path):
    (results / superseded.FOLDER).write_text("a file where the folder must be")
    with pytest.raises(InfrastructureError, match=r"criteo1tb_jax/trial_1 cannot be moved to .*: Not a directory"):
        rerun.rerun(experiment, results, {"out_of_memory"}, [])
    assert (results / NADAMW / "criteo1tb_jax" / "trial_1" / official_files.RESULT).exists()
