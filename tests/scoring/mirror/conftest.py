"""Trials whose files grow as a trial's do, by what writes them in a trial."""

import os

import pytest

from algoperf.records import official_files
from algoperf.records.atomic import write_json

FOLDER = "mini/external/mine_jax/study_0/wmt_jax/trial_1"
POINT = {"learning_rate": 0.1, "betas": [0.9, 0.99]}
BEGAN = 1_700_000_000


class Trial:
    """Evaluated every 10 steps and 5 charged seconds; logs a metric every 5 steps."""

    def __init__(self, results, folder=FOLDER, slowness=1.0):
        self.folder, self.slowness, self.evaluated = results / folder, slowness, 0
        (self.folder / "checkpoints").mkdir(parents=True)
        write_json(self.folder / "hparams.json", POINT)
        write_json(self.folder / "meta_data_0.json", {"rng_seed": 7, "cpu_model_name": "a processor"})
        os.utime(self.folder / "meta_data_0.json", (BEGAN, BEGAN))
        self.evaluations = official_files.Table(self.folder / official_files.EVALUATIONS)
        self.measurements = official_files.Table(self.folder / "measurements.csv")

    def evaluate(self, **more):
        self.measurements.append(
            [{"global_step": step, "loss": 1 / (1 + step)} for step in (10 * self.evaluated, 10 * self.evaluated + 5)]
        )
        self.evaluated += 1
        row = {
            "accumulated_submission_time": 5.0 * self.evaluated * self.slowness,
            "global_step": 10 * self.evaluated,
            "validation/bleu": 1.5 * self.evaluated,
            "validation/loss": float("nan") if self.evaluated == 2 else 0.25,
        }
        self.evaluations.append([{**row, **more}])
        return self

    def end(self, status="reached"):
        self.measurements.append([{"global_step": 10 * self.evaluated, "loss": 0.0}])
        hardware = {"kind": "gpu", "name": "NVIDIA A100", "count": 4, "memory_gib": 40}
        result = {"status": status, "time_to_target": 5.0 if status == "reached" else None, "hardware": hardware}
        write_json(self.folder / official_files.RESULT, {**result, "versions": {"jax": "0.10"}})
        return self


@pytest.fixture
def trial(tmp_path):
    return Trial(tmp_path / "results")
