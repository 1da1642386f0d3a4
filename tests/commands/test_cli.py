"""The command line as a person meets it: results, one-sentence errors and exit codes."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from algoperf.benchmark.registry import workload_names
from algoperf.commands.cli import main
from algoperf.machine.lock import FolderLock
from tests.conftest import REPOSITORY
from tests.support.little_trials import as_if_its_budget_had_ended_it
from tests.support.odd_machines import latin_1, mounted


def run(*arguments, env=None):
    """`algoperf ...` in this process, which has imported what it needs."""
    out, said = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(said):
        patch.setattr(sys, "argv", ["algoperf", *map(str, arguments)])
        for name, value in (env or {}).items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    for stream in (out, said):
        stream.seek(0)
    return subprocess.CompletedProcess(arguments, ended.value.code or 0, out.read(), said.read())


def run_anew(*arguments, env=None):
    """The same in a process of its own."""
    command = [sys.executable, "-m", "algoperf", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=REPOSITORY, env={**os.environ, **(env or {})}, check=False
    )


def trial(out, data_dir="data", **changed):
    options = {
        "workload": "criteo1tb",
        "framework": "pytorch",
        "submission": "nadamw",
        "protocol": "mini",
        "ruleset": "external",
        "study": 0,
        "trial": 1,
        "data-dir": data_dir,
        "out": out,
        **changed,
    }
    return ["trial", *(word for name, value in options.items() for word in (f"--{name}", value))]


@pytest.mark.parametrize(
    "command",
    [
        *([], ["trial"], ["score"], ["plan"], ["status"], ["rerun"], ["workloads"], ["doctor"]),
        *(["data"], ["data", "prepare"]),
    ],
)
def test_every_command_explains_itself(command):
    found = run(*command, "--help")
    assert found.returncode == 0
    assert "Usage" in found.stdout


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"workload": "mnist"}, "'mnist'"),
        ({"workload": "finewebedu_lm", "protocol": "v0.5"}, "is not part of protocol v0.5; it has budgets for v0.6"),
        ({"framework": "tensorflow"}, "'tensorflow'"),
        ({"submission": "adamwx"}, "'adamwx'"),
        ({"protocol": "v7"}, "'v7'"),
        ({"ruleset": "internal"}, "'internal'"),
        ({"trial": 2}, "its trials are 1 to 1"),
        ({"trial": 0}, "its trials are 1 to 1"),
        ({"study": 1}, "its studies are 0 to 0"),
        ({"accelerator": "V9000"}, "does not say what the accelerator 'V9000' is; it knows local"),
        ({"racing": "all"}, "there is no racing 'all'; there are none, trials, studies, scores"),
        ({"racing": "trials"}, "racing 'trials' needs --plan"),
        ({"data-dir": "no/such/folder"}, "algoperf data prepare criteo1tb --scale mini --data-dir no/such/folder"),
    ],
)
def test_bad_input_is_one_sentence_exit_code_2_and_nothing_written(algoperf, tmp_path, data_dir, changed, names):
    code, _, said = algoperf(*trial(tmp_path / "out", data_dir, **changed))
    assert (code, said.count("\n")) == (2, 1)
    assert names in said
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("source", "space", "names"),
    [
        ("def get_batch_size(name): return 1", "[{}]", "no init_optimizer_state"),
        ("1 +", '[{"lr": 1}]', "SyntaxError"),
        (None, '{"lr": {"min": 1}}', "'lr'"),
        (None, None, "has no search_space.json"),
    ],
)
def test_a_bad_submission_is_one_too(algoperf, tmp_path, data_dir, source, space, names):
    folder = tmp_path / "mine"
    folder.mkdir()
    good = (REPOSITORY / "submissions" / "nadamw" / "pytorch.py").read_text()
    (folder / "pytorch.py").write_text(good if source is None else source)
    if space is not None:
        (folder / "search_space.json").write_text(space if space != "[{}]" else '[{"lr": 1}]')
    code, _, said = algoperf(*trial(tmp_path / "out", data_dir, submission=folder))
    assert (code, said.count("\n")) == (2, 1)
    assert names in said
    assert not (tmp_path / "out").exists()


def test_a_batch_size_that_does_not_divide_over_the_devices(tmp_path, data_dir):
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}
    found = run_anew(*trial(tmp_path / "out", data_dir, framework="jax"), env=devices)
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "1024 of the submission does not divide over 3 devices" in found.stderr
    assert not (tmp_path / "out").exists()


def test_a_process_that_has_lost_the_others_says_how_they_are_started(tmp_path, data_dir):
    found = run_anew(*trial(tmp_path / "out", data_dir), env={"LOCAL_RANK": "0"})
    assert (found.returncode, found.stderr.count("\n")) == (2, 1)
    assert "LOCAL_RANK is set but RANK is not; start a trial's processes with torchrun or srun" in found.stderr
    assert not (tmp_path / "out").exists()


def test_other_hardware_than_the_accelerator_that_was_asked_for_is_refused(tmp_path, data_dir):
    site = tmp_path / "site.yaml"
    site.write_text("accelerators: {volta: {device: Tesla V100, count: 8}}")
    found = run_anew(*trial(tmp_path / "out", data_dir, accelerator="volta"), env={"ALGOPERF_CLUSTER": str(site)})
    assert (found.returncode, found.stderr.count("\n")) == (1, 1)
    assert "this trial is for volta, 8 x Tesla V100, but" in found.stderr
    assert found.stderr == f"error: {(tmp_path / 'out' / 'error.log').read_text()}"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["error.log"]


def test_a_trial_prints_how_it_went(tmp_path, data_dir):
    """The first time in a shell that says that it is a task of eight in a job, and is not."""
    nothing = tmp_path / "slurm.conf"  # for a file that is not there Slurm's commands wait a minute
    nothing.touch()
    left = {"SLURM_JOB_ID": "17", "SLURM_STEP_NUM_TASKS": "8", "SLURM_GPUS_ON_NODE": "8", "SLURM_CONF": str(nothing)}
    found = run_anew(*trial(tmp_path / "out", data_dir), "--max-steps", 2, env=left)
    assert found.returncode == 0, found.stderr
    assert "SLURM_JOB_ID is 17, but that cannot be confirmed (Slurm's " in found.stderr
    evidence = json.loads((tmp_path / "out" / "meta_data_0.json").read_text())["hardware_evidence"]
    assert evidence["slurm"] == {}
    assert "until loss <=" in found.stdout
    assert "step       2" in found.stdout
    assert "budget_exhausted" in found.stdout
    status = json.loads((tmp_path / "out" / "result.json").read_text())["status"]
    again = run(*trial(tmp_path / "out", data_dir), "--max-steps", 2)
    assert status in again.stdout
    assert "step       2" not in again.stdout
    other = run(*trial(tmp_path / "out", data_dir, ruleset="self"))
    assert (other.returncode, other.stderr.count("\n")) == (2, 1)
    assert "is the folder of another trial (its ruleset differs)" in other.stderr


def test_damaged_data_is_named_before_anything_is_written_and_the_trial_can_be_run_again(algoperf, tmp_path, data_dir):
    out = tmp_path / "trial_1"
    broken = tmp_path / "data" / "nyc_flights"
    broken.mkdir(parents=True)
    for path in (data_dir / "nyc_flights").iterdir():
        (broken / path.name).symlink_to(path)
    victim = broken / "day_0.rows"
    victim.unlink()
    victim.write_bytes(b"short")
    code, _, said = algoperf(*trial(out, tmp_path / "data"))
    assert (code, said.count("\n")) == (2, 1)
    assert "day_0" in said
    assert not out.exists()
    assert algoperf(*trial(out, data_dir), "--max-steps", 1)[0] == 0


def test_workloads_as_a_table_and_as_json():
    table = json.loads(run("workloads", "--json").stdout)
    assert [entry["name"] for entry in table] == workload_names()
    entry = json.loads(run("workloads", "wmt_attention_temp", "--json").stdout)
    assert entry["target"] == {"metric": "bleu", "validation": 29.3379, "test": 29.4143, "goal": "max"}
    assert "criteo1tb_embed_init" in run("workloads", env={"COLUMNS": "200"}).stdout
    assert run("workloads", "mnist").returncode == 2


def test_the_plan_and_the_status_of_an_experiment(tmp_path):
    found = run("plan", "--config", "config/full.yaml", "--nodes", 8, env={"COLUMNS": "200"})
    assert "config/full.yaml: v0.6-a100, 540 trials" in found.stdout
    assert "8 trials at once" in found.stdout
    planned = json.loads(run("plan", "--config", "config/full.yaml", "--json").stdout)
    assert (planned["trials"], planned["accelerators_of_a_trial"]) == (540, 4)
    assert run("plan", "--config", "no.yaml").returncode == 2
    assert run("plan", "--nodes", 0).returncode == 2
    statuses = json.loads(run("status", tmp_path, "--json").stdout)
    assert len(statuses) == 27
    assert {entry["progress"] for entry in statuses} == {"waiting"}


@pytest.fixture(scope="module")
def results(tmp_path_factory, data_dir):
    """The trials of two contestants: one is done; the other has begun, and is in nobody's hands."""
    results = tmp_path_factory.mktemp("results")
    done, stopped = (folder_of(results, label) for label in ("nadamw_pytorch", "nesterov_pytorch"))
    assert run(*trial(done, data_dir), "--max-steps", 2).returncode == 0
    as_if_its_budget_had_ended_it(done)
    stopped.mkdir(parents=True)
    evaluations = (done / "eval_measurements.csv").read_text() + "1,2,half a r"
    (stopped / "eval_measurements.csv").write_text(evaluations)
    return results


def folder_of(results, label):
    return results / "mini" / "external" / label / "study_0" / "criteo1tb_pytorch" / "trial_1"


def statuses(results, asked=run):
    """Contestant -> the status of its trial on Criteo."""
    found = json.loads(asked("status", results, "--json").stdout)
    return {entry["trial"]["label"]: entry for entry in found if entry["trial"]["workload"] == "criteo1tb"}


def test_the_status_of_trials_that_are_done_that_run_and_that_have_stopped(results):
    found = statuses(results)
    done, stopped = found["nadamw_pytorch"], found["nesterov_pytorch"]
    assert (done["progress"], done["outcome"], done["global_step"]) == ("done", "budget_exhausted", 2)
    assert (stopped["progress"], stopped["global_step"], stopped["best"]) == ("stopped", 2, done["best"])
    with FolderLock(Path(stopped["folder"])):
        running = statuses(results, run_anew)["nesterov_pytorch"]
    assert (running["progress"], running["global_step"]) == ("running", 2)
    assert running["outcome"].startswith(f"process {os.getpid()} on ")


def test_the_plan_says_what_a_real_trial_took_beside_what_was_expected_of_it(results, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "protocol: mini\nworkloads: [criteo1tb]\n"
        "submissions: [{name: nadamw, framework: pytorch}, {name: nesterov, framework: pytorch}]\n"
        f"results_dir: {results}\n"
    )
    (row,) = json.loads(run("plan", "--config", config, "--json").stdout)["workloads"]
    assert (row["trials"], row["done"]) == (2, 1)
    folder = folder_of(results, "nadamw_pytorch")
    result, metadata = (json.loads((folder / name).read_text()) for name in ("result.json", "meta_data_0.json"))
    with (folder / "eval_measurements.csv").open() as file:
        last = list(csv.DictReader(file))[-1]
    free = float(last["accumulated_eval_time"]) + float(last["accumulated_logging_time"])
    held = result["charged_time"] + free + metadata["seconds_to_first_step"]
    assert row["accelerator_hours"]["took"] == pytest.approx(held / 3_600)
    expected = row["seconds_expected"]["held"]
    assert row["accelerator_hours"]["expected_of_done"] == pytest.approx(expected / 3_600)
    assert row["accelerator_hours"]["left"] == pytest.approx((expected + held) / 2 / 3_600)
    assert " 1/2 " in run("plan", "--config", config).stdout


def test_the_status_says_when_waiting_and_running_trials_will_have_ended(results):
    with FolderLock(folder_of(results, "nesterov_pytorch")):
        found = statuses(results, run_anew)
    assert found["nadamw_pytorch"]["ends_in"] is None
    assert found["nesterov_pytorch"]["ends_in"] >= 0
    assert found["nadamw_jax"]["ends_in"] > found["nesterov_pytorch"]["ends_in"]


def test_the_status_of_a_trial_that_failed_says_why_and_which_log(algoperf, tmp_path, data_dir):
    folder = folder_of(tmp_path, "nadamw_pytorch")
    (folder / "measurements.csv").mkdir(parents=True)  # where a file must be
    code, _, said = algoperf(*trial(folder, data_dir), "--max-steps", 2)
    assert (code, said.count("\n")) == (1, 1)
    assert said.endswith(": Is a directory.\n")
    assert not (folder / "result.json").exists()
    failed = statuses(tmp_path)["nadamw_pytorch"]
    assert failed["progress"] == "failed"
    assert "IsADirectoryError" in failed["outcome"]
    assert str(folder / "error.log") in failed["outcome"]
    (folder / "measurements.csv").rmdir()
    assert algoperf(*trial(folder, data_dir), "--max-steps", 2)[0] == 0


def test_a_finished_trial_is_put_back_to_be_run(results, tmp_path):
    mine = shutil.copytree(results, tmp_path / "results")
    config = tmp_path / "config.yaml"
    config.write_text(f"protocol: mini\nsubmissions: [{{name: nadamw, framework: pytorch}}]\nresults_dir: {mine}\n")
    nothing = run("rerun", "--status", "out_of_memory,submission_error", "--config", config)
    assert (nothing.returncode, nothing.stderr.count("\n")) == (2, 1)
    assert "the trials that have a result are 1 budget_exhausted" in nothing.stderr
    found = run("rerun", "criteo1tb", "--status", "budget_exhausted", "--config", config)
    assert found.returncode == 0
    (moved,) = map(Path, found.stdout.split())
    assert moved.is_relative_to(mine / "superseded")
    assert (moved / "result.json").exists()
    assert statuses(mine)["nadamw_pytorch"]["progress"] == "waiting"


def test_unlike_hardware_is_scored_only_where_that_is_said(results, tmp_path):
    mine = shutil.copytree(results, tmp_path / "results")
    first, second = (folder_of(mine, label) for label in ("nadamw_pytorch", "nesterov_pytorch"))
    shutil.copytree(first, second, dirs_exist_ok=True)
    result = json.loads((first / "result.json").read_text())
    result["hardware"]["name"] = "Another CPU"
    (second / "result.json").write_text(json.dumps(result))
    logs = mine / "mini" / "external"
    score = ["score", logs, "--protocol", "mini", "--ruleset", "external", "--out", tmp_path / "scores"]
    refused = run(*score)
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "1 on 1 x Another CPU" in refused.stderr
    assert not (tmp_path / "scores").exists()
    scored = run(*score, "--allow-mixed-hardware", "--partial", "2 of 9 trials", env={"COLUMNS": "200"})
    assert scored.returncode == 0
    for text in (scored.stdout, (tmp_path / "scores" / "leaderboard.txt").read_text()):
        assert "partial: 2 of 9 trials" in text
        assert "mixed hardware: 2 kinds" in text


def test_doctor_says_what_is_there_and_what_to_mend(tmp_path, data_dir):
    config = tmp_path / "config.yaml"
    config.write_text(f"protocol: mini\nsubmissions: [{{name: nadamw, framework: jax}}]\ndata_dir: {data_dir}\n")
    found = run("doctor", "--config", config)
    assert found.returncode == 0
    assert "data nyc_flights" in found.stdout
    config.write_text("protocol: mini\nsubmissions: [{name: nadamw, framework: jax}]\ndata_dir: no/such\n")
    found = run("doctor", "--config", config, env={"COLUMNS": "300"})
    assert found.returncode == 1
    assert "algoperf data prepare" in found.stdout


def test_nothing_is_proposed_where_there_is_no_slurm(tmp_path):
    found = run_anew("doctor", "--propose", env={"PATH": str(tmp_path)})
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == "error: Slurm's sinfo cannot be run: No such file or directory.\n"


def test_prepared_data_can_be_verified(data_dir):
    found = run("data", "verify", "criteo1tb", "--scale", "mini", "--data-dir", data_dir)
    assert (found.returncode, "every checksum" in found.stdout) == (0, True)
    found = run("data", "prepare", "criteo1tb", "--scale", "mini", "--data-dir", data_dir)
    assert found.returncode == 0
    assert run("data", "prepare", "criteo1tb", "--scale", "tiny", "--data-dir", data_dir).returncode == 2


def test_a_trial_that_racing_has_ended_goes_on_without_it(algoperf, tmp_path, data_dir):
    study = Path("mini", "external", "nadamw_pytorch", "study_0", "criteo1tb_pytorch")
    out, sibling, plan = (tmp_path / path for path in (study / "trial_1", study / "trial_2", "mini/plan.json"))
    sibling.mkdir(parents=True)
    told = {"status": "reached", "time_to_target": 1e-6, "charged_time": 1.0}
    (sibling / "result.json").write_text(json.dumps(told))
    plan.write_text(json.dumps({str(study / name): {"workload": "criteo1tb"} for name in ("trial_1", "trial_2")}))
    raced = [*trial(out, data_dir), "--max-steps", 2, "--racing", "trials", "--plan", plan]
    for _ in range(2):  # the second time it is done
        assert "pruned" in algoperf(*raced)[1]
        result = json.loads((out / "result.json").read_text())
        assert (result["status"], result["global_step"], result["preemptions"]) == ("pruned", 1, 0)
        assert result["racing"]["set_by"] == [str(sibling)]
    assert "budget_exhausted" in algoperf(*trial(out, data_dir), "--max-steps", 2)[1]
    result = json.loads((out / "result.json").read_text())
    assert (result["status"], result["global_step"], result["racing"]) == ("budget_exhausted", 2, None)


def test_what_a_disk_refuses_is_one_sentence(tmp_path, data_dir):
    """A dead link, a file in place of a folder, a disk that can only be read, a full one, what nobody may read."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("/no/such/disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    fetched = f"mkdir {disk}/raw\nln -s {data_dir}/raw/moleculeace {disk}/raw/moleculeace"
    for folder, before, words in (
        (tmp_path / "link", (), f"{tmp_path / 'link'} is a link to /no/such/disk, which is not there"),
        (tmp_path / "file", (), "Not a directory"),
        (disk, mounted(f"mount -t tmpfs -o ro tmpfs {disk}"), "Read-only file system"),
        (disk, mounted(f"mount -t tmpfs -o size=200k tmpfs {disk}\n{fetched}"), "0.0 GB free|No space left on device"),
    ):
        command = [sys.executable, "-m", "algoperf", "data", "prepare", "ogbg", "--scale", "mini", "--data-dir", folder]
        found = subprocess.run([*before, *command], cwd=REPOSITORY, capture_output=True, text=True, check=False)
        assert found.returncode in (1, 2)
        assert (found.stderr.count("\n"), found.stderr.startswith("error: ")) == (1, True), found.stderr
        assert re.search(words, found.stderr)


@pytest.mark.parametrize("command", [["workloads"], ["plan"], ["status"], ["workloads", "fastmri"]])
def test_a_terminal_in_latin_1_shows_what_it_can(command):
    found = subprocess.run(
        [sys.executable, "-m", "algoperf", *command],
        cwd=REPOSITORY,
        env={**os.environ, **latin_1(), "PYTHONIOENCODING": "", "PYTHONUTF8": "0"},
        capture_output=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    assert "fastmri" in found.stdout.decode("latin-1")
