"""A config is checked as a whole, and what is wrong with it is one sentence."""

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.experiment import config
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
    ],
)
def test_a_wrong_config_is_one_sentence_that_names_the_key(content, names):
    with pytest.raises(UsageError, match=names) as error:
        make(**content)
    assert "\n" not in str(error.value)


def test_the_schema_for_editors_is_that_of_the_config():
    assert (REPOSITORY / "config" / "schema.json").read_text() == config.schema()


@pytest.mark.parametrize(("text", "names"), [("a: [", "not YAML"), (None, "cannot be read")])
def test_a_config_file_that_cannot_be_read(tmp_path, text, names):
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError, match=names):
        config.load(path)
