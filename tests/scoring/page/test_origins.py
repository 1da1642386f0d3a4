"""The evidence on the page: what is long is folded, and what is frequent is counted first."""

import re

import pytest

from algoperf.benchmark.protocol import load_protocol
from scoring.logs.trials import Finding, Logs, Trial
from scoring.report import report_files
from scoring.result import Result
from scoring.rules.score import score_trials


@pytest.mark.parametrize(("count", "is_folded"), [(1, False), (14, False), (15, True)])
def test_more_than_fourteen_findings_are_folded_and_the_most_frequent_counted(count: int, is_folded: bool):
    protocol = load_protocol("v0.6")
    trials = (Trial("friend", "study_0", "wmt", "jax", "trial_1", "", 9, 100.0, 3, 100.0),)
    findings = tuple(Finding(f"friend/study_{place}", f"row {place}: lost", "ignored") for place in range(count))
    result = Result("logs", "external", Logs(trials, findings), score_trials(trials, protocol, "as-documented"))
    page = report_files(result)["report.html"].decode("utf-8")
    quality = page.partition("<h3>Data quality</h3>")[2].partition("</section>")[0]
    assert (f"<details><summary>All {count} findings</summary>" in quality) == is_folded
    assert ("the most frequent" in quality) == is_folded
    if is_folded:
        assert re.search(rf">{count}</td>\s*<td[^>]*>row …: lost<", quality)
    assert quality.count("friend/study_") >= count
