"""What a `submission_info.yml` says, and who need not say it again."""

import pytest

from algoperf.benchmark.facts import UsageError
from algoperf.submission import info, loading
from algoperf.submission.info import Info


@pytest.mark.parametrize(
    ("name", "text", "framework", "ruleset"),
    [
        ("submission_info.yml", "framework: JAX\nruleset: self-tuning", "jax", "self"),
        ("submission_info.yaml", "framework: PyTorch\nruleset: external", "pytorch", "external"),
        (
            "submissions_info.yaml",
            'framework: "torch"\nruleset: "External tuning"\nauthors: "Jürgen"',
            "pytorch",
            "external",
        ),
        ("submission_info.yml", "framework: pytorch\nruleset: self_tuning", "pytorch", "self"),
        ("submission_info.yml", "authors: nobody", None, None),
        ("submission_info.yml", "framework: [JAX, PyTorch]\nruleset:", None, None),
        ("submission_info.yml", "", None, None),
    ],
)
def test_the_words_that_people_have_written(folder, name, text, framework, ruleset):
    (folder / name).write_text(text, encoding="utf-8")
    assert info.read(folder) == info.read(folder / "submission.py") == Info(folder / name, framework, ruleset)


def test_nothing_is_said_where_there_is_no_file(folder):
    assert info.read(folder) == loading.describe(str(folder)) == loading.describe("nadamw") == Info()
    assert loading.describe("no_such_submission") == Info()


def test_it_may_lie_above_the_folder_of_a_framework(folder):
    (folder / "submission_info.yml").write_text("ruleset: self-tuning")
    (folder / "jax").mkdir()
    (folder / "jax" / "submission.py").write_text("")
    assert loading.describe(str(folder / "jax")).ruleset == "self"
    assert loading.find(str(folder), "jax") == folder / "jax" / "submission.py"
    assert loading.find(str(folder), "pytorch") == folder / "submission.py"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("framework: tensorflow", r"has the framework 'tensorflow'; it can be jax, pytorch"),
        ("ruleset: internal", r"has the ruleset 'internal'; it can be external, "),
        ("- framework", "must be a list of names and what they are"),
        ("framework: [", "is not YAML"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(folder, text, says):
    (folder / "submission_info.yml").write_text(text)
    with pytest.raises(UsageError, match=says):
        info.read(folder)


def test_a_submission_in_another_framework_is_refused(folder):
    (folder / "submission_info.yml").write_text("framework: PyTorch")
    assert loading.find(str(folder), "pytorch")
    with pytest.raises(UsageError, match=r"is in pytorch, as .*submission_info\.yml says, and not in jax"):
        loading.find(str(folder), "jax")
