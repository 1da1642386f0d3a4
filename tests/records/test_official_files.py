"""The files of a trial: whole or append-only, whatever happens while they are written."""

import csv

from algoperf.records.official_files import MetricsLogger, Table


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


class Unread:
    """A device array that must not be looked at while the clock runs."""

    looked_at = False

    def __float__(self):
        self.looked_at = True
        return 0.25


def test_metrics_wait_until_the_clock_has_stopped(tmp_path):
    table = Table(tmp_path / "measurements.csv")
    logger = MetricsLogger(table)
    table.begin()
    value = Unread()
    logger.append_scalar_metrics({"loss": value}, 3)
    assert not value.looked_at
    assert read(tmp_path / "measurements.csv") == []
    logger.flush()
    assert read(tmp_path / "measurements.csv") == [{"global_step": "3", "loss": "0.25"}]
    logger.flush()
    assert len(read(tmp_path / "measurements.csv")) == 1


def test_a_muted_logger_takes_nothing(tmp_path):
    table = Table(tmp_path / "measurements.csv")
    table.begin()
    logger = MetricsLogger(table)
    logger.muted = True
    logger.append_scalar_metrics({"loss": 1.0}, 0)
    logger.muted = False
    logger.flush()
    assert read(tmp_path / "measurements.csv") == []


def test_without_a_table_a_logger_takes_and_writes_nothing(tmp_path, monkeypatch):
    """The logger of every process of a trial but the first."""
    monkeypatch.chdir(tmp_path)
    logger = MetricsLogger(None)
    value = Unread()
    logger.append_scalar_metrics({"loss": value}, 0)
    logger.flush()
    assert not value.looked_at
    assert list(tmp_path.iterdir()) == []
