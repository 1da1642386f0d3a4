"""Every kind of damage that a tree of logs can have: survived, reported, and without effect on anything else."""

import errno
import json
import math
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from algoperf.benchmark.protocol import load_protocol
from algoperf.benchmark.registry import load_spec
from scoring.logs.evaluations import read_evaluations
from scoring.logs.files import printable
from scoring.logs.read import read_logs
from scoring.logs.record import hardware_kind
from scoring.logs.trials import Logs, Trial, natural
from tests.conftest import REPOSITORY

V05 = load_protocol("v0.5")
SAMPLE = REPOSITORY / "tests" / "data" / "scoring" / "logs"
FASTMRI = SAMPLE / "baseline/study_1/fastmri_jax"
CELL = "someone/study_0/fastmri_jax"
TARGET = load_spec("fastmri").target  # ssim >= 0.723653
# The five real trials: index and charged seconds of the first evaluation that reaches the target.
HITS = {
    "trial_1": (29, 2380.7071380615234),
    "trial_2": (25, 2030.442727804184),
    "trial_3": (26, 2125.487339735031),
    "trial_4": (41, 3314.093006849289),
    "trial_5": (77, 6222.414223909378),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The five real fastMRI trials of one study of the v0.5 baseline, under another name, and nothing else."""
    shutil.copytree(FASTMRI, tmp_path / "logs" / CELL)
    return tmp_path / "logs"


def read(tree: Path) -> Logs:
    return read_logs(tree, V05, "external")


def trial_at(logs: Logs, path: str) -> Trial:
    (trial,) = (trial for trial in logs.trials if trial.path == path)
    return trial


def findings_at(logs: Logs, path: str) -> list[str]:
    return [finding.what for finding in logs.findings if finding.path == path]


def test_undamaged_trials_are_read_to_the_last_digit(tree: Path):
    logs = read(tree)
    assert {trial.trial: (trial.hit_row, trial.hit_time) for trial in logs.trials} == HITS
    assert {trial.hit_row_time for trial in logs.trials} == {seconds for _, seconds in HITS.values()}
    for trial in logs.trials:
        rows = (tree / trial.path / "eval_measurements.csv").read_text().splitlines()
        column = rows[0].split(",").index("global_step")
        assert trial.hit_step == float(rows[1 + trial.hit_row].split(",")[column])
    first = logs.trials[0]
    assert (first.submission, first.study, first.workload, first.framework) == ("someone", "study_0", "fastmri", "jax")
    assert (first.rows, first.status, first.hardware) == (108, None, None)
    assert not [finding for finding in logs.findings if finding.path.startswith(CELL)]


def rewrite(change: Callable[[list[str]], list[str]]) -> Callable[[Path], None]:
    """Damage that is a change of the csv's lines."""

    def damage(file: Path) -> None:
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(change(lines)))

    return damage


def with_cell(row: int, column: int, text: str) -> Callable[[Path], None]:
    """Damage to one cell: row 0 is the first evaluation."""

    def change(lines: list[str]) -> list[str]:
        cells = lines[row + 1].rstrip("\n").split(",")
        cells[column] = text
        return [*lines[: row + 1], ",".join(cells) + "\n", *lines[row + 2 :]]

    return rewrite(change)


def as_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def as_pipe(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


def as_loop(file: Path) -> None:
    file.unlink()
    file.symlink_to(file)


def as_giant(file: Path) -> None:
    os.truncate(file, 65 * 1024**2)


LFS_POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 8662\n"
UNREADABLE = {
    "no csv": (Path.unlink, "no eval_measurements.csv"),
    "empty csv": (lambda file: file.write_text(""), "an empty csv"),
    "blank csv": (lambda file: file.write_text("\n\n"), "an empty csv"),
    "header only": (rewrite(lambda lines: lines[:1]), "a csv without a row of evaluations"),
    "Git-LFS pointer": (lambda file: file.write_text(LFS_POINTER), "a Git-LFS pointer instead of the csv"),
    "not text": (lambda file: file.write_bytes(bytes(range(256)) * 9), "the csv has no column score"),
    "no metric": (
        rewrite(lambda lines: [lines[0].replace("validation/", ""), *lines[1:]]),
        "no column validation/ssim",
    ),
    "no time": (rewrite(lambda lines: [re.sub("score|accumulated", "x", lines[0]), *lines[1:]]), "no column score"),
    "cut in the header": (lambda file: file.write_text("accumulated_submission_ti"), "the csv has no column score"),
    "endless cell": (lambda file: file.write_text('score,validation/ssim\n1,"' + "9" * 200_000), "not a csv"),
    "a folder": (as_folder, "cannot be read: not a regular file"),
    "a named pipe": (as_pipe, "cannot be read: not a regular file"),
    "a link to itself": (as_loop, "cannot be read: Too many levels of symbolic links"),
    "larger than any log": (as_giant, "cannot be read: larger than 64 MiB"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_trial_that_cannot_be_read_is_left_out_and_the_others_stay(tree: Path, name: str):
    damage, what = UNREADABLE[name]
    damage(tree / CELL / "trial_2" / "eval_measurements.csv")
    logs = read(tree)
    assert what in "\n".join(findings_at(logs, f"{CELL}/trial_2"))
    assert findings_at(logs, CELL) == ["4 of 5 trials readable"]
    damaged = trial_at(logs, f"{CELL}/trial_2")
    assert not damaged.readable
    assert damaged.hit_time == math.inf
    others = {trial.trial: (trial.hit_row, trial.hit_time) for trial in logs.trials if trial.trial != "trial_2"}
    assert others == {trial: hit for trial, hit in HITS.items() if trial != "trial_2"}


FIRST, SECOND = 25, 30  # the rows of trial_2 that hit first and second
TIME, METRIC = 2, 4  # columns
READABLE = {  # damage, what is said of it, the row that hits first then
    "text in the metric": (with_cell(FIRST, METRIC, "oops"), "text in validation/ssim, in 1 of 106 rows", SECOND),
    "NaN in the metric": (with_cell(FIRST, METRIC, "nan"), "NaN or infinity in validation/ssim", SECOND),
    "empty metric": (with_cell(FIRST, METRIC, ""), "NaN or infinity in validation/ssim, in 1 of 106", SECOND),
    "infinite metric": (with_cell(FIRST, METRIC, "inf"), "NaN or infinity in validation/ssim", SECOND),
    "text in the time": (with_cell(FIRST, TIME, "oops"), "text in score", SECOND),
    "infinite time": (with_cell(FIRST, TIME, "inf"), "NaN or infinity in score", SECOND),
    "negative time": (with_cell(FIRST, TIME, "-1"), "score is not above 0 in 1 of 106 rows", SECOND),
    "a row too long": (with_cell(FIRST, METRIC, "0.8,9"), "1 of 106 rows do not have", SECOND - 1),
    "a row too short": (rewrite(lambda lines: [*lines[:9], "1,2\n", *lines[9:]]), "1 of 107 rows do not have", FIRST),
    "cut in the last cell": (lambda file: os.truncate(file, file.stat().st_size - 9), "cut short", FIRST),
    "cut before the last cell": (lambda file: os.truncate(file, file.stat().st_size - 40), "cut short", FIRST),
    "no end of line": (lambda file: os.truncate(file, file.stat().st_size - 1), "has no end of line", FIRST),
    "one row": (rewrite(lambda lines: [lines[0], lines[FIRST + 1]]), "a single evaluation", 0),
    "no utf-8": (lambda file: file.write_bytes(file.read_bytes() + b"\xff\xfe\x00,\n"), "1 of 107 rows", FIRST),
    "a byte order mark and CRLF": (
        lambda file: file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n")),
        "",
        FIRST,
    ),
    "quotes": (rewrite(lambda lines: ['"' + line.strip().replace(",", '","') + '"\n' for line in lines]), "", FIRST),
    "blank lines": (rewrite(lambda lines: [line + "\n" for line in lines]), "", FIRST),
}


@pytest.mark.parametrize("name", READABLE)
def test_damage_inside_a_csv_costs_the_damaged_rows_only(tree: Path, name: str):
    damage, what, row = READABLE[name]
    damage(tree / CELL / "trial_2" / "eval_measurements.csv")
    logs = read(tree)
    found = "\n".join(findings_at(logs, f"{CELL}/trial_2"))
    assert what in found
    assert bool(found) == bool(what)
    assert trial_at(logs, f"{CELL}/trial_2").hit_row == row
    assert findings_at(logs, CELL) == []  # all five are readable


def test_of_a_time_column_that_goes_backwards_the_earliest_hit_counts(tree: Path):
    with_cell(60, TIME, "1000.5")(tree / CELL / "trial_2" / "eval_measurements.csv")
    logs = read(tree)
    trial = trial_at(logs, f"{CELL}/trial_2")
    assert findings_at(logs, trial.path) == ["score goes backwards in 1 of 106 rows"]
    assert (trial.hit_time, trial.hit_row, trial.hit_row_time) == (1000.5, *HITS["trial_2"])


def test_a_number_that_lost_its_end_is_no_hit():
    """A loss of 0.1258 of which 0.12 is left would be below the target."""
    target = load_spec("criteo1tb").target
    text = "score,validation/loss\n100.0,0.1312345678\n200.0,0.1258367812"
    assert read_evaluations(text.encode(), target).rows == 2
    cut = read_evaluations(text[:-6].encode(), target)
    assert (cut.rows, cut.hit_row) == (1, None)


def test_equality_hits_and_nan_never_does():
    rows = f"10,{TARGET.validation - 1e-9}\n20,nan\n30,{TARGET.validation!r}\n40,0.9\n"
    found = read_evaluations(f"score,validation/ssim\n{rows}".encode(), TARGET)
    assert (found.hit_row, found.hit_time) == (2, 30)


def test_the_test_target_plays_no_part():
    rows = f"10,0.99,{TARGET.validation - 0.01}\n20,0.0,{TARGET.validation}\n"
    assert read_evaluations(f"score,test/ssim,validation/ssim\n{rows}".encode(), TARGET).hit_row == 1


def test_when_the_test_target_was_met_is_known_beside():
    header, metric = "score,test/ssim,validation/ssim\n", TARGET.validation
    rows = f"10,nan,{metric}\n20,{TARGET.test},0\n30,0.99,0\n"
    assert read_evaluations((header + rows).encode(), TARGET).test_time == 20
    assert math.isinf(read_evaluations((header + f"10,0.1,{metric}\n").encode(), TARGET).test_time)
    assert math.isnan(read_evaluations(f"score,validation/ssim\n10,{metric}\n".encode(), TARGET).test_time)


def test_what_a_trial_took_in_all_is_in_its_last_row_that_says_so():
    header = "score,validation/ssim,total_duration,accumulated_eval_time\n"
    found = read_evaluations((header + "10,0.1,15,4\n20,0.2,31,10\n30,0.3,nan,\n").encode(), TARGET)
    assert (found.total_time, found.eval_time) == (31, 10)
    assert math.isnan(read_evaluations(b"score,validation/ssim\n10,0.1\n", TARGET).total_time)


def test_without_a_score_column_the_same_seconds_are_read_under_their_other_name():
    found = read_evaluations(b"accumulated_submission_time,validation/ssim\n5.5,0.8\n", TARGET)
    assert found.hit_time == 5.5


@given(data=st.binary(max_size=300), metric=st.booleans())
def test_no_bytes_stop_the_reader(data: bytes, metric: bool):
    found = read_evaluations((b"score,validation/ssim\n" if metric else b"") + data, TARGET)
    assert found.rows > 0 or found.damage
    assert (found.hit_row is None) == math.isinf(found.hit_time)


def test_what_lies_where_it_does_not_belong_is_reported_and_ignored(tree: Path):
    study = tree / "someone/study_0"
    trial = tree / CELL / "trial_1"
    (tree / "leaderboard.txt").write_text("stray")
    (tree / ".git").mkdir()
    (study / "notes.md").write_text("stray")
    (study / "plots").mkdir()
    shutil.copytree(trial, study / "trial_1")
    shutil.copytree(trial, study / "mnist_jax/trial_1")
    shutil.copytree(trial, study / "fastmri_layernorm_jax/trial_1")
    shutil.copytree(trial, tree / CELL / "best")
    (tree / "nobody").mkdir()
    (tree / "nothing/study_0/wmt_jax").mkdir(parents=True)
    (tree / "loop").symlink_to(tree / "loop")
    (tree / "around").symlink_to(tree)
    logs = read(tree)
    said = {
        "leaderboard.txt": "a stray file",
        ".git": "a hidden folder",
        "someone/study_0/notes.md": "a stray file",
        "someone/study_0/plots": "not the folder of a workload: those are called <workload>_<framework>",
        "someone/study_0/trial_1": "a trial one level too high: its workload is unknown",
        "someone/study_0/mnist_jax": "there is no full workload mnist",
        "someone/study_0/fastmri_layernorm_jax": "not part of protocol v0.5",
        f"{CELL}/best": "not the folder of a trial: those are called trial_<k>",
        "nobody": "no trial in any study",
        "nothing": "no trial in any study",
        "nothing/study_0/wmt_jax": "no readable trial",
        "loop": "cannot be followed: Too many levels of symbolic links",
        "around": "no trial in any study",
    }
    for path, what in said.items():
        assert what in findings_at(logs, path), path
    scored = {trial.trial: (trial.hit_row, trial.hit_time) for trial in logs.trials if trial.workload == "fastmri"}
    assert scored == HITS
    assert {trial.submission for trial in logs.trials} == {"someone"}


def test_names_that_cannot_be_shown_are_escaped(tree: Path):
    os.rename(tree / "someone", os.fsencode(tree) + b"/caf\xe9 \x1b[31m\n")
    logs = read(tree)
    assert {trial.submission for trial in logs.trials} == {"caf\\udce9 \\x1b[31m\\n"}
    assert {trial.hit_time for trial in logs.trials} == {seconds for _, seconds in HITS.values()}


@given(st.text())
def test_printable_text_can_be_written_and_stays_as_it_is(text: str):
    shown = printable(text)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == printable(shown)


def test_missing_studies_workloads_and_surplus_trials_are_reported(tree: Path):
    shutil.copytree(tree / CELL, tree / "someone/study_1/fastmri_jax")
    shutil.copytree(tree / CELL / "trial_1", tree / CELL / "trial_6")
    for study in ("study_0", "study_2"):
        shutil.copytree(tree / CELL, tree / f"someone/{study}/fastmri_tanh_jax")
    logs = read(tree)
    assert "studies: 3 where the protocol has 5" in findings_at(logs, "someone")
    assert findings_at(logs, CELL) == ["6 trials where the protocol has 5"]
    assert findings_at(logs, "someone/study_1") == ["no trials of fastmri_tanh"]
    assert findings_at(logs, "someone/study_2") == ["no trials of fastmri"]
    (absent,) = (what for what in findings_at(logs, "someone") if what.startswith("no trials of criteo1tb"))
    assert "fastmri" not in absent


def test_a_workload_under_both_frameworks_one_empty_counts_once(tree: Path):
    (tree / "someone/study_0/fastmri_pytorch").mkdir()
    logs = read(tree)
    path = "someone/study_0/fastmri_pytorch"
    assert findings_at(logs, path) == ["no readable trial", "the same workload is there under both frameworks"]
    assert {trial.submission for trial in logs.trials} == {"someone"}


def test_a_submission_with_trials_in_both_frameworks_is_two_submissions(tree: Path):
    """Pooled, it would have the best of ten trials instead of five."""
    shutil.copytree(tree / CELL, tree / "someone/study_0/fastmri_pytorch")
    logs = read(tree)
    assert {trial.submission for trial in logs.trials} == {"someone (jax)", "someone (pytorch)"}
    assert "trials of fastmri in both frameworks" in findings_at(logs, "someone")


def test_a_hit_past_the_budget_is_reported(tree: Path):
    logs = read_logs(tree, load_protocol("v0.6"), "external")  # fastMRI's budget was halved: 4,430 s
    late = [finding for finding in logs.findings if "past the budget of 4,430 s" in finding.what]
    assert [finding.path for finding in late] == [f"{CELL}/trial_5"]


V100 = {"kind": "gpu", "name": "Tesla V100-SXM2-16GB", "count": 8, "memory_gib": 16}


def record(tree: Path, trial: str, **content) -> None:
    (tree / CELL / trial / "result.json").write_text(json.dumps({"status": "reached", **content}))


def test_our_own_record_gives_status_and_hardware(tree: Path):
    record(tree, "trial_1", hardware=V100)
    record(tree, "trial_2", status="diverged", hardware={**V100, "accelerator": "v100"})
    (tree / CELL / "trial_3" / "result.json").write_text('{"status": "rea')
    (tree / CELL / "trial_4" / "result.json").write_text("[1, 2]")
    record(tree, "trial_5", status="out_of_memory", hardware={**V100, "count": 4})
    (tree / CELL / "trial_5" / "eval_measurements.csv").unlink()
    logs = read(tree)
    records = {trial.trial: (trial.status, trial.hardware) for trial in logs.trials}
    assert records["trial_1"] == ("reached", "8 x Tesla V100-SXM2-16GB, 16 GiB")
    assert records["trial_2"] == ("diverged", "8 x Tesla V100-SXM2-16GB, 16 GiB")
    assert records["trial_3"] == records["trial_4"] == (None, None)
    assert findings_at(logs, f"{CELL}/trial_3/result.json") == ["not a JSON object"]
    assert findings_at(logs, f"{CELL}/trial_4/result.json") == ["not a JSON object"]
    assert sorted(findings_at(logs, f"{CELL}/trial_5")) == [
        "no eval_measurements.csv (status out_of_memory)",
        "ran on 4 x Tesla V100-SXM2-16GB, 16 GiB, where most trials ran on 8 x Tesla V100-SXM2-16GB, 16 GiB",
    ]


@pytest.mark.parametrize(
    ("other", "is_alike"),
    [
        ({"accelerator": "another name for it"}, True),
        ({"memory_gib": 32}, False),
        ({"count": 4}, False),
        ({"name": "NVIDIA A100-SXM4-40GB"}, False),
        ({"memory_gib": None}, False),
        ({"memory_gib": 10**400}, False),
    ],
)
def test_machines_are_alike_whose_devices_are(other: dict, is_alike: bool):
    assert (hardware_kind(V100) == hardware_kind({**V100, **other})) == is_alike


def test_the_memory_of_a_machine_is_no_part_of_a_processor():
    cpu = {"kind": "cpu", "name": "Xeon", "count": 1, "memory_gib": 376}
    assert hardware_kind(cpu) == hardware_kind({**cpu, "memory_gib": 377}) == "1 x Xeon"


@pytest.mark.parametrize("odd", [{}, [], "V100", 8, {**V100, "count": "8"}, {**V100, "name": None}, {"gpu": "A100"}])
def test_hardware_that_is_no_record_is_reported_and_compared_with_nothing(tree: Path, odd: object):
    record(tree, "trial_1", hardware=odd)
    record(tree, "trial_2", hardware=V100)
    logs = read(tree)
    assert trial_at(logs, f"{CELL}/trial_1").hardware is None
    assert findings_at(logs, f"{CELL}/trial_1/result.json") == ["its hardware has no kind, name and count"]
    assert not [finding for finding in logs.findings if "ran on" in finding.what]


def test_the_real_damage_of_the_sample_is_reported():
    logs = read(SAMPLE)
    said = {
        "amos/study_0/criteo1tb_jax": "1 of 5 trials readable",
        "amos/study_0/criteo1tb_jax/trial_2": "no eval_measurements.csv",
        "baseline/study_1/imagenet_resnet_silu_jax": "not part of protocol v0.5",
        "baseline/study_1/wmt_post_ln_jax": "no readable trial",
        "generalized_adam/study_0/criteo1tb_jax/trial_1": "NaN or infinity in validation/loss, in 62 of 63 rows",
        "lawa_ema/study_0/librispeech_deepspeech_pytorch/trial_2": "a single evaluation",
        "lawa_ema/study_3": "no trials of librispeech_deepspeech",
        "schedule_free_adamw/study_0/trial_1": "a trial one level too high: its workload is unknown",
    }
    for path, what in said.items():
        assert what in findings_at(logs, path)
    assert trial_at(logs, "generalized_adam/study_0/criteo1tb_embed_init_jax/trial_2").hit_time == 5198.537536621094


def test_logs_that_are_missing_or_empty_are_a_usage_error(tmp_path: Path):
    with pytest.raises(UsageError, match="there is no folder of logs"):
        read(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="there is no folder of logs"):
        read(tmp_path / "file")
    with pytest.raises(UsageError, match="there is no trial of any full workload under"):
        read(tmp_path)
    with pytest.raises(UsageError, match=r"no published leaderboard 'v9'; there are v0\.5-external"):
        read_logs("published:v9", V05, "external")
    with pytest.raises(UsageError, match=r"v0\.6-external is not shipped; `python -m scoring\.published LOGS v0\.6-"):
        read_logs("published:v0.6-external", load_protocol("v0.6"), "external")
    with pytest.raises(UsageError, match=r"cannot be ranked under protocol v0\.6"):
        read_logs("published:v0.5-external", load_protocol("v0.6"), "external")


@pytest.fixture
def unlisted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Takes from this process, which may be root's, the right to list a folder."""

    def forbid(folder: Path) -> None:
        scandir = os.scandir

        def refused(path):
            if Path(path) == folder:
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
            return scandir(path)

        monkeypatch.setattr(os, "scandir", refused)

    return forbid


def test_a_folder_that_cannot_be_listed_is_named_and_costs_no_other(tree: Path, unlisted: Callable[[Path], None]):
    shutil.copytree(tree / "someone", tree / "another")
    unlisted(tree / "another" / "study_0")
    logs = read(tree)
    assert {trial.submission for trial in logs.trials} == {"someone"}
    assert findings_at(logs, "another/study_0") == ["cannot be listed: Permission denied"]


@pytest.mark.parametrize("folder", [".", "someone"])
def test_where_nothing_can_be_listed_the_reason_is_said(tree: Path, unlisted: Callable[[Path], None], folder: str):
    (tree / "another").mkdir()  # in which there is no trial, comes first
    unlisted(tree / folder)
    with pytest.raises(
        UsageError, match=rf"can be ranked: {re.escape(folder)}: cannot be listed: Permission denied\.$"
    ):
        read(tree)


def test_trial_10_comes_after_trial_9():
    assert sorted(["trial_10", "trial_9", "٣", "²"], key=natural) == ["trial_9", "trial_10", "²", "٣"]


def test_the_language_models_metric_has_a_name_and_a_former_one():
    target = load_spec("finewebedu_lm").target
    assert target.metric == "ppl"
    for name in ("ppl", "perplexity"):
        found = read_evaluations(f"score,validation/{name}\n9.0,30\n10.0,22.2995\n".encode(), target)
        assert (found.rows, found.hit_time) == (2, 10.0)
    both = read_evaluations(b"score,validation/perplexity,validation/ppl\n9.0,1,30\n10.0,30,20\n", target)
    assert both.hit_time == 10.0  # today's name counts


# How a trial ended counts: what our own `result.json` says of it.


def ended(tree: Path, number: int, **result) -> str:
    """Writes how a trial ended; its path."""
    (tree / CELL / f"trial_{number}" / "result.json").write_text(json.dumps(result))
    return f"{CELL}/trial_{number}"


def lose_rows(tree: Path, number: int) -> None:
    (tree / CELL / f"trial_{number}" / "eval_measurements.csv").write_text("")


@pytest.mark.parametrize("status", ["out_of_memory", "submission_error", "budget_exhausted", "diverged"])
def test_an_ended_trial_without_an_evaluation_is_a_miss(tree: Path, status: str):
    path = ended(tree, 1, status=status, time_to_target=None)
    lose_rows(tree, 1)
    trial = trial_at(read(tree), path)
    assert (trial.counts, trial.readable, trial.hit_time) == (True, False, math.inf)
    assert [f.done for f in read(tree).findings if f.path == path] == ["the trial counts as a miss"]


@pytest.mark.parametrize(
    "result", [{}, {"status": "reached", "time_to_target": 3.0}, {"status": "out_of_memory", "time_to_target": 3.0}]
)
def test_lost_evaluations_of_a_trial_that_may_have_reached_its_target_are_no_miss(tree: Path, result: dict):
    path = ended(tree, 1, **result)
    lose_rows(tree, 1)
    assert not trial_at(read(tree), path).counts


def test_a_refused_trial_is_a_miss_whatever_it_reached(tree: Path):
    flags = [{"rule": "threads", "what": "a thread was alive.", "global_step": 3}]
    path = ended(tree, 1, status="submission_error", refused="the submission changed the model.", flags=flags)
    trial = trial_at(read(tree), path)
    assert (trial.hit_time, trial.hit_row, trial.status, trial.counts) == (math.inf, None, "refused", True)
    assert trial.record.flags == (("threads", "a thread was alive."),)
    assert "refused: the submission changed the model." in findings_at(read(tree), path)


def test_a_trial_that_was_given_a_limit_of_steps_is_no_trial_of_an_experiment(tree: Path):
    path = ended(tree, 1, status="reached", max_steps=50)
    assert path not in [trial.path for trial in read(tree).trials]
    assert findings_at(read(tree), path) == ["ended by --max-steps 50: no trial of an experiment"]
