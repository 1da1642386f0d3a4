"""What a person sees of a trial while it runs: a line for each evaluation, and how it ended."""

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from algoperf.benchmark.protocol import TARGET_SETTING
from algoperf.records import official_files
from algoperf.records.words import counted, duration
from algoperf.trial.setup import Setup
from algoperf.trial.train import State


class Reporter:
    """Prints to `console`; trials run under Snakemake, so whole lines and no moving parts."""

    def __init__(self, setup: Setup, console: Console):
        self._setup, self._console = setup, console
        trial = setup.trial
        self._console.print(
            Text.assemble(
                (f"{trial.workload}", "bold"),
                f" · {trial.label} · {trial.ruleset} tuning · study {trial.study} · trial {trial.trial}"
                f" · until {self._end()}",
            ),
            soft_wrap=True,
        )

    def _end(self) -> str:
        setup, target = self._setup, self._setup.workload.spec.target
        if setup.trial.ruleset == TARGET_SETTING:
            return f"step {setup.max_steps:,}"
        end = duration(setup.max_runtime) if setup.evaluated_every is None else f"step {setup.max_steps:,}"
        return f"{target.metric} {'<=' if target.goal == 'min' else '>='} {target.validation:g} or {end}"

    def _spent(self, charged: float) -> str:
        if self._setup.evaluated_every is not None:
            return f"of {self._setup.max_steps:,}  charged {duration(charged)}"
        left = max(0.0, self._setup.max_runtime - charged)
        return f" charged {duration(charged)} of {duration(self._setup.max_runtime)}, {duration(left)} left"

    def __call__(self, state: State) -> None:
        row, target = state.evaluations[-1], self._setup.workload.spec.target
        charged = row["accumulated_submission_time"]
        value = row[f"validation/{target.metric}"]
        reached = target.reached(value, "validation")
        test = row.get(f"test/{target.metric}")  # not every workload has a test split
        self._console.print(
            Text.assemble(
                f"  step {row['global_step']:>7,} {self._spent(charged)}  ",
                (f"validation {target.metric} {value:.4f}", "green" if reached else ""),
                "" if test is None else f"  test {test:.4f}",
            ),
            soft_wrap=True,
        )


def print_result(result: dict[str, Any], out: Path, console: Console) -> None:
    """How a trial ended, in one line, and where the reason stands if its folder `out` has one."""
    style = "green" if result["status"] == "reached" else "yellow"
    time = result["time_to_target"]
    how = f" in {duration(time)}" if time is not None else ""
    console.print(
        Text.assemble(
            (f"{result['status']}{how}", style),
            f" · {result['workload']} · {result['label']} · study {result['study']} · trial {result['trial']}"
            f" · {counted(result['global_step'], 'step')}",
        ),
        soft_wrap=True,
    )
    if beside := result.get("timed_beside"):  # which results of earlier versions lack
        console.print(
            f"timed while others were on the same machine, so its times may be theirs: {', '.join(beside)}",
            markup=False,
            soft_wrap=True,
        )
    if result["status"] in ("submission_error", "out_of_memory"):
        console.print(f"why: {out / official_files.ERRORS}", markup=False, soft_wrap=True)
