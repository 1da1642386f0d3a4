"""The workflow on a real Slurm: `snakemake --profile slurm score` through everything that a cluster does to jobs.

Thirty-two steps stand for a charged second (`steps_as_time.py`), so each fault's evaluations and scores must equal, to
the last digit, those of the same trials without it.
"""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.support.documents import DOCS, blocks
from tests.support.own_submissions import PYTORCH, write, write_points
from tests.support.patience import wait_until
from tests.support.several_processes import QUICK_COMPILATION

pytestmark = pytest.mark.timeout(1_800)  # the first of them waits for all runs

OTHERS = "other ends of jobs on the cluster, a node that swallows them, and trials without the workflow"
LANDING = "trials of two ranks, a killed process and a driver in a job on the cluster"
PARTITIONS = ("v100", "a100", "h200")
TIMES = ("accumulated_eval_time", "accumulated_logging_time", "total_duration", "preemption_count")

# Adam with a rate that reaches both mini targets in 25 to 35 steps; each takes `pause` seconds longer than it must.
MOMENTS = """
mean, square = ([torch.zeros_like(p) for p in model_params.parameters()] for _ in range(2))
return {"mean": mean, "square": square}
"""
ADAM = """
time.sleep(hyperparameters.pause)
params.zero_grad()
logits, _ = workload.model_fn(params, batch, None, ForwardPassMode.TRAIN, rng, True)
loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
summed, number = loss["summed"], loss["n_valid_examples"]
if torch.distributed.is_initialized():
    summed, number = map(torch.distributed.nn.all_reduce, (summed, number))
(summed / number).backward()
rate = hyperparameters.learning_rate * max(0.25, 1 - global_step / 128)
with torch.no_grad():
    for p, mean, square in zip(params.parameters(), state["mean"], state["square"], strict=True):
        mean.lerp_(p.grad, 0.1)
        square.lerp_(p.grad**2, 0.001)
        normalised = (square / (1 - 0.999 ** (global_step + 1))).sqrt() + 1e-8
        p -= rate * mean / (1 - 0.9 ** (global_step + 1)) / normalised
"""
IMPORTED = f"import time\nimport torch.distributed.nn\n{PYTORCH}"

# Takes more memory than the job has, once: at the tenth step of the first try.
HUNGER = """
from pathlib import Path
EATEN = Path(__file__).parents[2] / "eaten"  # not beside it: there it would be a part of what it is made of
adam = update_params

def update_params(**arguments):
    if arguments["global_step"] == 10 and not EATEN.exists():
        EATEN.touch()
        eaten = torch.ones(2**29, dtype=torch.float32) + torch.ones(2**29, dtype=torch.float32)
    return adam(**arguments)
"""


class Experiment:
    """A config of its own on the cluster: some submissions on one accelerator, into one results folder."""

    def __init__(self, site, name, accelerator, labels, **changes):
        self.site, self.name, self.labels = site, name, labels
        self.results = site.folder / name
        self.config = site.folder / f"{name}.yaml"
        content = {
            "protocol": "mini",
            "submissions": [{"name": str(site.folder / label), "framework": "pytorch"} for label in labels],
            "workloads": ["criteo1tb"],
            "accelerator": accelerator,
            "data_dir": str(site.data_dir),
            "results_dir": str(self.results),
        }
        self.config.write_text(yaml.safe_dump({**content, **changes}))

    def start(self, *arguments, target="score", **variables):
        """Snakemake with these arguments, and with these variables in its environment."""
        command = [
            *(sys.executable, REPOSITORY / "tests/support" / "polling_snakemake.py", target, *arguments),
            *("--snakefile", REPOSITORY / "Snakefile", "--profile", REPOSITORY / "slurm"),
            *("--configfile", self.config, "--latency-wait", "5"),
        ]
        log = (self.site.folder / f"{self.name}.log").open("a")
        environment = self.site.environment | variables
        process = subprocess.Popen(
            command, cwd=self.site.folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        self.site.started.append(process)
        return process

    def submit(self):
        """As a job that does what the documentation says, of one processor; its id."""
        (script,) = [block for block in blocks((DOCS / "cluster.md").read_text(), "") if "B:USR2" in block]
        own = {
            "snakemake score": f"{sys.executable} {REPOSITORY / 'tests/support' / 'polling_snakemake.py'} score",
            "--profile slurm": f"--snakefile {REPOSITORY / 'Snakefile'} --profile {REPOSITORY / 'slurm'}",
            "config/full.yaml": f"{self.config} --latency-wait 5",
            "driver.log": f"{self.name}.log",
        }
        for shown, here in own.items():
            assert script.count(shown) == 1
            script = script.replace(shown, here)
        (self.site.folder / "driver.sh").write_text(script)
        return self.site.submit("--parsable", "driver.sh")

    @property
    def log(self):
        return (self.site.folder / f"{self.name}.log").read_text()

    def trials(self):
        """The folder of each trial, by its submission: each has one."""
        folders = sorted(self.results.glob("mini/external/*/study_0/criteo1tb_pytorch/trial_1"))
        return {folder.parts[-4].removesuffix("_pytorch"): folder for folder in folders}

    def curves(self):
        """Trial -> its evaluations, without the columns that a wall clock fills."""
        return {trial: rows(path / "eval_measurements.csv") for trial, path in self.trials().items()}

    def outcomes(self):
        """Trial -> its result."""
        return {trial: json.loads((path / "result.json").read_text()) for trial, path in self.trials().items()}

    def scores(self):
        return (self.results / "mini" / "scores" / "external" / "scores.csv").read_text()

    def job_of(self, trial):
        """The job that runs a trial."""
        return json.loads((self.trials()[trial] / "lock.json").read_text())["job"]

    def is_training(self, trial):
        """Whether a trial has a checkpoint and goes on from it."""
        folder = self.trials().get(trial)
        return folder is not None and (folder / "lock.json").exists() and bool(list(folder.glob("checkpoints/*.npz")))

    def all_train(self, session=0):
        """Whether each of its trials trains, in this session or a later one, or is done."""
        return all(
            (folder / "result.json").exists()
            or ((folder / f"meta_data_{session}.json").exists() and self.is_training(name))
            for name, folder in self.trials().items()
        )


def rows(path):
    with path.open(newline="") as file:
        return [{name: value for name, value in row.items() if name not in TIMES} for row in csv.DictReader(file)]


class Site:
    """The cluster with its description, and the submissions of the tests."""

    def __init__(self, cluster, folder, data_dir):
        self.cluster, self.folder, self.data_dir = cluster, folder, data_dir
        self.started = []
        shared = {"exclusive": False, "cpus": 2, "memory_gib": 3}
        accelerators = {
            **{name: {"partition": name, "constraint": name, **shared} for name in PARTITIONS},
            "whole node": {"partition": "v100", "exclusive": True},
            "one minute": {"partition": "h200", "time_limit": 1, **shared},
            "little memory": {"partition": "hidden", **shared, "memory_gib": 2},
            "two GPUs": {"partition": "h200", "gres": "gpu:h200:2,nvme:1", "count": 2, **shared},
            "Volta": {"partition": "h200", "device": "Tesla V100", "count": 8, **shared},
        }
        command = f"{sys.executable} {REPOSITORY / 'tests/support/steps_as_time.py'}"
        broken = 'test "$SLURMD_NODENAME" != "${BROKEN_NODE:-}" || exit 1'  # as a node that lacks a file system
        environment = {"setup": f"export PYTHONPATH={REPOSITORY}\n{broken}", "command": command}
        description = {"accelerators": accelerators, "environments": {"pytorch": environment}}
        (folder / "cluster.yaml").write_text(yaml.safe_dump(description))
        self.environment = {**cluster.environment, "ALGOPERF_CLUSTER": str(folder / "cluster.yaml")}
        for number in range(20):
            self.add_submission(f"s{number}", pause=1.0 if number else 0.4)  # long enough to be met while it trains
        self.add_submission("quick/s0", pause=0.0)
        self.add_submission("steady/s0", pause=2.0)
        self.add_submission("slow/s0", pause=2.8)  # its 25 steps outlast a job of a minute
        self.add_submission("hungry/s0", pause=0.1, more=HUNGER)

    def add_submission(self, label, pause, more=""):
        folder = write(self.folder / label, ADAM, MOMENTS, IMPORTED, more, batch_size="2**18")
        write_points(folder, {"learning_rate": 0.004 if label.endswith("s0") else 0.005, "pause": pause})

    def slurm(self, *command):
        return self.cluster.run(*command)

    def submit(self, *command):
        """A job that is started in the folder of the site; what sbatch prints."""
        done = subprocess.run(
            ["sbatch", *command], cwd=self.folder, env=self.environment, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def job(self, number):
        """What Slurm says of a job, word by word."""
        return dict(re.findall(r"(\w+)=(\S+)", self.slurm("scontrol", "show", "job", number)))

    def end(self):
        """Ends every Snakemake that still runs because a test was interrupted."""
        for process in self.started:
            if process.poll() is None:
                process.kill()
                process.wait()


@pytest.fixture(scope="module")
def site(slurm_cluster, tmp_path_factory, data_dir):
    site = Site(slurm_cluster, tmp_path_factory.mktemp("site"), data_dir)
    yield site
    site.end()


TWO, THREE = ["s0", "s1"], ["s0", "s2", "s3"]


@pytest.fixture(scope="module")
def undisturbed(site):
    """The trials to which nothing is done, with which all others are compared."""
    run = Experiment(site, "undisturbed", "a100", TWO)
    run.code = run.start().wait(1_000)
    return run


@pytest.fixture(scope="module")
def runs(site, undisturbed):
    """A run whose nodes are lost; another, whose jobs end after a minute and whose Snakemake is killed, goes on all the
    while."""
    limited = Experiment(site, "limited", "one minute", [str(Path("slow", "s0"))])
    process = limited.start()
    # Its minutes are for training: the other, which keeps the machine busy, waits for it.
    wait_until(lambda: limited.is_training("s0"), "training of the slow trial")
    process = kill_snakemake(limited, process, 1)
    lost = Experiment(site, "lost", "whole node", TWO)
    started = lost.start()
    lose_nodes(site, lost)
    # While the workflows go on, and no job is about to start: its srun would wait for minutes until it asks again. What
    # the controller did a moment ago it might not know any more, such as that it has queued a job again, or has started
    # one: what it would start a second time is refused, and the node drained.
    wait_until(lambda: lost.all_train(session=1) and limited.all_train(), "trials that train again")
    site.cluster.restart("slurmctld", "slurmctld", "-D", seconds=5)
    lost.code = started.wait(1_000)
    site.cluster.start_node(lost.dead_node)
    limited.code = process.wait(1_000)
    return {"undisturbed": undisturbed, "lost": lost, "limited": limited}


@pytest.fixture(scope="module")
def landing_runs(site):
    """Two ranks, the killed process of a job, and a driver that is a job and is queued again."""
    found = {
        "two_ranks": Experiment(site, "two_ranks", "two GPUs", ["s0"]),
        "killed": Experiment(site, "killed", "a100", ["s1"]),
        "driven": Experiment(site, "driven", "a100", [str(Path("steady", "s0"))]),
    }
    found["two_ranks"].code = found["two_ranks"].start().wait(1_000)
    started = found["killed"].start()
    with ThreadPoolExecutor() as disturbers:
        disturbed = [
            disturbers.submit(requeue_driver, site, found["driven"]),
            disturbers.submit(end_jobs, site, found["killed"]),
        ]
    for disturber in disturbed:
        disturber.result()
    found["killed"].code = started.wait(1_000)
    found["driven"].code = end_of_job(site, found["driven"].job)
    return found


@pytest.fixture(scope="module")
def more_runs(site):
    """Other ways in which jobs end, their memory's among them, a node that swallows them, and one that is not what it
    should be.
    """
    found = {
        "undisturbed": Experiment(site, "undisturbed_too", "a100", THREE),
        "ended": Experiment(site, "ended_too", "a100", THREE),
        "hungry": Experiment(site, "hungry", "little memory", [str(Path("hungry", "s0"))]),
        "swallowed": Experiment(site, "swallowed", "v100", [str(Path("quick", "s0"))]),
        "refused": Experiment(site, "refused", "Volta", ["s1"]),
    }
    options, broken = {"refused": ["--retries", "0"]}, {"swallowed": "v100-1"}
    started = {name: run.start(*options.get(name, ()), BROKEN_NODE=broken.get(name, "")) for name, run in found.items()}
    requeue_element(site)
    end_jobs(site, found["ended"])
    for name, run in found.items():
        run.code = started[name].wait(1_000)
    wait_until((site.folder / "array" / "1" / "result.json").exists, "result of the array's last element")
    return found


def requeue_driver(site, run):
    """Snakemake as a job, which is told that its time is nearly over while its trial trains."""
    run.job = run.submit()
    wait_until(lambda: run.is_training("s0"), "training of the trial whose driver is a job")
    run.holder = json.loads((run.results / "lock.json").read_text())["job"]
    site.slurm("scancel", "--signal=USR2", "--batch", run.job)


def end_of_job(site, job):
    """Its exit code, when it has ended."""
    wait_until(lambda: site.job(job)["JobState"] in ("COMPLETED", "FAILED"), f"end of job {job}")
    assert site.job(job)["Restarts"] == "1"
    return int(site.job(job)["ExitCode"].partition(":")[0])


def by_hand(site, label, out):
    """The command that a person gives for a trial."""
    trial = [
        *("trial", "--workload", "criteo1tb", "--framework", "pytorch", "--submission", str(site.folder / label)),
        *("--protocol", "mini", "--ruleset", "external", "--study", "0", "--trial", "1"),
        *("--data-dir", str(site.data_dir), "--out", str(out)),
    ]
    return [sys.executable, str(REPOSITORY / "tests/support" / "steps_as_time.py"), *trial]


def requeue_element(site):
    """The same trial twice, as a job array; the last one, whose number is the array's, is told to save."""
    out = site.folder / "array"
    script = f"export PYTHONPATH={REPOSITORY}; exec {' '.join(by_hand(site, 's0', out))}/$SLURM_ARRAY_TASK_ID"
    job = site.submit(
        *("--parsable", "--array=0-1", "--partition=h200", "--cpus-per-task=2"),
        *("--output=array.%a.log", "--open-mode=append", f"--wrap={script}"),
    )
    wait_until(lambda: list((out / "1").glob("checkpoints/*.npz")), "training of an element of an array")
    site.slurm("scancel", "--signal=USR2", f"{job}_1")


def end_jobs(site, run):
    """USR2, a killed process, TERM, `scontrol requeuehold`: for trials s0 to s3, of those that the run has, as they
    train."""
    run.ended = {}

    def end(trial):
        run.ended[trial] = job = run.job_of(trial)
        match trial:
            case "s0":
                site.slurm("scancel", "--signal=USR2", job)
            case "s1":
                os.kill(json.loads((run.trials()[trial] / "lock.json").read_text())["pid"], signal.SIGKILL)
            case "s2":
                site.slurm("scancel", "--signal=TERM", job)
            case "s3":
                site.slurm("scontrol", "requeuehold", job)

    def end_those_that_train():
        for trial in run.trials().keys() - run.ended.keys():
            if run.is_training(trial):
                end(trial)
        return len(run.ended) == len(run.labels)

    wait_until(end_those_that_train, "training of all trials")
    if "s3" not in run.ended:
        return
    held = ("squeue", "--noheader", f"--jobs={run.ended['s3']}", "--format=%T")
    wait_until(lambda: site.slurm(*held).split() == ["PENDING"], "held job")
    site.slurm("scontrol", "release", run.ended["s3"])


def lose_nodes(site, run):
    """One of the run's two nodes is wanted by another partition, the other one dies."""
    trials = ["s0", "s1"]
    wait_until(lambda: all(run.is_training(trial) for trial in trials), "training of both trials")
    preempted, run.dead_node = (recorded(run.trials()[trial] / "meta_data_0.json", "node") for trial in trials)
    run.jobs = [run.job_of(trial) for trial in trials]
    site.slurm(
        "sbatch",
        "--partition=v100_hi",
        "--exclusive",
        f"--nodelist={preempted}",
        "--output=/dev/null",
        "--wrap=sleep 5",
    )
    site.cluster.kill_node(run.dead_node)


def kill_snakemake(run, process, jobs):
    """Kills a run's Snakemake while all of its jobs are in their trials, starts it again, and twice at once.

    Returns the process that goes on.
    """
    wait_until(lambda: sum((folder / "lock.json").exists() for folder in run.trials().values()) == jobs, "jobs")
    process.kill()
    process.wait()
    again = run.start()
    wait_until(lambda: f"{jobs} jobs of an earlier run" in run.log, "leftovers")
    run.code_of_second = run.start().wait(120)
    run.told_second = f"is being written by process {again.pid}"
    return again


def recorded(metadata, name):
    """What a session's metadata says of its job: its `job`, `node` or `partition`."""
    return json.loads(metadata.read_text())["hardware_evidence"]["slurm"][name]


def assert_equal_to(undisturbed, run):
    """The trials that both have: the same evaluations at the same charged time, and no checkpoint or lock left."""
    assert run.code == 0, run.log
    expected, found = undisturbed.curves(), run.curves()
    common = expected.keys() & found.keys()
    assert common
    assert {trial: found[trial] for trial in common} == {trial: expected[trial] for trial in common}
    for folder in run.trials().values():
        assert not (folder / "lock.json").exists()
        assert not list(folder.glob("checkpoints/*.npz"))


def test_a_run_on_the_cluster_ends_in_a_score(undisturbed):
    assert undisturbed.code == 0, undisturbed.log
    assert {result["status"] for result in undisturbed.outcomes().values()} == {"reached"}
    assert len(undisturbed.trials()) == 2
    assert undisturbed.scores().startswith("rank,submission,score\n1,")


def assert_ended_jobs_cost_nothing(run, undisturbed, is_another_job):
    assert_equal_to(undisturbed, run)
    assert {result["preemptions"] for result in run.outcomes().values()} == {1}
    # Slurm runs the same job again where it was queued again; else Snakemake submits another.
    later = {trial: recorded(run.trials()[trial] / "meta_data_1.json", "job") for trial in run.ended}
    assert [trial for trial, job in run.ended.items() if later[trial] != job] == is_another_job


@pytest.mark.landing(LANDING)
def test_the_end_of_a_job_costs_nothing_but_the_work_since_its_checkpoint(landing_runs, undisturbed):
    """By the kill of its process; a time limit, before which Slurm sends USR2, is below."""
    assert_ended_jobs_cost_nothing(landing_runs["killed"], undisturbed, ["s1"])


@pytest.mark.nightly(OTHERS)
def test_other_ends_of_jobs_cost_no_more(more_runs):
    """By USR2, TERM, and `scontrol requeuehold`."""
    assert_ended_jobs_cost_nothing(more_runs["ended"], more_runs["undisturbed"], [])
    assert more_runs["ended"].scores() == more_runs["undisturbed"].scores()


def test_preemption_and_the_death_of_a_node(runs):
    run = runs["lost"]
    assert_equal_to(runs["undisturbed"], run)
    assert run.scores() == runs["undisturbed"].scores()
    assert all(result["preemptions"] >= 1 for result in run.outcomes().values())
    jobs = [recorded(path, "job") for path in run.results.rglob("meta_data_*.json")]
    assert set(jobs) == set(run.jobs)  # each of them queued again by Slurm, none submitted again by Snakemake


def test_a_trial_crosses_a_time_limit_in_pieces(runs):
    """A trial of more than a minute in jobs of one minute.

    Where the machine is so busy that a first job ends before its trial begins, there is a second one.
    """
    run = runs["limited"]
    assert_equal_to(runs["undisturbed"], run)
    assert run.outcomes()["s0"]["preemptions"] >= 1
    jobs = [recorded(path, "job") for path in run.trials()["s0"].glob("meta_data_*.json")]
    assert len(set(jobs)) < len(jobs)  # queued again, not only submitted again


@pytest.mark.nightly(OTHERS)
def test_a_job_that_is_killed_for_its_memory_goes_on(site, undisturbed, more_runs):
    assert_equal_to(undisturbed, more_runs["hungry"])
    assert (site.folder / "eaten").exists()
    assert more_runs["hungry"].outcomes()["s0"]["preemptions"] == 1


@pytest.mark.nightly(OTHERS)
def test_a_node_that_swallows_jobs_is_left_out_by_the_later_ones(undisturbed, more_runs):
    run = more_runs["swallowed"]
    assert_equal_to(undisturbed, run)
    (session,) = run.results.rglob("meta_data_*.json")
    assert recorded(session, "node") == "v100-2"
    assert run.log.count("v100-1 is left out by the jobs that this run submits from now on: jobs ") == 1
    assert not list(run.results.rglob("left_out.json"))


@pytest.mark.landing(LANDING)
def test_a_driver_in_a_job_is_queued_again_and_goes_on(landing_runs, undisturbed):
    run = landing_runs["driven"]
    assert_equal_to(undisturbed, run)
    assert "1 jobs of an earlier run are still there" in run.log
    assert run.holder == run.job  # on another node nobody could tell otherwise that its holder is gone
    assert run.outcomes()["s0"]["preemptions"] == 1


@pytest.mark.nightly(OTHERS)
@pytest.mark.usefixtures("more_runs")
def test_an_element_of_a_job_array_is_queued_again_and_the_other_goes_on(site, undisturbed):
    for element, preemptions in (("0", 0), ("1", 1)):
        folder = site.folder / "array" / element
        assert rows(folder / "eval_measurements.csv") == undisturbed.curves()["s0"]
        assert json.loads((folder / "result.json").read_text())["preemptions"] == preemptions
        assert not (folder / "lock.json").exists()


@pytest.mark.landing(LANDING)
def test_two_ranks_of_one_job_are_one_trial(site, landing_runs, undisturbed):
    run = landing_runs["two_ranks"]
    assert run.code == 0, run.log
    found, expected = run.curves()["s0"], undisturbed.curves()["s0"]
    assert [row["global_step"] for row in found] == [row["global_step"] for row in expected]
    for name in ("validation/loss", "test/loss", "train/loss"):
        # Sums over the examples of a batch in another order, through 25 steps.
        assert [float(row[name]) for row in found] == pytest.approx([float(row[name]) for row in expected], rel=1e-3)
    assert run.outcomes()["s0"]["hardware"]["count"] == 2
    described = site.slurm("scontrol", "show", "job", recorded(run.trials()["s0"] / "meta_data_0.json", "job"))
    assert "TresPerNode=gres:gpu:h200:2,gres:nvme:1" in described


@pytest.mark.nightly(OTHERS)
def test_a_trial_refuses_other_hardware_than_its_config_names(more_runs):
    run = more_runs["refused"]
    assert run.code == 1
    assert "this trial is for Volta, 8 x Tesla V100, but" in run.log
    assert "Traceback" not in run.log
    assert not list(run.results.rglob("result.json"))
    assert not list(run.results.rglob("scores.csv"))


def assert_nothing_was_lost_or_run_twice(run, undisturbed):
    assert (run.code_of_second, run.told_second in run.log) == (1, True)
    assert_equal_to(undisturbed, run)
    for curve in run.curves().values():
        steps = [int(row["global_step"]) for row in curve]
        assert steps == sorted(set(steps))


def test_killing_snakemake_loses_no_trial_and_runs_none_twice(runs):
    """Killed while one runs, and started again."""
    assert_nothing_was_lost_or_run_twice(runs["limited"], runs["undisturbed"])
    assert len(runs["limited"].outcomes()) == 1


@pytest.mark.nightly("twenty jobs whose Snakemake is killed")
def test_killing_the_snakemake_of_twenty(site, undisturbed):
    run = Experiment(site, "twenty", "v100", [f"s{number}" for number in range(20)])
    run.code = kill_snakemake(run, run.start(), 20).wait(1_000)
    assert_nothing_was_lost_or_run_twice(run, undisturbed)
    assert len(run.outcomes()) == 20
    assert {recorded(path, "partition") for path in run.results.rglob("meta_data_*.json")} == {"v100"}


def partitions(runs):
    """Run -> the partitions that its sessions were on."""
    return {
        name: {recorded(path, "partition") for path in run.results.rglob("meta_data_*.json")}
        for name, run in runs.items()
    }


def test_no_trial_ran_on_a_partition_that_its_config_did_not_name(runs):
    """Each run is on one of three."""
    assert partitions(runs) == {"undisturbed": {"a100"}, "lost": {"v100"}, "limited": {"h200"}}


@pytest.mark.landing(LANDING)
def test_nor_did_one_whose_job_or_driver_was_disturbed(landing_runs):
    assert partitions(landing_runs) == {"two_ranks": {"h200"}, "killed": {"a100"}, "driven": {"a100"}}


@pytest.mark.nightly(OTHERS)
def test_a_trial_is_run_by_hand_with_the_same_files(site, undisturbed):
    """By srun; by sbatch it is an element of the array above."""
    out = site.folder / "srun"
    command = ["srun", "--cpus-per-task=2", *by_hand(site, str(Path("quick", "s0")), out)]
    environment = {**site.environment, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, cwd=site.folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert rows(out / "eval_measurements.csv") == undisturbed.curves()["s0"]


@pytest.mark.nightly(OTHERS)
def test_a_jax_trial_has_one_process_for_all_gpus_of_its_node(site):
    out = site.folder / "jax"
    script = (
        "algoperf trial --workload criteo1tb --framework jax --submission nadamw --protocol mini --ruleset external "
        f"--study 0 --trial 1 --max-steps 2 --data-dir {site.data_dir} --out {out}"
    )
    path = f"{Path(sys.executable).parent}:{site.environment['PATH']}"
    environment = {**site.environment, "PATH": path, "XLA_FLAGS": QUICK_COMPILATION}
    command = ["sbatch", "--partition=h200", "--gres=gpu:h200:8", "--cpus-per-task=2", f"--output={out}.log"]
    subprocess.run([*command, f"--wrap={script}"], env=environment, cwd=site.folder, check=True, capture_output=True)
    wait_until((out / "result.json").exists, "result")
    assert json.loads((out / "result.json").read_text())["hardware"]["count"] == 1  # the CPU, as JAX counts devices
    assert recorded(out / "meta_data_0.json", "partition") == "h200"


def test_a_controller_that_is_down_is_said_in_a_sentence(site, without_controller):
    run = Experiment(site, "down", "v100", ["s0"])
    assert run.start(SLURM_CONF=os.environ["SLURM_CONF"]).wait(120) == 1
    assert "error: Slurm's `squeue" in run.log
    assert "Traceback" not in run.log


@pytest.mark.nightly("the dress rehearsal on nodes, in one process and in two")
@pytest.mark.parametrize(("accelerator", "devices"), [("two GPUs", 2), ("a100", 1)])
def test_a_rehearsal_in_the_jobs_that_the_trials_will_have(site, accelerator, devices):
    run = Experiment(site, f"rehearsed_on_{devices}", accelerator, ["s0"], rehearsal={"steps": 3})
    assert run.start(target="rehearsal").wait(600) == 0, run.log
    (record,) = (run.results / "mini" / "rehearsal").glob("*/*/rehearsal.json")
    found = json.loads(record.read_text())
    assert (found["failed"], found["devices"], found["same_step"]) == (None, devices, "bit by bit"), found["why"]
    assert (run.results / "mini" / "rehearsal" / "rehearsal.html").exists()


@pytest.mark.nightly("a cluster with accounting, which goes down and up")
def test_a_run_on_a_cluster_with_accounting(slurm_cluster_with_accounting, tmp_path_factory, data_dir, undisturbed):
    site = Site(slurm_cluster_with_accounting, tmp_path_factory.mktemp("accounted"), data_dir)
    run = Experiment(site, "accounted", "a100", ["s0"])
    process = run.start()
    try:
        wait_until(lambda: run.is_training("s0"), "training")
        site.cluster.restart("slurmdbd", "slurmdbd", "-D", seconds=10)
        run.code = process.wait(600)
    finally:
        site.end()
    assert_equal_to(undisturbed, run)
    assert run.outcomes()["s0"]["preemptions"] == 0
    wait_until(lambda: site.slurm("sacct", "-X", "-n", "-o", "State").split() == ["COMPLETED"], "accounts")


def test_the_command_of_the_readme_finds_the_profile():
    command = [Path(sys.executable).parent / "snakemake", "--profile", "slurm", "score", "-n", "--quiet", "host"]
    command += ["--config", "results_dir=nowhere"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "slurm_extra=--exclusive --signal=USR2@" in done.stdout + done.stderr
