"""A config is checked as a whole, and what is wrong with it is one sentence."""

from pathlib import Path

import pytest

from algoperf import workflow
from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.registry import load_spec
from algoperf.experiment import config, plan
from algoperf.machine import cluster
from algoperf.records import strict
from tests.conftest import REPOSITORY
from tests.experiment.test_plan import NADAMW, make


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ({"protocl": 1}, r"'protocl'.*protocol, rulesets"),
        ({"protocol": "v7"}, r"'protocol'.*'v0\.5', 'v0\.6', 'v0\.6-a100' or 'mini'"),
        ({"rulesets": ["internal"]}, r"'rulesets\.0'.*'external' or 'self'"),
        ({"rulesets": []}, "rulesets"),
        ({"submissions": []}, "submissions"),
        ({"submissions": [{"name": "nadamw", "framework": "tf"}]}, r"'submissions\.0\.framework'.*'jax' or 'pytorch'"),
        (
            {"submissions": [{"name": "nadamw", "framework": "jax", "gpu": 1}]},
            r"'submissions\.0\.gpu'.*name, framework",
        ),
        ({"submissions": [NADAMW, NADAMW]}, "both called 'nadamw_jax'"),
        ({"variants": "some"}, "variants"),
        ({"accelerator": 8}, "accelerator"),
        ({"partial": "some"}, "partial"),
        ({"protocol": "v0.6", "search": "halton"}, "'search'.*'shared' or 'dealt'"),
        ({"search": "dealt"}, "protocol mini cannot be dealt: it has one study"),
        ({"protocol": "v0.6", "rulesets": ["self"], "search": "dealt"}, "search is for external tuning"),
        ({"search": "shared", "target_setting": {}}, "search is for external tuning"),
        ({"results_dir": ""}, "'results_dir'.*it is empty; name a folder"),
        ({"data_dir": " "}, "'data_dir'.*it is empty"),
        ({"results_dir": None}, "'results_dir'"),
        ({"results_dir": "$NO_SUCH_DISK/results"}, r"'results_dir'.*there is no \$NO_SUCH_DISK here"),
        ({"data_dir": "${NO_SUCH_DISK}/data"}, r"'data_dir'.*there is no \$\{NO_SUCH_DISK\} here"),
        ({"data_dir": "~no_such_user/data"}, "'data_dir'.*there is no ~no_such_user here"),
        ({"submissions": [{**NADAMW, "name": "$NO_SUCH_DISK/mine"}]}, r"there is no \$NO_SUCH_DISK here"),
        *(
            ({key: f"a{unfit}b"}, rf"{key} has a .*, which cannot be passed on to jobs")
            for key in ("results_dir", "data_dir")
            for unfit in (",", "{", "}", "%", "\\", "\n", "\t", "\x1b", "\udce4")
        ),
        ({"submissions": [{**NADAMW, "name": "/a/b,c"}]}, "the name of the submission '/a/b,c' has a ','"),
        (
            {"results_dir": "results/" + 10 * "abab"},
            "results_dir ends in 'ab' again and again, which Snakemake refuses",
        ),
        (
            {"results_dir": "".join(map(str, range(120)))},
            "results_dir has over 2[0-9][0-9] bytes, and no job can be named after it",
        ),
        ({"results_dir": 8 * "0ü1ü2ü3ü4ü5ü6ü7ü8ü9ü"}, "results_dir has over 2[0-9][0-9] bytes"),
        ({"workloads": ["wmt", "ogbg", "wmt"]}, "'wmt' is there twice"),
        ({"variants": ["wmt_glu_tanh", "wmt_glu_tanh"]}, "'wmt_glu_tanh' is there twice"),
        ({"rulesets": ["self", "self"]}, "'self' is there twice"),
    ],
)
def test_a_wrong_config_is_one_sentence_that_names_the_key(content, names):
    with pytest.raises(UsageError, match=names) as error:
        make(**content)
    assert "\n" not in str(error.value)


@pytest.fixture
def described(tmp_path):
    """A self-tuning submission in JAX and an external one in PyTorch, with descriptions."""
    for name, framework, ruleset in (("tunes_itself", "JAX", "self-tuning"), ("is_tuned", "PyTorch", "external")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "submission.py").write_text("")
        (tmp_path / name / "submission_info.yml").write_text(f"framework: {framework}\nruleset: {ruleset}")
    (tmp_path / "space.json").write_text('[{"lr": 1}]')
    return tmp_path


def test_what_a_description_says_need_not_be_said_again(described):
    both = [{"name": str(described / name)} for name in ("tunes_itself", "is_tuned")]
    found = make(protocol="mini", submissions=both, search_space=described / "space.json", workloads=["wmt"])
    assert [entry.label for entry in found.submissions] == ["tunes_itself_jax", "is_tuned_pytorch"]
    assert found.rulesets == ["external", "self"]
    assert [(trial.label, trial.ruleset) for trial in plan.trials(found)] == [
        ("is_tuned_pytorch", "external"),
        ("tunes_itself_jax", "self"),
    ]
    assert config.parse(found.model_dump(mode="json")) == found
    with pytest.raises(UsageError, match="tunes_itself_jax is for the ruleset self, as its submission_info"):
        make(submissions=both, rulesets=["external"])
    with pytest.raises(UsageError, match="'nadamw' needs a framework, jax or pytorch: no"):
        make(submissions=[{"name": "nadamw"}])


def test_a_search_space_of_one_contestant_or_of_those_that_name_none(described):
    (described / "other.json").write_text('[{"learning_rate": 2}]')
    tuned = {"name": str(described / "is_tuned")}
    found = make(
        protocol="mini",
        submissions=[tuned, {**NADAMW, "search_space": described / "other.json"}],
        search_space=described / "space.json",
        workloads=["wmt"],
    )
    assert plan.points(found, ["external"]) == {
        ("is_tuned_pytorch", "external", "wmt", 0): [{"lr": 1}],
        ("nadamw_jax", "external", "wmt", 0): [{"learning_rate": 2}],
    }
    experiment = workflow.make(found, cluster.Accelerator())
    command = [str(described / "is_tuned"), "--search-space", str(described / "space.json")]
    assert experiment.submission("is_tuned_pytorch", "external") == command
    assert workflow.make(make(), cluster.Accelerator()).submission("nadamw_jax", "external") == "nadamw"


def test_the_schema_for_editors_is_that_of_the_config():
    assert (REPOSITORY / "config" / "schema.json").read_text() == config.schema()


@pytest.mark.parametrize(("text", "names"), [("a: [", "not YAML"), (None, "cannot be read")])
def test_a_config_file_that_cannot_be_read(tmp_path, text, names):
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=names):
        config.load(path)


def test_home_and_variables_are_filled_in_wherever_a_config_names_a_path(described, monkeypatch):
    monkeypatch.setenv("HOME", str(described))
    monkeypatch.setenv("SCRATCH", "/scratch/somebody")
    found = make(
        data_dir="~/data",
        results_dir="${SCRATCH}/mini $5",
        submissions=[{"name": "~/is_tuned", "search_space": "$HOME/space.json"}],
        search_space="~/space.json",
    )
    assert (found.data_dir, found.results_dir) == (described / "data", Path("/scratch/somebody/mini $5"))
    entry = found.submissions[0]
    assert (entry.name, entry.search_space, found.search_space) == (
        str(described / "is_tuned"),
        *2 * [described / "space.json"],
    )
    assert entry.framework == "pytorch"


def test_names_that_can_be_passed_on_to_jobs_are_left_as_they_are():
    name = "/scratch/Läufe der Bäume (1) 'a' \"b\" & c; d=e: #f * [g] ~ $ "
    name += "".join(str(number) for number in range(200))[: 200 - len(name.encode())]
    assert str(make(results_dir=name).results_dir) == name


def test_a_variant_that_comes_with_its_workload_is_not_named_beside_it():
    with pytest.raises(UsageError, match="wmt_glu_tanh comes with wmt, and is there twice; leave it out of workloads"):
        plan.workloads(make(protocol="v0.5", workloads=["wmt", "wmt_glu_tanh"]))


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"protocol: mini\nworkloads: [wmt]\nprotocol: v0.5\n", "the key 'protocol' is there twice, line 1 and after"),
        (b"a:\n  b: 1\n  c: {d: 1, d: 2}\n", "the key 'd' is there twice, line 3"),
        (b'{"protocol": "mini", "protocol": "v0.5"}', "the key 'protocol' is there twice"),
        ("results_dir: Läufe\n".encode("latin-1"), r"is not in UTF-8 \(byte 14\)"),
        (b"\xff\xfe\x00", "is not"),
    ],
)
def test_a_file_that_says_a_key_twice_or_is_no_utf_8_is_one_sentence(tmp_path, content, names):
    (tmp_path / "config.yaml").write_bytes(content)
    with pytest.raises(UsageError, match=names) as error:
        config.load(tmp_path / "config.yaml")
    assert "\n" not in str(error.value)


def test_a_key_that_is_merged_in_may_be_said_again(tmp_path):
    (tmp_path / "file.yaml").write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\n")
    assert strict.read_yaml(tmp_path / "file.yaml", "it")["b"] == {"x": 3, "y": 2}


def test_what_is_asked_of_the_frameworks():
    asked = make(framework_settings={"torch_compile": False, "tf32": True}).settings
    assert asked.options == " --no-torch-compile --tf32"
    assert (asked.asked("pytorch"), asked.asked("jax")) == ({"torch_compile": False, "tf32": True}, {"tf32": True})
    spec = asked.applied(load_spec("wmt", "full"))
    assert (spec.torch_compile, spec.cudnn_benchmark, spec.tf32) == ("never", True, True)
    assert make().settings.options == ""
