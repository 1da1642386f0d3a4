"""What a person reads of a trial: lines that no name can turn into markup."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from algoperf.trial.progress_lines import print_result

RESULT = {
    **{"status": "reached", "time_to_target": 12.0, "workload": "criteo1tb", "label": "[red]mine[/red]_jax"},
    **{"study": 0, "trial": 1, "global_step": 1_234},
}


def printed(result):
    out = io.StringIO()
    print_result(result, Path("[red]trial"), Console(file=out, width=40, highlight=False))
    return out.getvalue()


def test_a_result_is_one_line_and_names_are_never_markup():
    assert printed(RESULT) == "reached in 12.0 s · criteo1tb · [red]mine[/red]_jax · study 0 · trial 1 · 1,234 steps\n"


@pytest.mark.parametrize("status", ["submission_error", "out_of_memory"])
def test_a_submission_that_failed_is_told_where_the_reason_stands(status):
    failed = printed({**RESULT, "status": status, "time_to_target": None})
    assert failed.startswith(f"{status} · criteo1tb")
    assert failed.endswith("\nwhy: [red]trial/error.log\n")
