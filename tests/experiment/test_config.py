"""A config is checked as a whole, and what is wrong with it is one sentence."""

import pytest

from algoperf import workflow
from algoperf.benchmark.facts import UsageError
from algoperf.experiment import config, plan
from algoperf.machine import cluster
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
