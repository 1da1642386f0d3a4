"""A real MLflow server on this machine takes the runs, and gives them back."""

import math
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

pytest.importorskip("mlflow.server", reason="no MLflow with its server is installed")

from mlflow import MlflowClient

from scoring.mirror.follow import Follower
from scoring.mirror.to_mlflow import Mlflow
from tests.conftest import REPOSITORY
from tests.scoring.mirror.conftest import BEGAN, FOLDER, Trial
from tests.support.ports import free_ports

pytestmark = pytest.mark.nightly("a server of MLflow")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder, (port,) = tmp_path_factory.mktemp("mlflow"), free_ports(1)
    store = ["--backend-store-uri", f"sqlite:///{folder}/runs.db", "--default-artifact-root", str(folder / "artifacts")]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen([*command, *store], stdout=log, stderr=log, cwd=folder, start_new_session=True)
    uri = f"http://127.0.0.1:{port}"
    try:
        for _ in range(300):
            try:
                urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{uri}/health", timeout=5)
                break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()
                time.sleep(0.3)
        yield uri
    finally:
        os.killpg(process.pid, 15)
        process.wait()


def look(tmp_path, server):
    """By a mirror that has just been begun, on a machine that knows nothing of the last one."""
    Follower(tmp_path / "results", Mlflow(server), lambda sentence: None).look()


def test_a_server_has_every_row_once_and_what_the_run_is(trial, tmp_path, server):
    for _ in range(2):
        trial.evaluate()
        look(tmp_path, server)
        look(tmp_path, server)
    client = MlflowClient(server)
    experiment = client.get_experiment_by_name("algoperf/mini/external").experiment_id
    (run,) = client.search_runs([experiment])
    assert (run.info.status, run.data.tags["algoperf.status"]) == ("RUNNING", "unfinished")
    trial.evaluate().end()
    look(tmp_path, server)
    (run,) = client.search_runs([experiment])
    assert (run.info.status, run.info.run_name) == ("FINISHED", FOLDER)
    assert (run.info.start_time, run.info.end_time) == (1_000 * BEGAN, 1_000 * (BEGAN + 15))
    assert run.data.params == {"learning_rate": "0.1", "betas": "[0.9, 0.99]"}
    assert run.data.tags["algoperf.hardware"] == "4 x NVIDIA A100, 40 GiB"
    assert run.data.tags["algoperf.status"] == "reached"
    history = client.get_metric_history(run.info.run_id, "validation/bleu")
    assert [(one.step, one.value, one.timestamp) for one in history] == [
        (10 * n, 1.5 * n, 1_000 * (BEGAN + 5 * n)) for n in (1, 2, 3)
    ]
    assert len(client.get_metric_history(run.info.run_id, "submission/loss")) == 7
    assert any(math.isnan(one.value) for one in client.get_metric_history(run.info.run_id, "validation/loss"))


def test_a_trial_that_failed_is_a_run_that_failed(tmp_path, server):
    Trial(tmp_path / "results", "mini/self/other_jax/study_0/wmt_jax/trial_1").end("out_of_memory")
    look(tmp_path, server)
    client = MlflowClient(server)
    (run,) = client.search_runs([client.get_experiment_by_name("algoperf/mini/self").experiment_id])
    assert (run.info.status, run.data.tags["algoperf.status"]) == ("FAILED", "out_of_memory")


def test_more_rows_than_a_server_takes_at_once(tmp_path, server):
    trial = Trial(tmp_path / "results", "v0.5/self/long_jax/study_0/wmt_jax/trial_1")
    for _ in range(400):
        trial.evaluate()
    look(tmp_path, server)
    client = MlflowClient(server)
    (run,) = client.search_runs([client.get_experiment_by_name("algoperf/v0.5/self").experiment_id])
    assert len(client.get_metric_history(run.info.run_id, "validation/bleu")) == 400


def test_a_server_that_is_not_there_is_one_sentence(trial, tmp_path):
    trial.evaluate()
    (port,) = free_ports(1)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    ran = subprocess.run(
        [sys.executable, "-m", "algoperf", "mirror", "results", "--to", f"mlflow:http://127.0.0.1:{port}", "--once"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr.count("\n")) == (1, 1), ran.stderr
    assert f"error: MLflow at http://127.0.0.1:{port} does not take it: " in ran.stderr
