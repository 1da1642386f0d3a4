"""The files of a trial: whole or append-only, whatever happens while they are written."""

import csv
import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algoperf.records.official_files import MetricsLogger, Table, whole_rows


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_rows_are_appended(tmp_path):
    table = Table(tmp_path / "t.csv")
    table.append([{"b": 1, "a": 2.5}])
    inode = (tmp_path / "t.csv").stat().st_ino
    table.append([{"a": 3, "b": 4}, {"a": 5}])
    assert (tmp_path / "t.csv").stat().st_ino == inode  # appended, not written anew
    assert (tmp_path / "t.csv").read_text() == "a,b\n2.5,1\n3,4\n5,\n"


def test_a_new_column_keeps_the_rows_before(tmp_path):
    table = Table(tmp_path / "t.csv")
    table.append([{"loss": 1.0}])
    table.append([{"loss": 0.5, "grad_norm": 2.0}])
    assert read(tmp_path / "t.csv") == [{"grad_norm": "", "loss": "1.0"}, {"grad_norm": "2.0", "loss": "0.5"}]


def test_a_table_begins_with_the_rows_of_the_checkpoint(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a\n1\n2\n3 and half a r")
    Table(path, [{"a": 1}]).append([{"a": 9}])
    assert path.read_text() == "a\n1\n9\n"


def test_nothing_is_written_before_a_table_begins(tmp_path):
    table = Table(tmp_path / "t.csv", [{"a": 1}])
    assert list(tmp_path.iterdir()) == []
    table.begin()
    table.begin()
    assert (tmp_path / "t.csv").read_text() == "a\n1\n"


def test_names_with_commas_and_quotes_survive(tmp_path):
    Table(tmp_path / "t.csv").append([{'a,"b"': 1}])
    assert read(tmp_path / "t.csv") == [{'a,"b"': "1"}]


class Array:
    """An array on a device, that must not be looked at while the clock runs; others may change it later."""

    def __init__(self, value):
        self.value, self.looked_at, self.shape = value, False, ()

    def __float__(self):
        self.looked_at = True
        return self.value


def snapshot(value):
    return Array(value.value) if isinstance(value, Array) else None


@pytest.fixture
def logger(tmp_path):
    return MetricsLogger(Table(tmp_path / "measurements.csv"), snapshot)


def test_arrays_are_copied_and_wait_until_the_clock_has_stopped(tmp_path, logger):
    value = Array(0.25)
    logger.append_scalar_metrics({"loss": value}, 3)
    value.value = 7.0
    assert not value.looked_at
    assert not (tmp_path / "measurements.csv").exists()
    assert logger.flush() == []
    assert read(tmp_path / "measurements.csv") == [{"global_step": "3", "loss": "0.25"}]
    logger.flush()
    assert len(read(tmp_path / "measurements.csv")) == 1


def test_what_is_no_array_of_a_device_is_asked_for_its_number_at_once(tmp_path, logger):
    class Lazy:
        asked = 0

        def __float__(self):
            Lazy.asked += 1
            return 0.5

    changing = np.array([1.0])
    logger.append_scalar_metrics({"lazy": Lazy(), "changing": changing, "number": 2, "nan": math.nan}, np.int64(0))
    changing[0] = 9.0
    assert Lazy.asked == 1
    logger.flush()
    assert Lazy.asked == 1
    expected = {"changing": "1.0", "global_step": "0", "lazy": "0.5", "nan": "nan", "number": "2.0"}
    assert read(tmp_path / "measurements.csv") == [expected]


class Deleted(Array):
    def __float__(self):
        raise RuntimeError("Array has been deleted.")


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("warmup", "ValueError: could not convert string to float: 'warmup'"),
        (None, "TypeError: "),
        (1j, "TypeError: "),
        (10**400, "OverflowError: "),
        (np.zeros(2), r"its shape is \(2,\)"),
        ({}, "TypeError: "),
    ],
)
def test_what_is_no_number_is_left_out_and_said_once(tmp_path, logger, value, why):
    for step in range(2):
        logger.append_scalar_metrics({"note": value, "loss": 1.0}, step)
    (sentence,) = logger.flush()
    assert re.match(rf"the submission logged 'note', which is no number \({why}.*\); it is left out\.$", sentence)
    assert read(tmp_path / "measurements.csv") == [{"global_step": str(step), "loss": "1.0"} for step in range(2)]
    logger.append_scalar_metrics({"note": value}, 2)
    assert logger.flush() == []
    assert read(tmp_path / "measurements.csv")[2]["global_step"] == "2"


def test_an_array_that_cannot_be_looked_at_any_more_is_no_number(tmp_path):
    logger = MetricsLogger(Table(tmp_path / "measurements.csv"), lambda value: Deleted(0.0))
    logger.append_scalar_metrics({"loss": Array(1.0)}, 0)
    (sentence,) = logger.flush()
    assert "Array has been deleted" in sentence


@pytest.mark.parametrize("name", ["a,b", 'a"b', "a\nb", "a\r", "\0", "é", "\ud800", "", 3, ("a", 1), "global_step"])
def test_a_metric_may_have_any_name(tmp_path, logger, name):
    logger.append_scalar_metrics({name: 0.5, "other": 1.0}, 7)
    logger.append_scalar_metrics({name: 0.5, "new": 1.0}, 8)
    logger.flush()
    logger.append_scalar_metrics({"newer": 1.0}, 9)
    logger.flush()
    rows = whole_rows(tmp_path / "measurements.csv")
    assert [row["global_step"] for row in rows] == ["7", "8", "9"]
    assert [list(row.values()).count("0.5") for row in rows] == ([0, 0, 0] if name == "global_step" else [1, 1, 0])


@settings(deadline=None)
@given(st.integers(0, 200))
def test_of_a_table_that_broke_at_any_byte_the_whole_rows_are_read(tmp_path_factory, length):
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    Table(path).append([{"loss": 0.5 * step, "global_step": step, "norm": 1e-3} for step in range(12)])
    whole, text = read(path), path.read_bytes()
    path.write_bytes(text[:length])
    lines = text[:length].count(b"\n")
    assert whole_rows(path) == whole[: max(0, lines - 1)]


def test_a_muted_logger_takes_nothing(tmp_path, logger):
    logger.muted = True
    logger.append_scalar_metrics({"loss": 1.0}, 0)
    logger.muted = False
    logger.flush()
    assert not (tmp_path / "measurements.csv").exists()


def test_without_a_table_a_logger_takes_and_writes_nothing(tmp_path, monkeypatch):
    """The logger of every process of a trial but the first."""
    monkeypatch.chdir(tmp_path)
    logger = MetricsLogger(None, snapshot)
    value = Array(0.0)
    logger.append_scalar_metrics({"loss": value}, 0)
    logger.flush()
    assert not value.looked_at
    assert list(tmp_path.iterdir()) == []
