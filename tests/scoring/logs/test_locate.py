"""Which logs a name means."""

from pathlib import Path

import pytest

from algoperf.benchmark.facts import UsageError
from scoring.logs.locate import locate
from scoring.logs.published import PUBLISHED

V05 = PUBLISHED["v0.5-external"]


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for folder in ("mini/external/a_jax", "mini/scores/external", "v0.5/external/a_jax", "v0.5/self/a_jax"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path


def test_a_results_folder_has_one_folder_for_each_protocol_and_ruleset(results: Path):
    assert locate(results, "mini", "external") == (results / "mini" / "external", "mini", "external")
    assert locate(results, "mini", None) == (results / "mini" / "external", "mini", "external")
    assert locate(results, None, "self") == (results / "v0.5" / "self", "v0.5", "self")
    assert locate(results, None, None, V05) == (results / "v0.5" / "external", "v0.5", "external")


def test_a_folder_of_submissions_is_taken_as_it_is(results: Path):
    folder = results / "mini" / "external"
    assert locate(folder, "mini", "external") == (folder, "mini", "external")
    assert locate(folder, None, None, V05) == (folder, "v0.5", "external")
    assert locate(Path("nowhere"), "mini", "self") == (Path("nowhere"), "mini", "self")


def test_a_published_leaderboard_says_its_protocol_and_ruleset():
    assert locate(Path("published:v0.5-external"), None, None)[1:] == ("v0.5", "external")
    with pytest.raises(UsageError, match="there is no published leaderboard 'v9'"):
        locate(Path("published:v9"), None, None)


@pytest.mark.parametrize("asked", [(None, None), ("v0.5", None), ("v0.6", "external"), ("mini", "self"), ("v9", None)])
def test_where_nothing_or_several_fit_the_sentence_names_those_that_are_there(results: Path, asked):
    with pytest.raises(UsageError, match=r"has results of v0\.5/external, v0\.5/self, mini/external: choose"):
        locate(results, *asked)


def test_other_folders_need_to_be_told(tmp_path: Path):
    with pytest.raises(UsageError, match=r"\(v0.5, v0.6, v0.6-a100, mini\) and --ruleset \(external, self\)"):
        locate(tmp_path, "mini", None)
