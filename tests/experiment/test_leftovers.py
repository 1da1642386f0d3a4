"""What an earlier run has left on the cluster ends before a new one begins; all other jobs go on."""

import re
import sys
import types
from pathlib import Path

import pytest
from snakemake.io import regex_from_filepattern
from snakemake_executor_plugin_slurm.utils import get_job_wildcards

from algoperf import workflow
from algoperf.experiment import config, leftovers, plan
from algoperf.machine import slurm
from algoperf.records import official_files
from tests.conftest import REPOSITORY
from tests.support.patience import wait_until

COMMENT = "rule_trial_criteo1tb_wildcards_results_external_s0_pytorch_0_pytorch_1"

# The step of a job: it saves when it is told that another run takes over.
SAVE_AND_END = "import signal; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1}); open(NAME, 'w'); "
SAVE_AND_END += "signal.sigwait({signal.SIGUSR1}); open(NAME + '.saved', 'w')"


class Jobs:
    """Submits jobs as Snakemake's executor does."""

    def __init__(self, cluster, folder):
        self.cluster, self.folder, self.ids = cluster, folder, []

    def submit(self, command, *options, comment=COMMENT, name=f"{leftovers.PREFIX}_1", workdir=None):
        workdir = workdir or self.folder
        workdir.mkdir(exist_ok=True)
        options = ("--parsable", "--mem=200", f"--comment={comment}", f"--job-name={name}", "-D", workdir, *options)
        self.ids.append(self.cluster.run("sbatch", *options, f"--wrap={command}").strip())
        return self.ids[-1]

    def start(self, name, **identity):
        """One that runs, listens, and saves."""
        (self.folder / f"{name}.py").write_text(SAVE_AND_END.replace("NAME", repr(str(self.folder / name))))
        job = self.submit(f"srun {sys.executable} {self.folder / name}.py", **identity)
        wait_until((self.folder / name).exists, "running job")
        return job


@pytest.fixture
def jobs(on_cluster, tmp_path):
    found = Jobs(on_cluster, tmp_path)
    yield found
    slurm.cancel(found.ids)


def test_jobs_of_the_experiment_end_saved_and_all_others_go_on(jobs, tmp_path):
    running = jobs.start("running")
    waiting = jobs.submit("true", "--hold")
    others = {
        jobs.start("other_trial", comment=COMMENT.replace("s0", "s1")),
        jobs.submit("true", "--hold", comment=f"{COMMENT}0"),
        jobs.submit("true", "--hold", workdir=tmp_path / "elsewhere"),
        jobs.submit("true", "--hold", name="somebody_1"),
        jobs.submit("true", "--hold", name=f"{leftovers.PREFIX}1"),
    }
    said = []
    leftovers.end({COMMENT, "rule_trial_wmt"}, tmp_path, said.append)
    assert len(said) == 1
    assert said[0].startswith("2 jobs of an earlier run are still there")
    assert not slurm.is_active(running)
    assert not slurm.is_active(waiting)
    assert (tmp_path / "running.saved").exists()
    assert not (tmp_path / "other_trial.saved").exists()
    assert others <= {job.id for job in slurm.my_jobs()}


def test_a_job_that_does_not_listen_is_cancelled_when_patience_is_over(jobs, tmp_path):
    deaf = jobs.submit("touch deaf; sleep 1000")  # it has no step that could hear
    wait_until((tmp_path / "deaf").exists, "running job")
    said = []
    leftovers.end({COMMENT}, tmp_path, said.append, patience=0.5)
    assert not slurm.is_active(deaf)
    assert len(said) == 1


def test_where_nothing_is_left_nothing_is_said(jobs, tmp_path):
    jobs.submit("true", "--hold", workdir=tmp_path / "elsewhere")
    leftovers.end({COMMENT}, tmp_path, pytest.fail)


@pytest.mark.parametrize("results", ["results", "/scratch/a b/results", "../results"])
@pytest.mark.parametrize("ruleset", ["external", "self"])
def test_a_trials_comment_is_what_snakemakes_executor_says_of_its_job(results, ruleset):
    """The executor joins a job's wildcards, which are in the order of the output's pattern."""
    submissions = [{"name": "nadamw", "framework": framework} for framework in ("jax", "pytorch")]
    parsed = config.parse(
        {"protocol": "v0.5", "rulesets": [ruleset], "submissions": submissions, "results_dir": results}
    )
    experiment = workflow.read(parsed.model_dump(mode="json"))
    for trial in experiment.trials[::97]:
        pattern = regex_from_filepattern(experiment.result_pattern(trial.workload))
        path = parsed.results_dir / trial.folder / official_files.RESULT
        job = types.SimpleNamespace(wildcards=list(re.match(pattern, str(path)).groupdict().values()))
        said = f"rule_trial_{trial.workload}_wildcards_{get_job_wildcards(job)}"
        assert leftovers.comment(trial, parsed.results_dir) == said
    assert plan.trials(parsed) == experiment.trials


def test_jobs_are_called_by_the_prefix_that_the_profile_gives_them():
    profile = Path(REPOSITORY, "profiles", "slurm", "profile.yaml").read_text()
    assert f"slurm-jobname-prefix: {leftovers.PREFIX}\n" in profile
