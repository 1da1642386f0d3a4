"""Whatever Slurm's commands print that is no answer is an error, never one about a job: fake ones print it."""

import json
import sys

import pytest

from algoperf.benchmark.facts import InfrastructureError
from algoperf.machine import answers, slurm

# A squeue that knows the jobs in `jobs.json` and prints them as it is asked to, between what stands in `around.json`.
SQUEUE = """
import json, os, sys
from pathlib import Path
here = Path(__file__).parent
format = next(word for word in sys.argv if word.startswith("--format=")).removeprefix("--format=")
assert os.environ["TZ"] == "UTC" and "--all" in sys.argv, sys.argv
before, after, lines = json.loads((here / "around.json").read_text())
jobs = json.loads((here / "jobs.json").read_text())
printed = ""
for job in [{name: name for name in "AiTSeNjkZ"}, *jobs]:
    line = format
    for name, value in job.items():
        line = line.replace("%" + name, value)
    printed += line + "\\n"
sys.stdout.write(before + "".join(printed.splitlines(keepends=True)[:lines]) + after)
"""

JOB = {"A": "17", "i": "17", "T": "RUNNING", "S": "2026-10-25T00:30:00", "e": "2026-10-25T01:30:00", "N": "n1"}
JOB |= {"j": "algoperf_1", "k": "rule_trial", "Z": "/home"}


@pytest.fixture
def squeue(tmp_path, monkeypatch):
    """Says what the controller's answer is; fields in place of those of a running job 17."""
    program = tmp_path / "squeue"
    program.write_text(f"#!{sys.executable}\n{SQUEUE}")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

    def prints(*jobs, before="", after="", lines=None):
        (tmp_path / "jobs.json").write_text(json.dumps([{**JOB, **job} for job in jobs]))
        (tmp_path / "around.json").write_text(json.dumps([before, after, lines]))

    prints({})
    return prints


def test_a_running_job_is_read_with_its_times_in_utc(squeue, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")  # where this hour of 2026 is there twice
    assert slurm.is_running("17")
    assert slurm.times("17") == (1_792_888_200.0, 1_792_891_800.0)


def test_lines_tabs_and_bars_in_names_and_comments_change_nothing(squeue):
    free = {"j": "a\tb|c", "k": "first\nRUNNING\t17\n\n", "Z": "/with a\ttab"}
    squeue({"A": "16", "i": "16", **free}, {}, {"A": "18", "i": "18", "T": "PENDING", "S": "N/A", "N": "(null)"})
    first, second, third = slurm.all_my_jobs()
    assert (first.name, first.comment, first.workdir) == tuple(free.values())
    assert (second.id, second.comment) == ("17", "rule_trial")
    assert (third.state, third.begun, third.nodes) == ("PENDING", None, "")
    assert slurm.is_running("17")


def test_what_a_site_prints_around_the_answer_is_passed_over(squeue):
    squeue({}, before="Welcome to the cluster\nmaintenance|on|monday\n", after="CLUSTER: other\n")
    assert [job.id for job in slurm.my_jobs()] == ["17"]
    assert slurm.is_running("17")


def test_an_answer_that_is_empty_or_only_half_is_no_answer(squeue):
    for lines in (0, None):
        squeue(lines=lines, after="slurm_load_jobs: done\n" if lines == 0 else "")
        for ask in (slurm.is_active, slurm.is_running, slurm.times):
            with pytest.raises(InfrastructureError, match=r"not whole|says nothing of it"):
                ask("17")
    assert slurm.my_jobs() == []  # with its headings it is one: there are none
    squeue(lines=0)
    with pytest.raises(InfrastructureError, match="not whole"):
        slurm.my_jobs()
    squeue({"k": "two\nlines"}, {}, lines=2)
    with pytest.raises(InfrastructureError, match="not whole"):
        slurm.my_jobs()


@pytest.mark.parametrize("field", [{"A": "17?"}, {"A": ""}, {"T": "R UNNING"}, {"T": ""}, {"S": "Tomorr 08:00"}])
def test_a_job_that_makes_no_sense_is_no_answer(squeue, field):
    squeue(field)
    with pytest.raises(InfrastructureError, match="squeue"):
        slurm.is_active("17")


def test_an_element_of_an_array_is_told_from_the_array_whose_number_it_has(squeue):
    elements = [{"A": "18", "i": "17_0", "T": "FAILED"}, {"A": "19", "i": "17_1", "T": "RUNNING"}]
    squeue(*elements, {"i": "17_2", "T": "COMPLETED"})
    assert not slurm.is_active("17")
    squeue(*elements, {"i": "17_[2-9]", "T": "PENDING"})
    assert [job.handle for job in slurm.all_my_jobs()] == ["17_0", "17_1", "17"]


def test_a_job_without_an_end_has_none_and_one_that_has_not_begun_no_beginning(squeue):
    for never in ("UNLIMITED", "N/A", "NONE", "Unknown"):
        squeue({"e": never})
        assert slurm.times("17")[1] is None
    squeue({"S": "N/A"})
    with pytest.raises(InfrastructureError, match="when job 17 began"):
        slurm.times("17")


def test_an_error_names_the_question_and_not_how_the_answer_was_to_look(tmp_path, monkeypatch):
    (tmp_path / "squeue").write_text("#!/bin/sh\necho 'Unable to contact slurm controller' >&2; exit 1\n")
    (tmp_path / "squeue").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(InfrastructureError) as error:
        slurm.is_active("17")
    asked = "squeue --all --states=all --jobs=17"
    assert str(error.value) == f"Slurm's `{asked}` failed: Unable to contact slurm controller"


def test_commands_of_others_show_hidden_jobs_and_obey_nobodys_settings():
    environ = {"SQUEUE_FORMAT": "%j", "SQUEUE_PARTITION": "a100", "SLURM_TIME_FORMAT": "relative", "SLURM_CONF": "here"}
    slurm.prepare_environment(environ)
    assert environ == {"SLURM_CONF": "here", "SQUEUE_ALL": "1"}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("infinite", None), ("n/a", None), ("", None), ("30:00", 30), ("4:00:00", 240), ("1-02:00:00", 1560)],
)
def test_time_limits_are_read_in_minutes(limit, expected):
    assert answers.minutes(limit) == expected


def test_numbers_are_read_with_what_slurm_hangs_on_them_and_nothing_else_is_one():
    assert [answers.whole(text) for text in ("64", "64000+", "300 sec")] == [64, 64000, 300]
    for read, text in ((answers.whole, "N/A"), (answers.whole, ""), (answers.minutes, "4 hours")):
        with pytest.raises(InfrastructureError, match=text or "''"):
            read(text)
