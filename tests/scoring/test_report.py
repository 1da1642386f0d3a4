"""The files of a scoring, the leaderboard on the terminal, and the command's function as a whole."""

import base64
import csv
import dataclasses
import hashlib
import io
import json
import math
import resource
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import load_protocol
from algoperf.records.atomic import write_atomically
from scoring.command import score_logs
from scoring.logs.curves import Curve
from scoring.logs.files import printable
from scoring.logs.info import Info
from scoring.logs.read import read_logs
from scoring.logs.record import Record
from scoring.logs.trials import Finding, Logs, Trial
from scoring.report import report_files, write
from scoring.result import Result
from scoring.rules.score import score_trials
from scoring.tables.leaderboard import leaderboard
from scoring.tables.plots import profile_figure
from tests.conftest import REPOSITORY
from tests.support.nightly import examples

SAMPLE = REPOSITORY / "tests" / "data" / "scoring" / "logs"
PUBLISHED = "published:v0.5-external"
TABLES = {
    "scores.csv",
    "time_to_target.csv",
    "reasons.csv",
    "profile.csv",
    "budget.csv",
    "studies.csv",
    "trials.csv",
    "hardware.csv",
    "software.csv",
    "submissions.csv",
    "data_quality.csv",
    "uncertainty.csv",
    "rank_probabilities.csv",
    "profile_bands.csv",
    "leave_one_out.csv",
    "time_ratios.csv",
    "steps_to_target.csv",
    "flags.csv",
    "summary.csv",
    "closest.csv",
    "cost.csv",
    "tuning.csv",
    "alternatives.csv",
    "curve_bands.csv",
}
ONE_STUDY = "one study where the protocol has 5: baseline"
TEXTS = {"leaderboard.txt", "caveats.txt", "tables.md", "tables.tex"}
FILES = TABLES | TEXTS | {"profile.svg", "profile.png", "report.html"}


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    score_logs(Path(PUBLISHED), "v0.5", "external", "as-documented", folder)
    return folder


def test_all_files_are_there_and_nothing_else(out: Path):
    assert {path.name for path in out.iterdir()} == FILES


def test_scores_csv(out: Path):
    rows = table(out / "scores.csv")
    assert list(rows[0]) == ["rank", "submission", "score"]
    assert rows[0] == {"rank": "1", "submission": "shampoo_submission", "score": "0.778512"}
    assert len(rows) == 11


def test_time_to_target_csv_has_seconds_inf_where_lost_and_nothing_without_data(out: Path):
    rows = {row["submission"]: row for row in table(out / "time_to_target.csv")}
    assert list(rows["amos"]) == ["submission", *load_protocol("v0.5").workloads]
    assert rows["shampoo_submission"]["criteo1tb"] == "5042.694"
    assert rows["cyclic_lr"]["ogbg"] == "inf"
    assert rows["caspr_adaptive"]["criteo1tb"] == ""


def test_reasons_csv_has_every_cell_with_its_own_time(out: Path):
    rows = {(row["submission"], row["workload"]): row for row in table(out / "reasons.csv")}
    assert len(rows) == 11 * 14
    lost = rows["cyclic_lr", "ogbg"]
    assert (lost["lost"], lost["why"]) == ("held-out missed", "ogbg_model_size over 4x: 4.25x the fastest")
    assert (float(lost["seconds"]), lost["ratio"]) == (pytest.approx(6948, abs=1), "inf")
    kept = rows["shampoo_submission", "criteo1tb"]
    assert (kept["ratio"], kept["lost"], kept["why"]) == ("1.000000", "", "")


def test_profile_csv_is_the_step_function_whose_mean_is_the_score(out: Path):
    rows = table(out / "profile.csv")
    taus = [float(row["tau"]) for row in rows]
    assert (taus[0], taus[-1]) == (1, 4)
    for score in table(out / "scores.csv"):
        heights = [float(row[score["submission"]]) for row in rows]
        area = sum(h * (right - left) for h, (left, right) in zip(heights, pairwise(taus), strict=False))
        assert area / 3 == pytest.approx(float(score["score"]), abs=1e-6)


VOID = ("meta", "wbr", "input", "br", "img")


class Outline(HTMLParser):
    """The elements and the text of a page; fails on what would be fetched from elsewhere.

    links: the files that the page holds, by their names. scripts: of each type, what it holds by its id.
    """

    def __init__(self, page: str):
        super().__init__()
        self.open: list[str] = []
        self.elements: list[str] = []
        self.text = ""
        self.links: dict[str, bytes] = {}
        self.scripts: dict[str | None, dict[str | None, str]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]):
        values = dict(attrs)
        assert len(values) == len(attrs)
        assert tag not in ("link", "iframe", "object", "embed", "base", "form")
        assert "src" not in values or (tag, values["src"].partition(",")[0]) == ("img", "data:image/svg+xml;base64")
        assert not [name for name, value in attrs if name.startswith("on") or "<wbr>" in (value or "")]
        if (link := values.get("href", "#")) and not link.startswith("#"):
            start, _, data = link.partition(",")
            assert (tag, start) in [("a", f"data:text/{kind};charset=utf-8;base64") for kind in ("csv", "plain")]
            self.links[values["download"]] = base64.b64decode(data, validate=True)
        if tag == "script":
            self.scripts.setdefault(values.get("type"), {})[values.get("id")] = ""
            self.script = (values.get("type"), values.get("id"))
        self.elements.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]):
        self.handle_starttag(tag, attrs)
        if self.open and self.open[-1] == tag:
            self.open.pop()

    def handle_endtag(self, tag: str):
        assert self.open.pop() == tag

    def handle_data(self, data: str):
        if self.open and self.open[-1] == "script":
            kind, name = self.script
            self.scripts[kind][name] += data
        else:
            self.text += data

    def data(self, name: str) -> Any:
        return json.loads(self.scripts["application/json"][name])


def outline(folder: Path) -> Outline:
    return Outline((folder / "report.html").read_text("utf-8"))


def test_the_page_is_whole_and_self_contained(out: Path):
    page = outline(out)
    assert page.open == []
    assert len(page.scripts[None]) == 1
    for text in (
        "shampoo_submission",
        "0.7785",
        "ogbg_model_size over 4x: 4.25x the fastest",
        "as-documented",
        "7,703\N{NO-BREAK SPACE}s",
        "scoring.rules.score.score_trials",
        "There are no curves",
    ):
        assert text in page.text


def test_the_tables_in_the_page_are_the_files_beside_it(out: Path):
    page = outline(out)
    empty = {"hardware.csv", "flags.csv", "software.csv", "closest.csv"}  # these logs do not tell
    assert page.links.keys() >= TABLES - empty
    for name, data in page.links.items():
        assert data == (out / name).read_bytes()


def test_one_study_gives_no_intervals_and_the_page_says_why(tmp_path: Path):
    trials = [
        Trial(name, "study_0", "wmt", "jax", "trial_1", name, 1, time, 0, time, 9.0)
        for name, time in (("a", 10.0), ("b", 20.0))
    ]
    scores = score_trials(trials, load_protocol("v0.6"), "as-documented")
    write(Result("logs", "external", Logs(tuple(trials), ()), scores), tmp_path)
    page = outline(tmp_path)
    assert "No intervals" in page.text
    assert "nan" not in page.text
    assert "rank between" not in page.text
    assert not [line for line in page.data("profile-plot-data")["lines"] if "low" in line]


def test_for_scripts_there_are_the_tables_and_no_pictures(out: Path, tmp_path: Path):
    score_logs(Path(PUBLISHED), "v0.5", "external", "as-documented", tmp_path, with_report=False)
    assert {path.name for path in tmp_path.iterdir()} == TABLES | TEXTS
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (out / path.name).read_bytes()


def test_the_policy_of_the_page_lets_its_own_script_run_and_nothing_else(out: Path):
    text = (out / "report.html").read_text("utf-8")
    (script,) = outline(out).scripts[None].values()
    digest = base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")
    policy = f"default-src 'none'; style-src 'unsafe-inline'; img-src data: blob:; script-src 'sha256-{digest}'"
    assert policy in text


def test_the_ruleset_decides_which_budget_is_shown(tmp_path: Path):
    score_logs(SAMPLE, "v0.5", "self", "as-documented", tmp_path)
    page = outline(tmp_path)
    assert "within 23,109\N{NO-BREAK SPACE}s" in page.text  # three times 7,703
    assert "AlgoPerf v0.5, self tuning" in page.text


def test_the_same_logs_give_the_same_bytes(out: Path, tmp_path: Path):
    score_logs(Path(PUBLISHED), "v0.5", "external", "as-documented", tmp_path)
    for name in FILES:
        assert (tmp_path / name).read_bytes() == (out / name).read_bytes()


HOSTILE = "<script>alert('[bold]$x$')</script>&amp;,\"[/red]"


def hostile() -> Result:
    protocol = load_protocol("v0.6")
    trials = [
        Trial(HOSTILE, "study_0", "wmt", "jax", "trial_1", HOSTILE, 9, record=Record(status=HOSTILE)),
        Trial("friend", "study_0", "wmt", "jax", "trial_1", "", 9, 100.0, 3, 100.0),
    ]
    said = {HOSTILE: Info(framework=HOSTILE, authors=HOSTILE, description=HOSTILE)}
    logs = Logs(tuple(trials), (Finding(HOSTILE, HOSTILE, HOSTILE),), said)
    return Result(HOSTILE, "external", logs, score_trials(trials, protocol, "as-documented"))


def test_text_from_logs_is_never_markup(tmp_path: Path):
    result = hostile()
    write(result, tmp_path)
    page = outline(tmp_path)
    assert page.open == []
    assert page.text.count(HOSTILE) >= 4
    assert HOSTILE in [line["name"] for line in page.data("profile-plot-data")["lines"]]
    assert table(tmp_path / "scores.csv")[1]["submission"] == HOSTILE
    assert table(tmp_path / "data_quality.csv") == [{"path": HOSTILE, "what": HOSTILE, "done": HOSTILE}]
    console = Console(file=io.StringIO(), width=200)
    console.print(leaderboard(result))
    assert HOSTILE in console.file.getvalue()


NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(
    [
        "</script>",
        "<!--",
        "]]>",
        "<script>",
        "'\" onload=x",
        "&amp;",
        "\\u003c",
        "</style>",
        "__proto__",
        "x" * 300,
        "%s{}",
        "  ",
    ]
)


@settings(max_examples=examples(by_day=12, by_night=50), deadline=None)
@given(names=st.lists(NAMES, min_size=2, max_size=3, unique=True), word=NAMES)
def test_no_name_ever_breaks_the_page(names: list[str], word: str):
    """Names as a tree of logs may have them, in every field that comes from logs."""
    protocol = load_protocol("v0.6")
    record = Record(word, word, word, word, word, word, word, word, {word: word}, {word: word})
    record = dataclasses.replace(record, refused=word, flags=((word, word),), content=word)
    curve = Curve([1.0, math.nan, 2.0], [], [math.inf, 0.5, -1e300])
    trials = [
        Trial(name, word, "wmt", "jax", f"trial_{k}", word, 3, 10.0 * k, 2, 10.0 * k, 5.0, curve, record)
        for k, name in enumerate(map(printable, names), 1)
    ]
    logs = Logs(tuple(trials), (Finding(word, word, word),))
    result = Result(word, "external", logs, score_trials(trials, protocol, "as-documented"), (word,))
    page = Outline(report_files(result)["report.html"].decode("utf-8"))
    assert page.open == []
    shown = {line["name"] for line in page.data("profile-plot-data")["lines"]}
    assert shown == {trial.submission for trial in trials}
    (wmt,) = (workload for workload in page.data("curves-data")["workloads"] if workload["trials"])
    assert {trial["p"] for trial in wmt["trials"]} == {word}
    assert len(page.scripts[None]) == 1


def test_the_leaderboard_names_ranks_scores_and_lost_workloads(tmp_path: Path):
    result = score_logs(Path(PUBLISHED), "v0.5", "external", "as-published", tmp_path)
    console = Console(file=io.StringIO(), width=200)
    console.print(leaderboard(result))
    (line,) = (line for line in console.file.getvalue().splitlines() if "cyclic_lr" in line)
    for text in ("4", "0.6301", "6 of 8", "not reached: imagenet_resnet; held-out missed: ogbg"):
        assert text in line


def test_an_own_submission_is_ranked_among_the_published(tmp_path: Path):
    result = score_logs(SAMPLE, "v0.5", "external", "as-published", tmp_path, with_published=PUBLISHED)
    scores = {standing.submission: standing.score for standing in result.scores.standings}
    assert len(scores) == 11 + 5
    assert round(scores["shampoo_submission"], 4) == 0.7784  # the sample is too small to change anything
    assert round(scores["baseline (published)"], 4) == 0.5707
    assert scores["baseline"] == 0
    assert len(table(tmp_path / "scores.csv")) == 16


V100 = {"kind": "gpu", "name": "Tesla V100-SXM2-16GB", "count": 8, "memory_gib": 16}
A100 = {"kind": "gpu", "name": "NVIDIA A100-SXM4-40GB", "count": 8, "memory_gib": 40}
STUDY = "baseline/study_1/fastmri_jax"


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Five real trials of which one says that it ran on other hardware, and one has a damaged result."""
    logs = tmp_path / "logs"
    shutil.copytree(SAMPLE / STUDY, logs / STUDY)
    for trial, hardware in (("trial_1", V100), ("trial_2", V100), ("trial_3", A100), ("trial_4", V100)):
        content = {"status": "reached", "hardware": hardware}
        (logs / STUDY / trial / "result.json").write_text(json.dumps(content))
    (logs / STUDY / "trial_5" / "result.json").write_bytes(b'{"hardware": \xff')
    return logs


def test_unlike_hardware_is_not_scored_and_the_sentence_names_kinds_trials_and_ways_out(mixed: Path, tmp_path: Path):
    with pytest.raises(UsageError) as refused:
        score_logs(mixed, "v0.5", "external", "as-documented", tmp_path / "out")
    for words in (
        "2 kinds of hardware, 3 on 8 x Tesla V100-SXM2-16GB, 16 GiB, 1 on 8 x NVIDIA A100-SXM4-40GB, 40 GiB",
        f"run {STUDY}/trial_3 again (`algoperf rerun {STUDY}/trial_3`)",
        "--allow-mixed-hardware",
    ):
        assert words in str(refused.value)
    assert not (tmp_path / "out").exists()


def test_of_many_unlike_trials_the_first_are_named(mixed: Path, tmp_path: Path):
    trial = mixed / STUDY / "trial_3"
    for number in range(6, 12):
        shutil.copytree(trial, mixed / "other" / "study_0" / "fastmri_jax" / f"trial_{number}")
    with pytest.raises(UsageError, match=f"{STUDY}/trial_1, {STUDY}/trial_2, {STUDY}/trial_4 again"):
        score_logs(mixed, "v0.5", "external", "as-documented", tmp_path / "out")
    shutil.copytree(mixed / STUDY / "trial_1", mixed / STUDY / "trial_12")
    with pytest.raises(UsageError, match=f"{STUDY}/trial_4 and 1 more again"):
        score_logs(mixed, "v0.5", "external", "as-documented", tmp_path / "out")


def test_hardware_of_workloads_that_are_not_scored_does_not_matter(mixed: Path, tmp_path: Path):
    (mixed / STUDY / "trial_3").rename(tmp_path / "aside")
    not_scored = mixed / "baseline/study_1/fastmri_layernorm_jax"
    not_scored.mkdir()
    (tmp_path / "aside").rename(not_scored / "trial_3")
    assert score_logs(mixed, "v0.5", "external", "as-documented", tmp_path / "out").caveats == (ONE_STUDY,)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Real trials, and beside each the files that ours have."""
    logs = tmp_path_factory.mktemp("whole") / "logs"
    shutil.copytree(SAMPLE, logs)
    evidence = {"begin": {"host": "node1", "load": 1.0, "gpus": [{}]}, "end": {"load": 2.0}}
    for trial in logs.glob("*/study_*/*_*/trial_*"):
        content = {"status": "reached", "hardware": V100, "seed": 1, "hardware_evidence": evidence}
        (trial / "result.json").write_text(json.dumps(content))
        (trial / "meta_data_0.json").write_text(json.dumps({"git_commit_hash": "0" * 40, "rng_seed": 1}))
    return logs


@settings(max_examples=examples(by_day=8, by_night=50), deadline=None)
@given(data=st.data())
def test_damage_anywhere_gives_a_report_that_says_so(whole: Path, tmp_path_factory: pytest.TempPathFactory, data):
    """Files that are cut, overwritten, emptied, made folders or gone: up to five at a time."""
    logs = tmp_path_factory.mktemp("damaged") / "logs"
    shutil.copytree(whole, logs)
    files = sorted(path for path in logs.rglob("*") if path.is_file())
    for path in data.draw(st.lists(st.sampled_from(files), min_size=1, max_size=5, unique=True)):
        content = path.read_bytes()
        damage = data.draw(st.sampled_from(["cut", "overwrite", "empty", "folder", "gone", "link"]))
        path.unlink()
        if damage == "cut":
            path.write_bytes(content[: data.draw(st.integers(0, len(content)))])
        elif damage == "overwrite":
            at = data.draw(st.integers(0, len(content)))
            path.write_bytes(content[:at] + data.draw(st.binary(min_size=1, max_size=30)) + content[at:])
        elif damage == "empty":
            path.touch()
        elif damage == "folder":
            path.mkdir()
        elif damage == "link":
            path.symlink_to(path.name)
    protocol = load_protocol("v0.5")
    found = read_logs(logs, protocol, "external")
    result = Result(str(logs), "external", found, score_trials(found.trials, protocol, "as-documented"))
    page = Outline(report_files(result)["report.html"].decode("utf-8"))
    assert page.open == []
    for finding in found.findings:
        assert finding.path in page.links["data_quality.csv"].decode("utf-8")


def everywhere(result: Result, out: Path) -> dict[str, str]:
    """The text of each place that shows the scores."""
    console = Console(file=io.StringIO(), width=100)
    console.print(leaderboard(result))
    figure = profile_figure(result.scores, result.title, result.caveat)
    return {
        "terminal": console.file.getvalue(),
        "leaderboard.txt": (out / "leaderboard.txt").read_text("utf-8"),
        "report.html": outline(out).text,
        "picture": " ".join(text.get_text() for text in figure.texts),
        "data_quality.csv": (out / "data_quality.csv").read_text("utf-8"),
        "caveats.txt": (out / "caveats.txt").read_text("utf-8"),
    }


def test_caveats_are_shown_wherever_the_scores_are_and_change_no_score(mixed: Path, tmp_path: Path):
    plain, marked = tmp_path / "plain", tmp_path / "marked"
    arguments = (mixed, "v0.5", "external", "as-documented")
    result = score_logs(*arguments, marked, allow_mixed_hardware=True, partial="5 of 350 trials")
    for place, text in everywhere(result, marked).items():
        assert "partial: 5 of 350 trials" in text, place
        assert "mixed hardware: 2 kinds" in text, place
    (mixed / STUDY / "trial_3" / "result.json").unlink()
    result = score_logs(*arguments, plain, partial="")
    assert result.caveats == (ONE_STUDY,)
    for place, text in everywhere(result, plain).items():
        assert "partial" not in text, place
        assert "mixed" not in text, place
    assert (plain / "caveats.txt").read_text() == f"{ONE_STUDY}\n"
    for name in ("scores.csv", "time_to_target.csv", "reasons.csv", "profile.csv"):
        assert (plain / name).read_bytes() == (marked / name).read_bytes()
    assert (plain / "profile.svg").read_bytes() != (marked / "profile.svg").read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"protocol": "v9"}, "the protocols are"),
        ({"ruleset": "none"}, "the rulesets are external, self"),
        ({"reading": "as-told"}, "the readings are as-documented, as-published"),
        ({"with_published": "v0.5-external"}, "there are published:v0.5-external"),
        ({"with_published": "published:v9"}, "there are v0.5-external"),
        ({"ruleset": "self", "with_published": PUBLISHED}, "cannot be ranked"),
        ({"logs": Path("nowhere")}, "there is no folder of logs 'nowhere'"),
        ({"logs": SAMPLE / "baseline", "protocol": "v0.5"}, "there is no trial of any full workload under"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(tmp_path: Path, change: dict, message: str):
    arguments = {"logs": SAMPLE, "protocol": "v0.5", "ruleset": "external", "reading": "as-documented", **change}
    with pytest.raises(UsageError, match=message):
        score_logs(out=tmp_path / "out", **arguments)
    assert not (tmp_path / "out").exists()


def test_logs_of_another_protocol_only_are_a_usage_error(tmp_path: Path):
    trial = tmp_path / "logs/a/study_0/imagenet_resnet_silu_jax/trial_1"
    trial.mkdir(parents=True)
    (trial / "eval_measurements.csv").write_text("score,validation/accuracy\n1,0.5\n")
    with pytest.raises(UsageError, match="is of a workload of protocol mini"):
        score_logs(tmp_path / "logs", "mini", "external", "as-documented", tmp_path / "out")


def test_an_out_that_is_a_file_is_a_usage_error(tmp_path: Path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(UsageError, match="cannot be written"):
        score_logs(SAMPLE, "v0.5", "external", "as-documented", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path):
    """A real failure: the disk quota of this process is reached half-way."""
    path = tmp_path / "scores.csv"
    path.write_text("old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            write_atomically(path, b"new" * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_scoring_imports_nothing_heavy_before_it_draws():
    code = "import sys, algoperf.commands.cli, scoring.command, scoring.tables.leaderboard; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    unwanted = {"jax", "flax", "torch", "pandas", "matplotlib", "pydantic", "yaml", "packaging"}
    assert not unwanted & set(done.stdout.split())
