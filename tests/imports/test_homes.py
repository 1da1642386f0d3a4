"""What imports in a submission's files mean, in this process and in those that it starts."""

import multiprocessing
import sys
import threading

import numpy as np
import pytest
import torch

from algoperf import spec
from algoperf.benchmark.facts import UsageError
from algoperf.imports import packages
from algoperf.submission import loading

FUNCTIONS = """
def get_batch_size(workload_name): return 8
def init_optimizer_state(*arguments): return {}
def update_params(**named): pass
def data_selection(*arguments): pass
"""


@pytest.fixture
def load(tmp_path):
    """Writes a submission, and files beside it, into a folder and gives its module, loaded."""

    def load(source, folder="mine", main="submission.py", **beside):
        for name, content in {main: source + FUNCTIONS, **beside}.items():
            file = tmp_path / folder / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
        loaded = loading.load(tmp_path / folder / main)
        return sys.modules[loaded.update_params.__module__]

    return load


def test_every_folder_is_a_package_and_every_name_leads_back(tmp_path):
    for location in (tmp_path / "a.b" / "c%2E" / "with space", tmp_path / "ä" / "submission"):
        assert packages.location_of(packages.module_name(location)) == location
        assert len(packages.module_name(location).split(".")) == len(location.parts)


@pytest.mark.parametrize(
    "statement",
    [
        "from parts.rule import RATE",
        "import parts.rule as rule; RATE = rule.RATE",
        "import parts.rule; RATE = parts.rule.RATE",
        "from parts import rule; RATE = rule.RATE",
        "from .parts.rule import RATE",
        "from . import parts; from .parts import rule; RATE = rule.RATE",
        "from submissions.self_tuning.mine.parts.rule import RATE",
        "from submissions_algorithms.submissions.external_tuning.another_name.parts.rule import RATE",
        "import submissions.self_tuning.another.parts.rule as rule; RATE = rule.RATE",
        "import algorithms.mine.parts.rule; RATE = algorithms.mine.parts.rule.RATE",
        "from reference_algorithms.paper_baselines.mine.parts import rule; RATE = rule.RATE",
        "from submissions.self_tuning.mine import parts; from parts.rule import RATE",
        "import sys, os; sys.path.append(os.path.dirname(__file__) + '/parts'); from rule import RATE",
        "import importlib; RATE = importlib.import_module('parts.rule').RATE",
        "import importlib; RATE = importlib.import_module('submissions.mine.parts.rule').RATE",
        "from importlib import import_module; RATE = import_module('.parts.rule', __package__).RATE",
        "from parts.rule import *",
    ],
)
def test_its_own_modules_are_found_by_every_name_once(load, statement):
    module = load(statement, **{"parts/rule.py": "RATE = object()"})
    assert module.RATE is sys.modules[f"{module.__package__}.parts.rule"].RATE


def test_modules_above_it_are_found_by_the_layout_and_relatively(load, tmp_path):
    (tmp_path / "clone" / "algorithms" / "shared").mkdir(parents=True)
    (tmp_path / "clone" / "algorithms" / "__init__.py").write_text("raise ValueError('of somebody else')")
    (tmp_path / "clone" / "algorithms" / "shared" / "rule.py").write_text("from .rate import RATE")
    (tmp_path / "clone" / "algorithms" / "shared" / "rate.py").write_text("RATE = 7")
    source = "from algorithms.shared.rule import RATE\nfrom ..shared.rate import RATE as again"
    module = load(source, folder="clone/algorithms/mine")
    assert module.RATE == module.again == 7


def test_two_submissions_do_not_see_each_others_modules(load):
    source = "import utils\ndef late():\n    import utils\n    return utils.NAME"
    first = load(source, folder="one", **{"utils.py": "NAME = 1"})
    second = load(source, folder="two", **{"utils.py": "NAME = 2"})
    assert (first.utils.NAME, second.utils.NAME, first.late(), second.late()) == (1, 2, 1, 2)
    assert "utils" not in sys.modules


@pytest.mark.parametrize(
    ("source", "beside"),
    [
        ("import utils\nfrom utils import NAME", "utils.py"),
        ("from . import utils\nfrom utils import NAME", "utils.py"),
        ("from parts import utils\nfrom parts.utils import NAME", "parts/utils.py"),
    ],
)
def test_it_is_read_anew_with_what_is_beside_it(load, source, beside):
    for value in (1, 2):
        module = load(source, **{beside: f"NAME = {value}"})
        assert {module.NAME, module.utils.NAME} == {value}


def test_a_file_and_a_folder_of_one_name(load, tmp_path):
    assert load("NAME = 1", folder=".", main="mine.py").NAME == 1
    assert load("from .utils import NAME", folder="mine", **{"utils.py": "NAME = 2"}).NAME == 2
    assert load("NAME = 3", folder=".", main="mine.py").NAME == 3


def test_what_it_has_vendored_stands_for_what_is_installed(load):
    beside = {"schedulefree.py": "VENDORED = 1", "optax/__init__.py": "from .deep import VENDORED"}
    beside |= {"optax/deep.py": "from optax.other import VENDORED", "optax/other.py": "VENDORED = 2"}
    module = load("import schedulefree, optax", **beside)
    assert (module.schedulefree.VENDORED, module.optax.VENDORED) == (1, 2)


def test_a_folder_without_code_does_not_stand_for_what_is_installed(load):
    assert load("import packaging", **{"packaging/notes.txt": ""}).packaging.__version__


def test_nothing_stands_for_frameworks_and_pythons_own(load):
    beside = {f"{name}.py": "raise ValueError" for name in ("jax", "torch", "numpy", "types", "random", "algoperf")}
    module = load("import torch, numpy, types, random\nfrom algoperf import spec", **beside)
    assert (module.torch, module.numpy) == (torch, np)
    assert module.types.SimpleNamespace
    assert module.spec is spec


def test_who_means_a_file_that_nobody_can_have_reads_how_it_is_called(load):
    with pytest.raises(UsageError, match=r"cannot import name 'Mine' from 'types'.*`from \. import types`"):
        load("from types import Mine", **{"types.py": "Mine = 1"})


def test_it_leaves_no_compiled_code_and_no_path(load, tmp_path):
    before = list(sys.path)
    load("import utils, sys; sys.path.insert(0, '/nowhere')", **{"utils.py": ""})
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["submission.py", "utils.py"]
    assert sys.path == before


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (
            "from submissions.mine.absent import rule",
            r"'submissions.mine.absent', by the folders of an official .*absent",
        ),
        ("from .absent import rule", r"imports 'absent', but there is no .*/mine/absent.py"),
        ("import parts.absent", r"imports 'absent', but there is no .*/mine/parts/absent.py"),
        ("import haiku", r"imports 'haiku', which is neither installed nor beside .*pip install dm-haiku`"),
        (
            "from absent_package.mine import rule",
            r"imports 'absent_package', which .*install absent_package`",
        ),
        (
            "from algorithmic_efficiency import checkpoint_utils",
            r"wants the official module algoperf.checkpoint_utils",
        ),
        ("import algorithmic_efficiency.profiler", r"algoperf.profiler, which is not here: it times the official loop"),
        ("from algoperf.pytorch_utils import sync_ddp_time", r"it wants 'sync_ddp_time' of .*algoperf.pytorch_utils"),
        ("from algoperf.workloads.wmt.wmt_jax import models", r"it wants 'models' of .*algoperf.workloads.wmt.wmt_jax"),
        (
            "from algoperf.workloads.wmt.bleu import corpus_bleu",
            r"it wants 'corpus_bleu' of .*the reference's models",
        ),
    ],
)
def test_what_is_not_there_is_one_sentence(load, source, says):
    with pytest.raises(UsageError, match=says) as error:
        load(source, **{"parts/__init__.py": ""})
    assert "algorithmic_efficiency" not in str(error.value).partition("submission.py")[2]
    assert packages.TOP not in str(error.value)


def test_an_import_that_is_tried_only_goes_on(load):
    source = "try:\n    from algoperf import checkpoint_utils\nexcept ImportError:\n    checkpoint_utils = None\n"
    source += "try:\n    import wandb\nexcept ImportError:\n    wandb = None"
    assert load(source).checkpoint_utils is None


def test_official_names_stand_for_ours(load):
    source = """
import algorithmic_efficiency.spec as old_spec
from algoperf import data_utils, logger_utils, random_utils, sharding_utils, spec
from algoperf.workloads.wmt.wmt_jax.workload import WmtWorkload
from algorithmic_efficiency.workloads.imagenet_vit.workload import BaseImagenetVitWorkload
import algoperf.workloads.workloads as workloads
"""
    module = load(source)
    assert module.old_spec is module.spec is spec
    assert module.sharding_utils.get_batch_dim_sharding
    assert module.workloads.get_base_workload_name("wmt_post_ln") == "wmt"
    key = np.array([3, 4], dtype=np.int32)
    assert module.random_utils.split(key, 3).shape == (3, 2)
    assert module.random_utils.fold_in(key, 5)[1] == 5
    assert list(zip(module.data_utils.cycle([1, 2]), range(3), strict=False)) == [(1, 0), (2, 1), (1, 2)]
    assert module.data_utils.pad(np.ones((2, 3)), 1).tolist()[2] == [0, 0, 0]
    assert not isinstance(object(), module.WmtWorkload)


def test_what_stood_for_what_is_recorded(load, tmp_path):
    load("from algorithmic_efficiency import spec, random_utils\nimport algorithmic_efficiency.spec")
    loaded = loading.load(tmp_path / "mine" / "submission.py")
    assert loaded.home.stand_ins == {
        "algorithmic_efficiency": "algoperf",
        "algoperf.random_utils": "algoperf.imports.official_modules.random_utils",
    }


WORKER = """
import utils
def work(value):
    import utils as late
    assert late is utils
    return utils.double(value), __name__
"""


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_processes_that_it_starts_find_its_modules(load, method):
    module = load(WORKER, **{"utils.py": "from parts.rule import double", "parts/rule.py": "double = (2).__mul__"})
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.map(module.work, [21]) == [(42, module.__name__)]


def test_threads_that_it_starts_find_its_modules(load):
    module = load(WORKER, **{"utils.py": "double = (2).__mul__"})
    found = []
    thread = threading.Thread(target=lambda: found.append(module.work(4)[0]))
    thread.start()
    thread.join()
    assert found == [8]


COMPILED = """
import torch
from torch import nn
import utils

class Model(nn.Module):
    def forward(self, x):
        return utils.twice(x) + utils.ONE

class Late(nn.Module):
    def forward(self, x):
        from utils import twice
        return twice(x) + utils.ONE

compiled = torch.compile(Model(), backend="eager", fullgraph=True)
compiled_late = torch.compile(Late(), backend="eager")
"""


def test_compiled_code_finds_its_modules(load):
    beside = {
        "utils.py": "import torch\nONE = 1\n@torch.compile(backend='eager')\ndef twice(x): return len([x, x]) * x"
    }
    assert load(COMPILED, **beside).compiled(torch.ones(2)).tolist() == [3, 3]


def test_tracebacks_show_its_source(load, tmp_path):
    module = load("def fails():\n    raise ValueError('of mine')  # here")
    with pytest.raises(ValueError, match="of mine") as error:
        module.fails()
    assert error.traceback[-1].path == tmp_path / "mine" / "submission.py"
    assert str(error.traceback[-1].statement).strip() == "raise ValueError('of mine')  # here"
