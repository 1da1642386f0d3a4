"""Every command of ours that a document shows is run, in a copy of the repository, by a reader who follows it.

What would take minutes is cut short: trials stop after two steps of the mini scale, a dry run is of one workload,
Snakemake and `make` plan, pytest collects. ELSEWHERE names the tests of what that leaves out, and of what needs a
cluster or a finished run.
"""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.documents import DOCS, blocks, shown
from tests.support.little_trials import as_if_its_budget_had_ended_it

# The beginning of a command -> the test that runs it really; those in PLANNED are planned here all the same.
ELSEWHERE = {
    "algoperf data prepare criteo1tb --source": (
        "workloads/datasets/test_criteo.py::test_the_command_prepares_a_folder_of_days"
    ),
    **{
        f"algoperf data prepare {workload} --source": (
            "workloads/datasets/test_killed.py::test_a_preparation_may_be_killed_at_any_moment"
        )
        for workload in ("fastmri", "finewebedu_lm", "imagenet_resnet", "librispeech_conformer", "ogbg", "wmt")
    },
    "algoperf data fetch": "commands/test_data.py::test_what_is_fetched_is_prepared_as_it_lies",
    "algoperf data verify": "workloads/datasets/test_verify.py::test_the_command_says_where_the_page_is",
    "algoperf doctor --propose": "doctor/test_proposal.py::test_each_partition_and_kind_of_gpu_is_an_accelerator",
    "algoperf fit": "fit/test_ask.py::test_the_command",
    "algoperf mirror": "scoring/mirror/test_to_tensorboard.py::test_the_command_follows_until_it_is_told_to_end",
    "algoperf status --html status.html --live": (
        "commands/test_status_page.py::test_the_command_keeps_it_true_until_all_is_done"
    ),
    "algoperf submission env": "submission/test_environment.py::test_it_has_what_is_asked_for_over_what_is_here",
    "exec algoperf trial": "cluster/test_workflow.py::test_a_trial_is_run_by_hand_with_the_same_files",
    "make score": "test_workflow.py::test_an_experiment_ends_in_scores_and_a_report",
    "snakemake --profile profiles/local --report": (
        "test_workflow.py::test_snakemakes_own_report_shows_the_scoring_with_captions"
    ),
    "snakemake --profile slurm score": "cluster/test_workflow.py::test_a_run_on_the_cluster_ends_in_a_score",
}
PLANNED = ("make", "snakemake --profile slurm")

# Take seconds each.
LATER = ("algoperf doctor", "algoperf report", "algoperf score", "algoperf trial", "snakemake")

# What a reader puts in the place of a word.
OWN = {
    "NAME": "criteo1tb",
    "LOGS": "tests/data/scoring/logs",
    "path/to/my_folder": "my_idea",
    "v0.6": "mini",
    "wmt": "criteo1tb",  # evaluated in less time
    "results/": "tests/data/scoring/logs",
    "before/": "published:v0.5-self",
    "after/": "published:v0.5-self",
}
OURS = ("algoperf", "snakemake", "make", "python ", "exec")
TRIAL = Path("results", "mini", "external", "my_idea_pytorch", "study_0", "criteo1tb_pytorch", "trial_1")
TRAIN = "algoperf trial --workload criteo1tb --framework pytorch --submission my_idea "


def ours():
    found = {command.partition(" > ")[0] for _, command in shown()}
    return sorted(command for command in found if command.startswith(OURS))


def run_here():
    """With the reader's own words; what is the same then is run once, as are plans of the same in another order."""
    chosen = [one for one in ours() if one.startswith(PLANNED) or not one.startswith(tuple(ELSEWHERE))]
    found = {}
    for command in chosen:
        words = [OWN.get(word, word) for word in shlex.split(command)]
        same = tuple(sorted({*words, "-n"})) if words[0] == "snakemake" else tuple(words)
        found.setdefault(same, shlex.join(words))
    return sorted(found.values())


class Reader:
    """Works in a copy of the repository, with the mini data."""

    def __init__(self, folder, data_dir):
        self.folder = folder
        for name in ("algoperf", "config", "docs", "profiles", "rules", "scoring", "submissions", "workloads", "tests"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("Makefile", "Snakefile", "constraints.txt", "pyproject.toml"):
            shutil.copy(REPOSITORY / name, folder)
        (folder / "slurm").symlink_to(Path("profiles", "slurm"))
        (folder / "data").symlink_to(data_dir)

    def run(self, command):
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
        }
        return subprocess.run(
            shlex.split(command), cwd=self.folder, env=environment, capture_output=True, text=True, check=False
        )


@pytest.fixture(scope="module")
def reader(tmp_path_factory, data_dir):
    """Has followed "Write a submission" to its first config and its first trial, which lies where those of an
    experiment do, and the template's README to its first command."""
    reader = Reader(tmp_path_factory.mktemp("clone"), data_dir)
    (config,) = [block for block in blocks((DOCS / "submission.md").read_text(), "yaml") if "name: my_idea" in block]
    (reader.folder / "mine.yaml").write_text(config)
    for name, framework in (("my_idea", "pytorch"), ("idea", "jax")):
        made = reader.run(f"algoperf new-submission {name} --framework {framework}")
        assert made.returncode == 0, made.stderr
    (train,) = [command for command in run_here() if command.startswith(TRAIN)]
    words = [*shlex.split(train), "--max-steps", "2"]
    words[words.index("--out") + 1] = str(TRIAL)
    reader.trained = reader.run(shlex.join(words))
    assert reader.trained.returncode == 0, reader.trained.stderr
    as_if_its_budget_had_ended_it(reader.folder / TRIAL)
    return reader


def later(command):
    """Compiling in JAX takes longer than all else, as do a plan of 6,560 jobs and collecting tests. All of it, and what
    takes seconds, is met elsewhere."""
    what, marks = "slow documented commands", []
    if "--framework jax" in command or "config/targets_full.yaml" in command or command.startswith("python -m pytest"):
        marks = [pytest.mark.nightly(what)]
    elif command.startswith(LATER) and not command.startswith(TRAIN):
        marks = [pytest.mark.landing(what)]
    return pytest.param(command, id=command, marks=marks)


@pytest.mark.parametrize("command", [later(command) for command in run_here()])
def test_a_reader_runs_it(command, reader):
    ran, words = None, shlex.split(command)
    match words:
        case _ if command.startswith(TRAIN):
            ran = reader.trained
        case ["algoperf", "new-submission", *_]:
            shutil.rmtree(reader.folder / "submissions" / "my_idea")
        case ["algoperf", "trial", "--dry-run", *_]:
            words += ["--workload", "criteo1tb"]
        case ["algoperf", "trial", *_]:
            words += ["--max-steps", "2"]
            shutil.rmtree(reader.folder / "trial_1", ignore_errors=True)  # another page's
        case ["make" | "snakemake", *_]:
            words.append("-n")
        case ["python", "-m", "pytest", *_]:
            words += ["--collect-only", "-q"]
    ran = ran or reader.run(shlex.join(words))
    # The doctor's verdict is of this machine: 1 where it has something to mend.
    assert ran.returncode == 0 or (words[:2] == ["algoperf", "doctor"] and ran.returncode == 1), ran.stderr
    assert ran.stdout or words[0] == "snakemake"
    assert "Traceback" not in ran.stdout + ran.stderr


def test_what_takes_longer_is_run_by_another_test():
    for beginning, test in ELSEWHERE.items():
        assert any(command.startswith(beginning) for command in ours()), f"{beginning}: no document shows it any more"
        file, _, function = test.partition("::")
        assert f"def {function}(" in (REPOSITORY / "tests" / file).read_text()
