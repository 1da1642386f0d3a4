"""Planning, scoring, --help and the parse of the Snakefile import no framework; benchmarks/startup.py times them."""

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

FRAMEWORKS = ("jax", "flax", "optax", "torch")
LIGHT = {
    "help": "import sys; sys.argv = ['algoperf', '--help']; from algoperf.commands.cli import main; main()",
    "plan": "import sys; sys.argv = ['algoperf', 'plan']; from algoperf.commands.cli import main; main()",
    "status": "import sys; sys.argv = ['algoperf', 'status']; from algoperf.commands.cli import main; main()",
    "workloads": "import sys; sys.argv = ['algoperf', 'workloads']; from algoperf.commands.cli import main; main()",
    "full": "from pathlib import Path; from algoperf import workflow; from algoperf.experiment import config;"
    "workflow.read(config.load(Path('config/full.yaml')).model_dump(mode='json'))",
    "scoring": "import scoring.command, scoring.tables.leaderboard",
    "start": "from algoperf.machine import job, ranks, staging; from algoperf.trial import journal, launch, setup",
    "cluster": "from algoperf.doctor import checks, proposal, survey; from algoperf.experiment import leftovers;"
    "from algoperf.experiment import rerun",
    "data": "from workloads.datasets import imagenet, criteo1tb, fashion_mnist, nyc_flights, prepare",
    "targets": "import algoperf.commands.targets, algoperf.experiment.target_records, scoring.tables.target_plot",
    "core": "from algoperf.trial import evaluate, session, train; import algoperf.submission.loading;"
    "import algoperf.dry_run.table",
}


@pytest.mark.parametrize("name", LIGHT)
def test_no_framework_is_imported(name):
    code = "import atexit, sys\n"
    code += f"atexit.register(lambda: print('imported', [name for name in {FRAMEWORKS} if name in sys.modules]))\n"
    run = subprocess.run(
        [sys.executable, "-c", code + LIGHT[name]], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert run.stdout.splitlines()[-1] == "imported []"
