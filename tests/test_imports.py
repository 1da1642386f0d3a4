"""Planning, scoring, --help and the parse of the Snakefile import no framework; benchmarks/startup.py times them."""

import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

FRAMEWORKS = ("jax", "flax", "optax", "torch")
LIGHT = {
    "help": "import sys; sys.argv = ['algoperf', '--help']; from algoperf.cli import main; main()",
    "plan": "import sys; sys.argv = ['algoperf', 'plan']; from algoperf.cli import main; main()",
    "status": "import sys; sys.argv = ['algoperf', 'status']; from algoperf.cli import main; main()",
    "workloads": "import sys; sys.argv = ['algoperf', 'workloads']; from algoperf.cli import main; main()",
    "full": "from pathlib import Path; from algoperf import config, workflow, plan;"
    "workflow.read(config.load(Path('config/full.yaml')).model_dump(mode='json'))",
    "scoring": "import scoring.command, scoring.leaderboard",
    "start": "import algoperf.trial, algoperf.launch, algoperf.staging, algoperf.job, algoperf.journal, algoperf.ranks",
    "cluster": "import algoperf.doctor, algoperf.proposal, algoperf.survey, algoperf.rerun, algoperf.leftovers",
    "data": "from workloads.datasets import imagenet, criteo1tb, fashion_mnist, nyc_flights, prepare",
    "core": "import algoperf.train, algoperf.session, algoperf.submission, algoperf.evaluate, algoperf.dry_run_table",
}


@pytest.mark.parametrize("name", LIGHT)
def test_no_framework_is_imported(name):
    code = "import atexit, sys\n"
    code += f"atexit.register(lambda: print('imported', [name for name in {FRAMEWORKS} if name in sys.modules]))\n"
    run = subprocess.run(
        [sys.executable, "-c", code + LIGHT[name]], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    assert run.stdout.splitlines()[-1] == "imported []"


def test_only_the_places_that_may_import_a_framework_do():
    allowed = (
        "algoperf/backends/",
        "algoperf/losses/",
        "algoperf/kit/",
        "workloads/layers/",
        "submissions/",
        "algoperf/template/",
    )
    allowed += ("algoperf/jax_sharding_utils.py", "algoperf/pytorch_utils.py")
    for path in sorted(
        (
            *REPOSITORY.glob("algoperf/**/*.py"),
            *REPOSITORY.glob("workloads/**/*.py"),
            *REPOSITORY.glob("scoring/**/*.py"),
        )
    ):
        name = str(path.relative_to(REPOSITORY))
        if name.startswith(allowed) or path.name.startswith("model_"):
            continue
        imported = {
            line.split()[1].split(".")[0]
            for line in path.read_text().splitlines()
            if line.lstrip().startswith(("import ", "from "))
        }
        assert not imported & set(FRAMEWORKS), name
