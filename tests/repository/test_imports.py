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


# What would make a trial start seconds later: PyTorch's compiler, and what only the preparation of data needs.
LATE = ("torch._dynamo", "pandas", "scipy.signal", "nibabel")
STARTED = """
from algoperf.benchmark import registry, workload
from workloads.datasets import asterisk_prompts, fashion_mnist, nyc_flights, sotu, trans_de_en
for name in registry.base_workloads():
    workload.make_workload(registry.load_spec(name), "pytorch").param_shapes
"""


def imported(names, code):
    """Those of the names that are imported when a program has ended."""
    told = f"import atexit, sys\natexit.register(lambda: print([name for name in {names} if name in sys.modules]))\n"
    command = [sys.executable, "-c", told + code]
    run = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, check=True)
    return run.stdout.splitlines()[-1]


def test_a_trial_in_pytorch_starts_without_what_it_does_not_need():
    assert imported(LATE, STARTED) == "[]"


@pytest.mark.parametrize("name", LIGHT)
def test_no_framework_is_imported(name):
    assert imported(FRAMEWORKS, LIGHT[name]) == "[]"
