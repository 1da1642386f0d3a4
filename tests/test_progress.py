"""What a person reads of a trial: lines that no name can turn into markup."""

import io

import pytest
from rich.console import Console

from algoperf.progress import duration, print_result


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (37.25, "37.2 s"), (725, "12 min 5 s"), (63_000, "17 h 30 min"), (2_754_000, "31 days 21 h")],
)
def test_durations_are_written_as_people_say_them(seconds, text):
    assert duration(seconds) == text


def test_a_result_is_one_line_and_names_are_never_markup():
    out = io.StringIO()
    result = {
        **{"status": "reached", "time_to_target": 12.0, "workload": "criteo1tb", "label": "[red]mine[/red]_jax"},
        **{"study": 0, "trial": 1, "global_step": 1_234},
    }
    print_result(result, Console(file=out, width=40, highlight=False))
    assert out.getvalue() == "reached in 12.0 s · criteo1tb · [red]mine[/red]_jax · study 0 · trial 1 · 1,234 steps\n"
