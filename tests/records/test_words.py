"""Numbers as people read them."""

import pytest

from algoperf.records.words import counted, duration


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0 s"), (37.25, "37.2 s"), (725, "12 min 5 s"), (63_000, "17 h 30 min"), (2_754_000, "31 days 21 h")],
)
def test_durations_are_written_as_people_say_them(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (1, "workload", "1 workload"),
        (0, "workload", "0 workloads"),
        (1, "study", "1 study"),
        (1_204, "study", "1,204 studies"),
    ],
)
def test_one_is_not_many(number, noun, text):
    assert counted(number, noun) == text
