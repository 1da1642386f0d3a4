"""The rule `rehearsal`: every cell of a config in jobs of its own, and one table of all; a cell that fails is a row."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.support.own_submissions import GRADIENTS, PYTORCH, write

BIN = Path(sys.executable).parent


MOMENTUM = f"""{GRADIENTS}
with torch.no_grad():
    for parameter, mean in zip(params.parameters(), state["means"], strict=True):
        mean.lerp_(parameter.grad, 0.1)
        parameter -= mean
"""


@pytest.mark.landing("workflows that are run whole")
def test_every_cell_is_rehearsed_and_one_that_fails_stops_no_other(tmp_path):
    broken = write(tmp_path / "broken", "raise TypeError('no such shape')")
    means = "return {'means': [torch.zeros_like(parameter) for parameter in model_params.parameters()]}"
    honest = write(tmp_path / "momentum", MOMENTUM, means, PYTORCH)
    config = {
        "protocol": "mini",
        "rulesets": ["self"],
        "workloads": ["criteo1tb"],
        "submissions": [{"name": str(folder), "framework": "pytorch"} for folder in (broken, honest)],
        "rehearsal": {"steps": 3},
    }
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    command = [BIN / "snakemake", "rehearsal", "--snakefile", REPOSITORY / "Snakefile"]
    command += ["--profile", REPOSITORY / "profiles" / "local", "--configfile", tmp_path / "config.yaml"]
    command += ["--directory", tmp_path]
    environment = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with (tmp_path / "results" / "mini" / "rehearsal" / "rehearsal.csv").open(newline="") as file:
        rows = {row["submission"]: row for row in csv.DictReader(file)}
    assert rows["broken_pytorch"]["ends"] == "fails: first step"
    assert "no such shape" in rows["broken_pytorch"]["why"]
    assert rows["momentum_pytorch"]["same step"] == "bit by bit"
    assert not (tmp_path / "data").exists()
