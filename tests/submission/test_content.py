"""What makes a submission another one, and what does not."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.submission.content import content
from algoperf.submission.loading import SUBMISSIONS

CODE = '''"""A submission."""
import json
from pathlib import Path

import helper
from pkg.sub import rate

HERE = Path(__file__).parent
TABLE = json.loads((HERE / "table.json").read_text())


def update():
    """Docstring."""
    text = """kept,
      with its blanks   
    """
    return helper.twice(rate), text, f"{rate:.3f} # no comment"
'''


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a submission for each framework, a helper, a package, data and all that comes to lie in one."""
    folder = tmp_path / "mine"
    (folder / "pkg").mkdir(parents=True)
    files = {
        "pytorch.py": CODE,
        "jax.py": "import jax\n",
        "helper.py": "def twice(x):\n    return 2 * x\n",
        "pkg/__init__.py": "",
        "pkg/sub.py": "rate = 0.1\n",
        "pkg/dynamic.py": "",
        "table.json": "[1]",
        "weights.npz": "1",
        "search_space.json": "{}",
        "README.md": "",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    return folder


def append(name: str, text: str = "x = 1\n") -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((path.read_text() if path.exists() else "") + text)

    return edit


def replace(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return edit


@pytest.mark.parametrize(
    "edit",
    [
        append("pytorch.py"),
        append("helper.py"),
        append("pkg/sub.py"),
        append("pkg/dynamic.py"),  # in the folder: it may be imported by a name that is computed
        append("added.py"),
        append("table.json", " "),
        append("kernels/step.cu", "__global__ void step() {}"),
        replace("helper.py", "2 * x", "3 * x"),
        replace("pytorch.py", "blanks   \n", "blanks\n"),  # inside of a string
        replace("pytorch.py", "# no comment", "# no"),
        replace("pytorch.py", "    return", "    if rate:\n        return"),
        lambda folder: (folder / "helper.py").rename(folder / "helpers.py"),
        lambda folder: (folder / "pkg" / "dynamic.py").unlink(),
    ],
)
def test_what_it_computes_with_is_its_content(folder: Path, edit: Callable[[Path], None]):
    before = content(folder / "pytorch.py")
    edit(folder)
    assert content(folder / "pytorch.py").sha256 != before.sha256


@pytest.mark.parametrize(
    "edit",
    [
        append("pytorch.py", "# a comment\n\n\n"),
        replace("pytorch.py", "import helper\n", "import helper  # noqa\n\n"),
        replace("pytorch.py", "Docstring.", "Another\n\n    docstring."),
        replace("pytorch.py", "A submission.", "Mine."),
        lambda folder: (folder / "pytorch.py").write_bytes(
            (folder / "pytorch.py").read_bytes().replace(b"\n", b"\r\n")
        ),
        append("jax.py"),
        append("search_space.json", " "),
        append("search_space.mini.json", "{}"),
        append("self_tuning.json", "{}"),
        append("points.json", "{}"),
        append("requirements.txt", "optax\n"),
        append("README.md"),
        append("weights.npz"),  # nothing names it
        append("__pycache__/helper.cpython-311.pyc"),
        append("helper.pyc"),
        append(".ipynb_checkpoints/pytorch-checkpoint.py"),
        append(".pytorch.py.swp"),
        append("pytorch.py~"),
        append("#helper.py#"),
        append("helper.py.orig"),
        append(".git/hooks/hook.py"),
        append("venv/pyvenv.cfg"),
        append("results/mini/external/mine/study_0/x.py"),
        append("data/nyc_flights/manifest.json", "{}"),
        lambda folder: (folder / ".#helper.py").symlink_to("nobody@nowhere:1"),  # a lock of Emacs
        lambda folder: os.utime(folder / "pytorch.py", (0, 0)),
        lambda folder: (folder / "pytorch.py").chmod(0o755),
        lambda folder: (folder / "again").symlink_to(folder),
        lambda folder: (folder / "everything").symlink_to("/usr/share"),
    ],
)
def test_what_lies_beside_it_is_not(folder: Path, edit: Callable[[Path], None]):
    before = content(folder / "pytorch.py")
    edit(folder)
    assert content(folder / "pytorch.py") == before


@pytest.mark.parametrize("own", [True, False], ids=["in its own folder", "a single file"])
@pytest.mark.parametrize("name", ["table.tmp", ".table", "weights.bak", "tables/first.orig"])
def test_what_looks_like_an_editors_copy_counts_where_the_code_reads_it(folder: Path, name: str, own: bool):
    file = folder / ("pytorch.py" if own else "single.py")
    file.write_text(f"from pathlib import Path\n\ntable = (Path(__file__).parent / '{name}').read_text()\n")
    append(name)(folder)
    before = content(file)
    append(name, "another\n")(folder)
    after = content(file)
    assert after.sha256 != before.sha256
    append(f"{name}.tmp")(folder)  # one that is written beside it, and not read
    assert content(file) == after


def test_a_folder_of_results_or_an_environment_is_not_looked_into(folder: Path):
    before = content(folder / "pytorch.py")
    for name in ("venv/pyvenv.cfg", "venv/lib.py", "out/v0.6/external/x.py", "store/heads/manifest.json", "store/x.py"):
        append(name)(folder)
    assert content(folder / "pytorch.py") == before


def test_it_is_the_same_wherever_it_lies(folder: Path, tmp_path: Path):
    shutil.copytree(folder, tmp_path / "elsewhere" / "copied")
    assert content(tmp_path / "elsewhere" / "copied" / "pytorch.py") == content(folder / "pytorch.py")


def test_what_a_link_leads_to_counts(folder: Path, tmp_path: Path):
    before = content(folder / "pytorch.py")
    for name in ("helper.py", "pkg"):
        (folder / name).rename(tmp_path / name)
        (folder / name).symlink_to(tmp_path / name)
    assert content(folder / "pytorch.py") == before
    append("sub.py")(tmp_path / "pkg")
    changed = content(folder / "pytorch.py")
    assert changed != before
    append("helper.py")(tmp_path)
    assert content(folder / "pytorch.py") not in (before, changed)


def test_of_a_single_file_in_a_big_folder_only_what_it_imports_and_names(folder: Path):
    single = folder / "single.py"
    single.write_text("import helper\nPATH = 'table.json'\n")
    before = content(single)
    assert set(before.files) == {"single.py", "helper.py", "table.json"}
    for name in ("pytorch.py", "pkg/sub.py", "other.py"):
        append(name)(folder)
    assert content(single) == before
    append("table.json", " ")(folder)
    assert content(single) != before


@pytest.mark.parametrize(
    "line",
    [
        "from algorithms.shared.schedules import warm",
        "import algorithms.shared.schedules as schedules",
        "from algorithms.shared import schedules",
        "from ..shared.schedules import warm",
        "from ..shared import schedules",
        "from ...algorithms.shared import schedules",
    ],
)
def test_what_is_imported_from_folders_above_counts(tmp_path: Path, line: str):
    mine, shared = (tmp_path / "repository" / "algorithms" / name for name in ("mine", "shared"))
    mine.mkdir(parents=True)
    shared.mkdir()
    (shared / "schedules.py").write_text("from .numbers import warm\n")
    (shared / "numbers.py").write_text("warm = 1\n")
    (shared / "other.py").write_text("")
    (mine / "submission.py").write_text(f"import jax\n{line}\n")
    before = content(mine / "submission.py")
    assert set(before.files) == {"submission.py", "../shared/schedules.py", "../shared/numbers.py"}
    (shared / "numbers.py").write_text("warm = 2\n")
    assert content(mine / "submission.py") != before


def test_data_are_named_by_their_endings_too(folder: Path):
    append("pytorch.py", 'FILES = sorted(HERE.glob("*.npz"))\n')(folder)
    before = content(folder / "pytorch.py")
    append("weights.npz")(folder)
    assert content(folder / "pytorch.py") != before
    append("pytorch.py", 'SPACE = (HERE / "search_space.json").read_text()\n')(folder)
    assert "search_space.json" in content(folder / "pytorch.py").files


def test_a_baseline_has_what_the_baselines_share_and_the_kit_that_it_imports():
    files = content(SUBMISSIONS / "nadamw" / "pytorch.py").files
    assert {"pytorch.py", "submissions/batch_sizes.py", "algoperf/kit/pytorch.py"} <= set(files)
    assert not [name for name in files if "jax" in name]
    other = content(SUBMISSIONS / "target_setting" / "jax.py").files  # made of other baselines
    assert {"submissions/nadamw/jax.py", "submissions/batch_sizes.py"} <= set(other)


def test_code_that_is_no_python_of_this_version_counts_as_it_is(folder: Path):
    (folder / "helper.py").write_text("def (:\n")
    before = content(folder / "pytorch.py")
    append("helper.py", "# a comment\n")(folder)
    assert content(folder / "pytorch.py") != before


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_cannot_be_read_is_one_sentence(folder: Path):
    (folder / "helper.py").chmod(0)
    with pytest.raises(UsageError, match=r"helper\.py, a part of the submission, cannot be read: Permission denied"):
        content(folder / "pytorch.py")
