"""What a site says about itself, and how a mistake in that is told."""

import re

import pytest
import yaml

from algoperf.benchmark.facts import UsageError
from algoperf.machine import cluster
from algoperf.records.strict import check_content
from tests.conftest import REPOSITORY


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Writes a description to the file that ALGOPERF_CLUSTER names; text as it is, anything else as YAML."""
    path = tmp_path / "site.yaml"
    monkeypatch.setenv(cluster.FILE_VARIABLE, str(path))

    def write(content):
        path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
        return path

    return write


def assert_one_sentence(error, *names):
    text = str(error.value)
    assert "\n" not in text
    assert text.endswith(".")
    assert all(name in text for name in names), text


def test_the_description_that_is_shipped_says_what_the_benchmarks_hardware_is(monkeypatch, tmp_path):
    monkeypatch.delenv(cluster.FILE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert cluster.path() == REPOSITORY / cluster.FILE
    shipped = cluster.load()
    v100 = shipped.accelerator("v100")
    assert (v100.device, v100.count, v100.nodes, v100.gres, v100.exclusive) == ("V100", 8, 1, "gpu:v100:8", True)
    assert (shipped.accelerator("a100").device, shipped.accelerator("a100").count) == ("A100", 4)
    assert shipped.accelerator("local") == cluster.Accelerator()
    assert (
        shipped.environment("jax")
        == shipped.environment("pytorch")
        == cluster.Environment(setup="", command="algoperf")
    )
    assert shipped.scratch_folder() is None


def test_every_value_that_is_shipped_as_a_comment_is_one():
    """Those that a site takes the comment sign from."""
    text = (REPOSITORY / cluster.FILE).read_text()
    assert "    # time_limit: 240" in text
    uncommented = yaml.safe_load(re.sub(r"(?m)^    # ", "    ", text))
    assert check_content(cluster.Cluster, uncommented, "it").accelerator("v100").time_limit == 240


def test_that_of_the_working_folder_comes_before_the_one_that_is_shipped(monkeypatch, tmp_path):
    """Where the program is installed outside of the folder that experiments are run from."""
    monkeypatch.delenv(cluster.FILE_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    cluster.FILE.parent.mkdir(parents=True)
    cluster.FILE.write_text("accelerators: {h200: {count: 3}}")
    assert cluster.load().accelerator("h200").count == 3


def test_another_file_is_named_by_a_variable(site):
    path = site({"accelerators": {"h200": {"partition": "gpu", "time_limit": 240}}})
    assert cluster.path() == path
    assert cluster.load().accelerator("h200") == cluster.Accelerator(partition="gpu", time_limit=240)


@pytest.mark.parametrize("content", ["", "# all commented out\n", "{}"])
def test_an_empty_description_knows_whatever_machine_there_is(site, content):
    site(content)
    found = cluster.load()
    assert found.accelerator(cluster.LOCAL) == cluster.Accelerator()
    assert found.environment("pytorch").command == "algoperf"
    site({"environments": {"nadamw_jax": {"command": "own"}, "jax": {"command": "jax"}}})
    own = cluster.load()
    assert own.environment("jax", "nadamw_jax").command == "own"
    assert own.environment("jax", "adamw_jax").command == own.environment("jax").command == "jax"
    assert found.scratch_folder() is None


def test_an_accelerator_that_is_not_explained(site):
    path = site({"accelerators": {"a100": {}, "v100": {}}})
    with pytest.raises(UsageError) as error:
        cluster.load().accelerator("h200")
    assert_one_sentence(error, str(path), "'h200'", "local, a100, v100", "`algoperf doctor --propose`")


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"accelerator": {}}, ["'accelerator'", "accelerators, environments, scratch"]),
        ({"accelerators": {"v100": {"gpus": 8}}}, ["'accelerators.v100.gpus'", "partition", "time_limit"]),
        ({"environments": {"jax": {"module": "cuda"}}}, ["'environments.jax.module'", "setup, command"]),
        ({"environments": {"tensorflow": {}}}, ["tensorflow", "'jax' or 'pytorch'"]),
        ({"environments": {"jax": {"command": ""}}}, ["'environments.jax.command'"]),
        ({"accelerators": {"v100": {"count": 0}}}, ["'accelerators.v100.count'"]),
        ({"accelerators": {"v100": {"time_limit": "4 hours"}}}, ["'accelerators.v100.time_limit'", "4 hours"]),
        ({"accelerators": ["v100"]}, ["'accelerators'"]),
        *(
            ({"accelerators": {"v100": {"exclude": nodes}}}, ["'accelerators.v100.exclude'"])
            for nodes in ("None assigned", "n1;n2", "", "n1,", "n[1")
        ),
        *(
            ({"accelerators": {"v100": {"options": [option]}}}, ["'accelerators.v100.options.0'", *names])
            for option, *names in (
                ("--partition=gpu", "--partition is set by partition"),
                ("--part=gpu", "--partition is set by partition"),
                ("--signal=USR2@60", "--signal is set by the workflow"),
                ("--mem=4G", "memory_gib"),
                ("-p gpu", "--licenses=name:1"),
                ("--mail-user=a b", "without spaces"),
                ("--comment='x'", "without spaces"),
                ("licenses=x", "--licenses=name:1"),
            )
        ),
        (["v100"], ["'it'"]),
        ("accelerators: {v100: [", ["is not YAML"]),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_file_and_the_place(site, content, names):
    path = site(content)
    with pytest.raises(UsageError) as error:
        cluster.load()
    assert_one_sentence(error, str(path), *names)


def test_a_description_that_cannot_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv(cluster.FILE_VARIABLE, str(tmp_path / "no.yaml"))
    with pytest.raises(UsageError) as error:
        cluster.load()
    assert_one_sentence(error, str(tmp_path / "no.yaml"), "No such file")


def test_variables_in_the_scratch_folder_are_filled_in(site, monkeypatch):
    site({"scratch": "$NODE_DISK/algoperf"})
    monkeypatch.setenv("NODE_DISK", "/local")
    assert str(cluster.load().scratch_folder()) == "/local/algoperf"
    monkeypatch.delenv("NODE_DISK")
    with pytest.raises(UsageError) as error:
        cluster.load().scratch_folder()
    assert_one_sentence(error, str(cluster.path()), "'$NODE_DISK/algoperf'", "not set")


def test_nodes_and_options_of_sbatchs_that_a_site_wants(site):
    options = ["--gpus-per-node=v100:8", "--licenses=name:1", "--mail-type=END", "--nice", "--mem-bind=local"]
    site({"accelerators": {"v100": {"exclude": "n1,n[3-5,7],rack2-n[1-2].cluster", "options": options}}})
    found = cluster.load().accelerator("v100")
    assert (found.exclude, found.options) == ("n1,n[3-5,7],rack2-n[1-2].cluster", tuple(options))
