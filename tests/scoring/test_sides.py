"""Two trees side by side: what is the same is said to be, what was changed is found, and the page says both."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from algoperf.benchmark.facts import UsageError
from scoring.command import compare_logs, score_logs
from scoring.sides import A, B, in_field
from tests.conftest import REPOSITORY
from tests.support import chromium
from tests.support.page_tables import Tables, close, numbers

SAMPLE = REPOSITORY / "tests" / "data" / "scoring" / "logs"
PUBLISHED = Path("published:v0.5-external")
FASTMRI = "baseline/study_1/fastmri_jax"


def compare(a, b, out, **more):
    return compare_logs(a, b, "v0.5", "external", "as-documented", out, **more)


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def slower(folder, factor):
    """The same trials, each charged so much more."""
    for path in folder.glob("*/eval_measurements.csv"):
        found = rows(path)
        for row in found:
            row["score"] = row["accumulated_submission_time"] = str(float(row["accumulated_submission_time"]) * factor)
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, found[0])
            writer.writeheader()
            writer.writerows(found)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    """Before and after: one submission slower on one workload, one renamed, one on another machine."""
    folder = tmp_path_factory.mktemp("trees")
    for name in ("before", "after"):
        shutil.copytree(SAMPLE, folder / name)
    slower(folder / "after" / FASTMRI, 1.25)
    (folder / "after" / "lawa_ema").rename(folder / "after" / "renamed")
    for name, machine in (("before", "Tesla V100"), ("after", "NVIDIA A100")):
        hardware = {"kind": "gpu", "name": machine, "count": 8, "memory_gib": 16}
        result = {"status": "reached", "hardware": hardware, "versions": {"jax": "0.4"}, "submission_sha256": name}
        for trial in (folder / name / FASTMRI).iterdir():
            (trial / "result.json").write_text(json.dumps(result))
    return folder / "before", folder / "after"


@pytest.fixture(scope="module")
def compared(trees, tmp_path_factory):
    out = tmp_path_factory.mktemp("changes")
    return compare(*trees, out), out


def test_a_tree_is_like_itself(tmp_path):
    sides = compare(PUBLISHED, PUBLISHED, tmp_path)
    assert len(sides.both) == 11
    assert not any(condition.is_another for condition in sides.conditions)
    for change in sides.changes:
        assert change.together_a == change.together_b
        assert change.pair is None or not change.pair.workloads or change.pair.time_ratio == 1
        assert change.a.score == change.b.score
    assert all((a.time, a.lost) == (b.time, b.lost) or a.time != a.time for a, b in sides.cells.values())
    # Where studies are drawn, the page says how likely B is better, under its own head.
    own = {row["submission"]: row for row in rows(tmp_path / "changes.csv")}
    shown = Tables((tmp_path / "changes.html").read_text("utf-8")).named("Scores of A and B")
    assert {row["B better"] for row in shown} != {""}
    for row in shown:
        assert close(numbers(row["B better"])[0], 100 * float(own[row["submission"]]["p_b_better"]))
        assert bool(row["time, B of A"]) == bool(own[row["submission"]]["time_ratio"])


def test_what_was_changed_is_found(trees, compared, tmp_path):
    sides, out = compared
    cells = {(row["submission"], row["workload"]): row for row in rows(out / "changed_cells.csv")}
    assert float(cells["baseline", "fastmri"]["time_ratio"]) == pytest.approx(1.25)
    others = {row["time_ratio"] for cell, row in cells.items() if cell != ("baseline", "fastmri")}
    assert others <= {"1", ""}
    changes = {row["submission"]: row for row in rows(out / "changes.csv")}
    assert (changes["lawa_ema"]["rank_b"], changes["renamed"]["rank_a"]) == ("", "")
    assert float(changes["baseline"]["time_ratio"]) == pytest.approx(1.25)
    assert changes["baseline"]["step_ratio"] == "1"
    differ = {row["what"]: (row["a"], row["b"]) for row in rows(out / "conditions.csv") if row["is_another"] == "yes"}
    assert differ["hardware"] == ("8 x Tesla V100, 16 GiB", "8 x NVIDIA A100, 16 GiB")
    assert differ["baseline: content"] == ("before", "after")
    assert "jax" not in differ
    # Each by itself is what `algoperf score` makes of it.
    alone = score_logs(trees[1], "v0.5", "external", "as-documented", tmp_path, with_report=False)
    scores = [(standing.submission, standing.score) for standing in alone.scores.standings]
    assert scores == [(standing.submission, standing.score) for standing in sides.b.scores.standings]
    assert sides.together.caveats == (
        "hardware differs: A ran on 8 x Tesla V100, 16 GiB, B on 8 x NVIDIA A100, 16 GiB; steps compare, times do not",
    )


def test_the_page_shows_the_numbers_of_the_tables(compared):
    _, out = compared
    page = Tables((out / "changes.html").read_text("utf-8"))
    changes = {row["submission"]: row for row in rows(out / "changes.csv")}
    shown = page.named("Scores of A and B")
    assert [row["submission"] for row in shown] == list(changes)
    for row in shown:
        own = changes[row["submission"]]
        for side in "ab":
            if not own[f"score_{side}"]:
                assert row[side.upper()] == "not there"
                continue
            score, rank, *interval = numbers(row[side.upper()].replace("|", " ").replace(",", ""))
            assert close(score, own[f"score_{side}"]) and rank == own[f"rank_{side}"]
            ends = (own[f"low_{side}"], own[f"high_{side}"])
            assert len(interval) == (2 if own[f"low_{side}"] else 0)
            assert all(close(*pair) for pair in zip(interval, ends, strict=False))
            assert close(row[f"{side.upper()}, in one field"], own[f"together_{side}"])
        assert bool(row["time, B of A"]) == bool(own["time_ratio"])
        if own["time_ratio"]:
            time, *_, workloads = numbers(row["time, B of A"].replace("|", " "))
            assert close(time, own["time_ratio"]) and workloads == own["workloads"]
            steps, workloads = numbers(row["steps, B of A"].replace("|", " "))
            assert close(steps, own["step_ratio"]) and workloads == own["step_workloads"]
    cells = {(row["submission"], row["workload"]): row["time_ratio"] for row in rows(out / "changed_cells.csv")}
    compared_cells = 0
    for row in page.named("Times of B compared with A"):
        for workload, words in list(row.items())[1:]:
            ratio = cells[row["submission"], workload]
            if ratio and not words.startswith("the same"):
                assert close(words.partition("|")[0], ratio)
                compared_cells += 1
    assert compared_cells > 0


def test_in_one_field_those_that_are_in_both_bear_the_name_of_their_tree(compared):
    sides, _ = compared
    names = {standing.submission for standing in sides.together.scores.standings}
    assert {"baseline (A)", "baseline (B)", "lawa_ema", "renamed"} <= names
    assert len(names) == len(sides.both) * 2 + 2
    assert {in_field("baseline", side, sides.both) for side in (A, B)} <= names


def test_what_does_not_compare_is_refused_in_a_sentence(algoperf, trees, tmp_path):
    for folder in ("mini/external", "v0.5/self"):
        (tmp_path / folder.partition("/")[0] / folder.partition("/")[2]).mkdir(parents=True)
    code, _, error = algoperf("report", tmp_path / "mini", trees[0], "--out", tmp_path / "out")
    assert (code, error.count("\n")) == (2, 1)
    (tmp_path / "a" / "mini" / "external").mkdir(parents=True)
    (tmp_path / "b" / "v0.5" / "self").mkdir(parents=True)
    code, _, error = algoperf("report", tmp_path / "a", tmp_path / "b", "--out", tmp_path / "out")
    assert (code, error.count("\n")) == (2, 1)
    assert "is of mini/external" in error
    assert "of v0.5/self, which do not compare: choose one by --protocol" in error
    assert not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="no published leaderboard"):
        compare(Path("published:v9"), trees[0], tmp_path / "out")


def test_the_command_shows_it_in_a_table_and_writes_the_page(algoperf, trees, tmp_path):
    code, output, error = algoperf("report", trees[0], PUBLISHED, "--out", tmp_path)
    assert (code, error) == (0, "")
    assert "B better" in output
    assert f"report: {tmp_path / 'changes.html'}" in output.replace("\n", "")
    assert {path.name for path in tmp_path.iterdir()} == {
        "changes.html",
        "changes.csv",
        "changed_cells.csv",
        "conditions.csv",
    }


def test_names_from_logs_are_text(trees, tmp_path):
    tree = tmp_path / "tree"
    shutil.copytree(trees[0], tree)
    (tree / "amos").rename(tree / "<img src=x onerror=alert(1)>")
    compare(trees[0], tree, tmp_path / "out")
    assert "<img" not in (tmp_path / "out" / "changes.html").read_text()


@pytest.fixture(scope="module")
def browser():
    with chromium.running() as found:
        yield found


def test_a_browser_has_nothing_to_complain_of_on_any_screen(compared, browser):
    _, out = compared
    browser.complaints()
    for width in (1366, 390):
        browser.open(out / "changes.html", width)
        assert browser.run("return document.documentElement.scrollWidth") <= width
        assert browser.run("return document.querySelectorAll('section').length") == 4
        browser.run("document.querySelectorAll('details').forEach((fold) => { fold.open = true; })")
        assert browser.inaccessible() == []
    assert browser.complaints() == []
    assert browser.run("return performance.getEntriesByType('resource').map(entry => entry.name)") == []
    # What neither tree has is said once.
    assert "no data → no data" not in browser.run("return document.getElementById('cells').textContent")
    assert "hardware differs" in browser.run("return document.querySelector('.caveat').textContent")
