"""What is said of a package that is of an extra which is not installed."""

import pytest

from algoperf.machine import installation

METADATA = """\
Metadata-Version: 2.4
Name: algoperf-snakemake
Version: 9
Provides-Extra: criteo1tb
Provides-Extra: dev
Provides-Extra: imagenet-resnet
Provides-Extra: mlflow
Provides-Extra: ogbg
Provides-Extra: tensorboard
Provides-Extra: workloads
Requires-Dist: numpy
Requires-Dist: pyarrow; extra == 'criteo1tb'
Requires-Dist: pillow>=9; extra == 'imagenet-resnet'
Requires-Dist: pyarrow; extra == 'ogbg'
Requires-Dist: pyarrow; extra == 'workloads'
Requires-Dist: pillow>=9; extra == 'workloads'
Requires-Dist: mlflow-skinny; extra == 'mlflow'
Requires-Dist: tensorboard; extra == 'dev'
Requires-Dist: tensorboard; extra == 'tensorboard'
"""


@pytest.fixture(autouse=True)
def installed(tmp_path, monkeypatch):
    """This program, as one that was installed with these extras to choose from."""
    folder = tmp_path / "algoperf_snakemake-9.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(METADATA)
    monkeypatch.syspath_prepend(tmp_path)


def test_a_package_of_one_extra():
    said = installation.way_out(ModuleNotFoundError("No module named 'PIL'", name="PIL.Image"))
    assert said == (
        "pillow is not installed; the extra imagenet-resnet has it: run "
        "`python -m pip install 'algoperf-snakemake[imagenet-resnet]'`."
    )


def test_a_package_of_several():
    said = installation.way_out(ModuleNotFoundError(name="pyarrow"))
    assert said == (
        "pyarrow is not installed; the extras criteo1tb, ogbg have it: run "
        "`python -m pip install 'algoperf-snakemake[workloads]'`, or with one of them."
    )


@pytest.mark.parametrize(("module", "extra"), [("mlflow.entities", "mlflow"), ("tensorboard", "tensorboard")])
def test_where_runs_are_mirrored_to_is_of_the_extra_that_is_called_like_it(module, extra):
    assert f"the extra {extra} has it: run " in installation.way_out(ModuleNotFoundError(name=module))


@pytest.mark.parametrize("name", ["numpy", "weather", "algoperf.trial.typo", None])
def test_what_no_extra_has_is_an_error_of_another_kind(name):
    assert installation.way_out(ModuleNotFoundError(name=name)) is None


def test_the_workflow_of_a_checkout_is_at_its_root():
    assert installation.SNAKEFILE.is_file()
    assert {path.name for path in installation.WORKFLOW_FILES.iterdir()} >= {"config", "profiles", "rules", "workloads"}
