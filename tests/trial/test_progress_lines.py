"""What a person reads of a trial: lines that no name can turn into markup."""

import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from algoperf.benchmark.registry import load_spec
from algoperf.trial.progress_lines import Reporter, print_result

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


def test_who_was_beside_it_is_one_line_of_names_as_they_are():
    _, beside = printed(
        {**RESULT, "timed_beside": ["[red]another[/red] trial", "python3 train.py (pid 4711)"]}
    ).splitlines()
    assert beside.endswith("may be theirs: [red]another[/red] trial, python3 train.py (pid 4711)")


@pytest.mark.parametrize("status", ["submission_error", "out_of_memory"])
def test_a_submission_that_failed_is_told_where_the_reason_stands(status):
    failed = printed({**RESULT, "status": status, "time_to_target": None})
    assert failed.startswith(f"{status} · criteo1tb")
    assert failed.endswith("\nwhy: [red]trial/error.log\n")


def test_an_evaluation_at_the_target_is_green_and_no_other():
    spec = load_spec("criteo1tb", "mini")
    trial = SimpleNamespace(workload="criteo1tb", label="mine_jax", ruleset="external", study=0, trial=1)
    workload = SimpleNamespace(spec=spec)
    setup = SimpleNamespace(trial=trial, workload=workload, max_runtime=60.0, max_steps=240, evaluated_every=5)
    out = io.StringIO()
    reporter = Reporter(setup, Console(file=out, width=200, color_system="standard", force_terminal=True))
    target = spec.target.validation
    for step, loss in ((5, target + 0.1), (10, target - 0.1)):
        row = {"accumulated_submission_time": 1.0, "global_step": step, "validation/loss": loss, "test/loss": loss}
        reporter(SimpleNamespace(evaluations=[row]))
    _, missed, reached = out.getvalue().splitlines()
    green = "\x1b[32m"
    assert green not in missed
    assert f"{green}validation loss {target - 0.1:.4f}" in reached
