"""What pyproject.toml asks for: nothing that is not needed, each with its reason, each workload's extra complete."""

import ast
import re
import sys
import tomllib

import pytest

from algoperf.benchmark.protocol import PROTOCOLS
from algoperf.benchmark.registry import base_of, base_workloads, has_scale, load_spec
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)["project"]
OURS = ("algoperf", "scoring", "submissions", "tests", "workloads")
# Modules whose package is called otherwise.
PACKAGES = {"PIL": "pillow", "absl": "absl-py", "pynvml": "nvidia-ml-py", "yaml": "pyyaml", "sklearn": "scikit-learn"}
PACKAGES |= {"mlflow": "mlflow-skinny", "jaxlib": "jax"}
# Called as a program, found by that one, and used by submissions that others have published.
NEVER_IMPORTED = {"snakemake", "snakemake-executor-plugin-slurm", "absl-py", "chex"}
FRAMEWORKS = ("jax", "pytorch")
# What only those need who make the shipped files again, or whose trials have several processes.
BY_FILE = {"algoperf/progress/costs/__main__.py": {"pandas"}, "algoperf/machine/ranks.py": {"submitit"}}
BY_FILE |= {f"scoring/mirror/to_{name}.py": {PACKAGES.get(name, name)} for name in ("tensorboard", "mlflow", "wandb")}


def packages(lines):
    """The names in requirements; those of an extra that one of them names, too."""
    found = set()
    for line in lines:
        name, extras = re.fullmatch(r"([\w-]+)(?:\[([\w,]+)\])?.*", line).groups()
        if name == PROJECT["name"]:
            for extra in extras.split(","):
                found |= packages(PROJECT["optional-dependencies"][extra])
        else:
            found.add(name)
    return found


BASE = packages(PROJECT["dependencies"])
EXTRAS = {name: packages(lines) for name, lines in PROJECT["optional-dependencies"].items()}


def imports(path):
    """Names of the modules that a file imports, those of ours in full."""
    for node in ast.walk(ast.parse(path.read_text())):
        match node:
            case ast.Import():
                yield from (alias.name for alias in node.names)
            case ast.ImportFrom(level=0):
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)
            case ast.Call(func=ast.Attribute(attr="import_module"), args=[ast.Constant(value=str(name)), *_]):
                yield name


def foreign(path):
    """The packages that a file imports, but Python's and ours."""
    modules = {name.partition(".")[0] for name in imports(path)} - set(sys.stdlib_module_names) - set(OURS)
    return {PACKAGES.get(name, name) for name in modules}


def needs(path):
    """`foreign`, without what few need."""
    return foreign(path) - BY_FILE.get(str(path.relative_to(REPOSITORY)), set())


def file_of(module):
    path = REPOSITORY / module.replace(".", "/")
    return next((file for file in (path.with_suffix(".py"), path / "__init__.py") if file.is_file()), None)


def reached(modules):
    """The files that are imported, by these modules and by one another."""
    found, open_ = set(), list(modules)
    while open_:
        file = file_of(open_.pop())
        if file is not None and file not in found:
            found.add(file)
            open_ += [name for name in imports(file) if name.startswith(OURS)]
    return found


def test_every_dependency_says_in_its_line_why_it_is_there():
    names = [*BASE, *(name for extra in EXTRAS.values() for name in extra)]
    for name in names:
        assert re.search(rf'"{name}(>=[\d.]+)?"[,\]] *# \w', TEXT), name


def test_nothing_is_asked_for_that_is_not_imported():
    code = {
        name for top in set(OURS) - {"tests"} for path in (REPOSITORY / top).rglob("*.py") for name in foreign(path)
    }
    installed = BASE.union(*(EXTRAS[name] for name in EXTRAS if name not in ("dev", "docs")))
    assert installed - code == NEVER_IMPORTED


def test_scoring_planning_and_the_command_line_need_no_extra():
    files = [*(REPOSITORY / "scoring").rglob("*.py"), *(REPOSITORY / "algoperf").rglob("*.py")]
    frameworks = {name for framework in FRAMEWORKS for name in EXTRAS[framework]}
    may_import_a_framework = ("backends", "losses", "kit", "imports", "shapes", "template")
    for path in files:
        name = str(path.relative_to(REPOSITORY))
        allowed = BASE
        if path.parent.name in may_import_a_framework or path.stem in ("jax_sharding_utils", "pytorch_utils"):
            allowed = allowed | frameworks
        assert needs(path) <= allowed, name


@pytest.mark.parametrize("workload", base_workloads())
def test_a_workload_with_a_framework_needs_their_extras_and_no_other(workload):
    specs = [load_spec(workload, scale) for scale in ("full", "mini") if has_scale(workload, scale)]
    modules = {f"workloads.datasets.{spec.dataset}" for spec in specs}
    modules |= {f"workloads.metrics.{metric}" for spec in specs for metric in spec.metrics}
    needed = {name for file in reached(modules) for name in needs(file)}
    assert needed - BASE == EXTRAS[workload]
    for framework in FRAMEWORKS:
        model = reached([f"workloads.{workload}.model_{framework}", f"algoperf.backends.{framework}_workload"])
        assert {name for file in model for name in needs(file)} <= BASE | EXTRAS[framework]


def test_the_extra_of_all_workloads_is_of_all():
    """With what fetches their data."""
    assert EXTRAS["workloads"] == EXTRAS["fetch"].union(*(EXTRAS[workload] for workload in base_workloads()))
    assert {base_of(name) for protocol in PROTOCOLS.values() for name in protocol.workloads} <= set(EXTRAS)


def test_every_package_that_is_asked_for_has_its_tested_version():
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in open_lines("constraints.txt")}
    assert BASE.union(*EXTRAS.values()) <= pinned


def open_lines(name):
    return [line for line in (REPOSITORY / name).read_text().splitlines() if not line.startswith("#")]


@pytest.mark.parametrize("accelerator", ["v100", "a100", "h100"])
def test_nvidias_libraries_are_pinned_for_each_accelerator(accelerator):
    """And with JAX's own version; a V100 has no code in cuDNN after 9.10, nor in CUDA after 12."""
    pins = dict(line.split("==") for line in open_lines(f"profiles/slurm/constraints/{accelerator}.txt"))
    (jax,) = [line.partition("==")[2] for line in open_lines("constraints.txt") if line.startswith("jax==")]
    assert {pins["jax-cuda12-plugin"], pins["jax-cuda12-pjrt"]} == {jax}
    for library in ("cublas", "cuda-runtime", "cudnn", "cufft", "cusolver", "cusparse", "nccl"):
        assert re.fullmatch(r"[\d.]+", pins[f"nvidia-{library}-cu12"])
    if accelerator == "v100":
        assert tuple(map(int, pins["nvidia-cudnn-cu12"].split(".")[:2])) <= (9, 10)
    for page in ("docs/cluster.md", "profiles/slurm/apptainer.def"):
        assert "profiles/slurm/constraints/" in (REPOSITORY / page).read_text()
