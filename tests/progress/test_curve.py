"""What is read of a trial's evaluations, whole, half and damaged."""

import pytest

from algoperf.benchmark.facts import Target
from algoperf.progress.curve import Curve, read_curve

TARGET = Target("wer", validation=0.1, test=None, goal="min")
HEADER = "accumulated_eval_time,accumulated_logging_time,accumulated_submission_time,global_step,validation/wer\n"


def curve(tmp_path, text):
    path = tmp_path / "eval_measurements.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_curve(path, TARGET)


def test_the_last_row_and_the_best_value(tmp_path):
    found = curve(tmp_path, f"{HEADER}2,0,1,1,0.9\n4,0.5,60,50,0.3\n6,1,120,100,0.4\n")
    assert found == Curve(evaluations=3, global_step=100, charged=120.0, free=7.0, first=0.9, best=0.3)


def test_half_a_row_rows_without_numbers_and_values_that_are_not_finite_are_passed_over(tmp_path):
    text = f"{HEADER}2,0,1,1,0.9\nx,y,z,w,v\n4,0.5,60,50,nan\n5,0.5,inf,70,0.2\n6,1,120"
    assert curve(tmp_path, text) == Curve(evaluations=2, global_step=50, charged=60.0, free=4.5, first=0.9, best=0.9)


def test_a_block_of_zeros_that_a_crash_has_left(tmp_path):
    assert curve(tmp_path, f"{HEADER}2,0,1,1,0.9\n".encode() + b"\0" * 50 + b"\n").global_step == 1


def test_foreign_logs_do_not_say_what_was_free(tmp_path):
    found = curve(tmp_path, "accumulated_submission_time,global_step,validation/wer\n60,50,0.3\n")
    assert (found.charged, found.free) == (60.0, None)


@pytest.mark.parametrize("text", ["", "no,such,columns\n1,2,3\n", "\n\n", HEADER, b"\xff\xfe\n\n"])
def test_what_cannot_be_read_is_an_empty_curve(tmp_path, text):
    assert curve(tmp_path, text) == Curve()
    assert read_curve(tmp_path, TARGET) == Curve()


@pytest.mark.parametrize(
    ("first", "best", "share"),
    [(0.9, 0.9, 0.0), (0.9, 0.5, 0.5), (0.9, 0.1, 1.0), (0.9, 0.05, 1.0), (0.05, 0.05, 1.0), (None, None, None)],
)
def test_the_share_of_the_way_to_the_target(first, best, share):
    assert Curve(first=first, best=best).share_of_way(TARGET) == pytest.approx(share)


def test_the_way_is_as_long_where_more_is_better():
    target = Target("accuracy", validation=0.8, test=None, goal="max")
    assert Curve(first=0.1, best=0.45).share_of_way(target) == pytest.approx(0.5)
