"""Racing on a real Slurm: 36 trials of which racing ends most, with faults injected, and the score is the same.

The mini protocol has one study of one trial; here it has three of six (`tests/support/three_studies`).
"""

import csv
import json
import os
import signal

import pytest
import yaml

from tests.cluster.test_workflow import Experiment, Site
from tests.conftest import REPOSITORY
from tests.support.own_submissions import write_points
from tests.support.patience import wait_until

pytestmark = [pytest.mark.timeout(1_800), pytest.mark.nightly("36 trials that race, and go on without")]

# Of each submission some points that reach the target, in 25 steps and more, and some that never do.
RATES = {"quick": (0.004, 0.006, 1e-6, 0.005, 2e-6, 3e-6), "slow": (0.0015, 1e-6, 0.001, 0.0012, 2e-6, 3e-6)}
PYTHON_PATH = os.pathsep.join(map(str, (REPOSITORY / "tests" / "support" / "three_studies", REPOSITORY)))


@pytest.fixture(scope="module")
def site(slurm_cluster, tmp_path_factory, data_dir):
    site = Site(slurm_cluster, tmp_path_factory.mktemp("raced"), data_dir)
    description = yaml.safe_load((site.folder / "cluster.yaml").read_text())
    description["environments"]["pytorch"]["setup"] = f"export PYTHONPATH={PYTHON_PATH}"
    (site.folder / "cluster.yaml").write_text(yaml.safe_dump(description))
    site.environment["PYTHONPATH"] = PYTHON_PATH
    for number, (name, rates) in enumerate(RATES.items()):
        site.add_submission(f"{name}{number}", pause=0.02)
        points = [{"learning_rate": rate, "pause": 0.02} for rate in rates]
        write_points(site.folder / f"{name}{number}", *points)
    yield site
    site.end()


class Raced(Experiment):
    def trials(self):
        """The folder of each trial that has begun."""
        folders = self.results.glob("mini/external/*/*/*/trial_*")
        return {str(folder.relative_to(self.results)): folder for folder in folders}

    def outcomes(self):
        """Trial -> its result, of those that have one."""
        results = {name: folder / "result.json" for name, folder in self.trials().items()}
        return {name: json.loads(path.read_text()) for name, path in results.items() if path.exists()}

    def settings(self, **changes):
        content = yaml.safe_load(self.config.read_text())
        self.config.write_text(yaml.safe_dump({**content, **changes}))

    def steps(self):
        """Trial -> the steps of its evaluations, as they were written."""
        found = {}
        for name, folder in self.trials().items():
            with (folder / "eval_measurements.csv").open(newline="") as file:
                found[name] = [int(row["global_step"]) for row in csv.DictReader(file)]
        return found


def test_36_trials_race_with_faults_and_the_score_is_that_of_all(site):
    run = Raced(site, "raced", "a100", ["quick0", "slow1"], racing="scores", racing_order="sequential")
    process = run.start()
    disturb(site, run)
    assert kill_snakemake_midway(run, process).wait(1_200) == 0, run.log
    outcomes = run.outcomes()
    assert len(outcomes) == 36
    pruned = {name: result for name, result in outcomes.items() if result["status"] == "pruned"}
    assert len(pruned) >= 9, outcomes
    for result in pruned.values():
        assert result["charged_time"] >= result["racing"]["bound"]
        assert result["racing"]["set_by"]
    scores, steps = run.scores(), run.steps()
    assert "ended" in (run.results / "mini" / "scores" / "external" / "leaderboard.txt").read_text()

    run.settings(racing="none")
    assert run.start().wait(1_200) == 0, run.log
    assert {result["status"] for result in run.outcomes().values()} == {"reached", "budget_exhausted"}
    assert run.scores() == scores
    for name, before in steps.items():
        after = run.steps()[name]
        assert after[: len(before)] == before
        assert after == sorted(set(after))  # from its checkpoint: nothing is trained twice
        assert len(after) > len(before) or name not in pruned


def disturb(site, run):
    """USR2, TERM, a killed process, `scontrol requeue`: one of each for the first four trials that train."""
    ended = {}

    def end(name):
        job = run.job_of(name)
        ended[name] = job
        match len(ended):
            case 1:
                site.slurm("scancel", "--signal=USR2", job)
            case 2:
                site.slurm("scancel", "--signal=TERM", job)
            case 3:
                os.kill(json.loads((run.trials()[name] / "lock.json").read_text())["pid"], signal.SIGKILL)
            case 4:
                site.slurm("scontrol", "requeue", job)

    def end_those_that_train():
        for name in run.trials().keys() - ended.keys():
            if len(ended) < 4 and run.is_training(name):
                end(name)
        return len(ended) == 4

    wait_until(end_those_that_train, "training of four trials")


def kill_snakemake_midway(run, process):
    """Kills Snakemake once racing has ended a trial; returns the one that goes on."""
    wait_until(
        lambda: any(result["status"] == "pruned" for result in run.outcomes().values()),
        "a trial that racing ended",
        seconds=1_200,  # all that one waits for of a run
    )
    process.kill()
    process.wait()
    return run.start()
