"""Criteo: day files as they really are -> the numbers that the reference makes of them."""

import datetime
import gzip
import os
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.benchmark.facts import UsageError
from tests.conftest import REPOSITORY
from workloads.datasets import criteo1tb
from workloads.datasets.criteo1tb import (
    DAYS,
    TABLE_SIZE,
    fetch,
    hashed,
    open_split,
    parse,
    prepare_days,
    split_of_last_day,
)
from workloads.datasets.raw import criteo as raw_criteo
from workloads.datasets.raw.criteo import Day, find_days
from workloads.datasets.raw.criteo_lines import parse_lines
from workloads.datasets.store import read_manifest, verify
from workloads.datasets.transforms.farmhash import fingerprint64

DATA = REPOSITORY / "tests/data/datasets"
ORACLE = np.load(DATA / "criteo.npz")
LINES = [line + b"\n" for line in ORACLE["lines"].tolist()]


def quiet(what: str, done: int, total: int) -> None:
    """No progress."""


def prepare(raw: Path, store: Path, progress) -> None:
    """As of Criteo 1TB, however many rows the days have."""
    prepare_days(raw, store, progress, "criteo1tb", "Days.", "the test")


@pytest.fixture(scope="module")
def pool():
    with ThreadPoolExecutor(2) as pool:
        yield pool


@pytest.fixture
def raw(tmp_path) -> Path:
    """24 day files of 30 to 76 lines; every other one compressed."""
    folder = tmp_path / "raw"
    folder.mkdir()
    for day in range(DAYS):
        text = b"".join((LINES * 2)[day : day + 30 + 2 * day])
        if day % 2:
            (folder / f"day_{day}.gz").write_bytes(gzip.compress(text))
        else:
            (folder / f"day_{day}").write_bytes(text)
    return folder


def everything(source, pool) -> dict[str, np.ndarray]:
    indices = np.arange(len(source))
    return source.read(indices, np.zeros_like(indices), slice(None), len(indices), 0, pool)


def test_fingerprints_are_farmhash_s():
    """Values of Google's library, by the Python package pyfarmhash 0.5.1; one of each length class."""
    known = {
        b"": 11160318154034397263,
        b"a": 12917804110809363939,
        b"abc": 2640714258260161385,
        b"abcd": 1897425971756105985,
        b"1234567": 7403371938570208423,
        b"00000000": 18217482073141499014,
        b"0000000012": 13407846318489110114,
        b"0123456789abcdef": 6105018409752412263,
        b"0123456789abcdefg": 12024047538191061578,
        b"0123456789abcdef0123456789abcdef": 1958373538681310840,
    }
    text = np.frombuffer(b"".join(known), np.uint8)
    lengths = np.array([len(string) for string in known])
    starts = np.cumsum(lengths) - lengths
    assert fingerprint64(text, starts, lengths).tolist() == list(known.values())
    with pytest.raises(ValueError, match="33 bytes"):
        fingerprint64(np.zeros(33, np.uint8), np.array([0]), np.array([33]))


@given(st.lists(st.binary(max_size=32), min_size=1, max_size=20))
def test_a_fingerprint_does_not_depend_on_the_neighbours(strings):
    lengths = np.array([len(string) for string in strings])
    together = fingerprint64(np.frombuffer(b"".join(strings), np.uint8), np.cumsum(lengths) - lengths, lengths)
    for string, fingerprint in zip(strings, together, strict=True):
        alone = fingerprint64(np.frombuffer(string, np.uint8), np.array([0]), np.array([len(string)]))
        assert alone[0] == fingerprint


def test_the_command_prepares_a_folder_of_days(tmp_path, raw, algoperf, monkeypatch):
    """And says in the end that they have not the rows of the benchmark."""
    monkeypatch.setattr(criteo1tb, "ROWS", tuple(30 + 2 * day for day in range(DAYS)))
    code, _, error = algoperf("data", "prepare", "criteo1tb", "--source", raw, "--data-dir", tmp_path / "data")
    assert code == 2
    assert "has 1,196 examples for train, criteo1tb has 4,195,197,692" in error
    assert [path.parent.name for path in (tmp_path / "data").glob("*/manifest.json")] == ["criteo1tb"]


def test_lines_become_the_reference_s_inputs(tmp_path, raw, pool):
    prepare(raw, tmp_path / "store", quiet)
    batch = everything(open_split(tmp_path / "store", "train", 1_196, {}), pool)
    assert batch["inputs"].dtype == batch["targets"].dtype == np.float32
    expected = np.concatenate([np.resize(ORACLE["inputs"], (128, 39))[d : d + 30 + 2 * d] for d in range(DAYS - 1)])
    assert batch["inputs"].shape == expected.shape
    np.testing.assert_allclose(batch["inputs"][:, :13], expected[:, :13], rtol=1e-6)
    # The reference's ids have gone through float32 already; reducing those that were exact gives ours.
    ids, theirs = batch["inputs"][:, 13:], expected[:, 13:]
    exact = theirs < 2**24
    assert exact.mean() > 0.8
    assert np.array_equal(ids[exact], theirs[exact] % TABLE_SIZE)
    targets = np.concatenate([np.resize(ORACLE["targets"], 128)[d : d + 30 + 2 * d] for d in range(DAYS - 1)])
    assert np.array_equal(batch["targets"], targets)


def test_ids_before_they_are_reduced_are_the_reference_s(tmp_path):
    (tmp_path / "day_0").write_bytes(b"".join(LINES))
    rows = np.concatenate(list(parse(Day("day_0", tmp_path / "day_0", (tmp_path / "day_0",)))))
    assert rows.dtype == np.int32
    assert np.array_equal(rows[:, 14:].astype(np.float32), ORACLE["inputs"][:, 13:])


def test_the_last_day_is_cut_as_the_real_one():
    assert split_of_last_day(178_274_637) == {"test": 95_000_000, "validation": 83_274_637}


def test_the_last_day_s_first_rows_are_test_and_the_others_validation(tmp_path, raw, pool):
    prepare(raw, tmp_path / "store", quiet)
    manifest = read_manifest(tmp_path / "store")
    assert [manifest.examples(split) for split in ("train", "test", "validation")] == [1_196, 40, 36]
    test = everything(open_split(tmp_path / "store", "test", 40, {}), pool)["inputs"]
    validation = everything(open_split(tmp_path / "store", "validation", 36, {}), pool)["inputs"]
    last_day = np.resize(ORACLE["inputs"], (128, 39))[23:99]
    np.testing.assert_allclose(np.concatenate([test, validation])[:, :13], last_day[:, :13], rtol=1e-6)


def test_any_order_reads_the_same_rows(tmp_path, raw, pool):
    prepare(raw, tmp_path / "store", quiet)
    source = open_split(tmp_path / "store", "train", 1_196, {})
    in_order = everything(source, pool)["inputs"]
    shuffled = np.random.default_rng(0).integers(len(source), size=20_000)
    assert np.array_equal(
        source.read(shuffled, np.zeros_like(shuffled), slice(None), len(shuffled), 0, pool)["inputs"],
        in_order[shuffled],
    )


def test_eval_train_is_blocks_of_train(tmp_path, raw, pool, monkeypatch):
    monkeypatch.setattr(criteo1tb, "ROWS_PER_BLOCK", 16)
    prepare(raw, tmp_path / "store", quiet)
    train = everything(open_split(tmp_path / "store", "train", 1_196, {}), pool)["inputs"]
    chosen = everything(open_split(tmp_path / "store", "eval_train", 100, {}), pool)["inputs"]
    starts = [16 * (75 * block // 7) for block in range(7)]
    assert np.array_equal(chosen, np.concatenate([train[start : start + 16] for start in starts])[:100])


KILLED_AFTER_FIVE_DAYS = """
import os, signal, sys
from pathlib import Path
from workloads.datasets.criteo1tb import prepare_days

def progress(what, done, total):
    if done == 5:
        os.kill(os.getpid(), signal.SIGKILL)

prepare_days(Path(sys.argv[1]), Path(sys.argv[2]), progress, "criteo1tb", "Days.", "the test")
"""


def test_a_killed_preparation_goes_on_where_it_stopped(tmp_path, raw):
    store = tmp_path / "store"
    killed = subprocess.run([sys.executable, "-c", KILLED_AFTER_FIVE_DAYS, str(raw), str(store)], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert not (store / "manifest.json").exists()
    made = {record.stem: os.stat(store / f"{record.stem}.rows") for record in (store / "parts").glob("*.json")}
    assert 5 <= len(made) < DAYS
    (store / ".day_20.rows.4711.tmp").write_bytes(b"what a killed process leaves")
    reported = []
    prepare(raw, store, lambda what, done, total: reported.append(done))
    assert reported == list(range(len(made), DAYS + 1))
    for day, before in made.items():
        after = os.stat(store / f"{day}.rows")
        assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    prepare(raw, tmp_path / "uninterrupted", quiet)
    assert read_manifest(store) == read_manifest(tmp_path / "uninterrupted")
    assert verify(store) == []


def with_field(number: int, value: bytes) -> bytes:
    """A line of Criteo with another value in one of its fields."""
    fields = LINES[5].rstrip(b"\n").split(b"\t")
    return b"\t".join([*fields[:number], value, *fields[number + 1 :]]) + b"\n"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1\t2\t3\n", "Expected 40 columns, got 3"),
        (LINES[5].rstrip(b"\n") + b"\tmore\n", "Expected 40 columns, got 41"),
        (with_field(0, b"yes"), "invalid value 'yes'"),
        (with_field(0, b"2"), "the label 2, not 0 or 1"),
        (with_field(0, b"-2"), "the label -2, not 0 or 1"),
        (with_field(0, b"-1"), "the label -1 or none, not 0 or 1"),
        (with_field(0, b""), "the label -1 or none, not 0 or 1"),
        (with_field(7, b"1.5"), "invalid value '1.5'"),
        (with_field(7, b"99999999999"), "invalid value '99999999999'"),
        (with_field(39, b"f" * 31), "In CSV column #39: .* a string of 31 bytes"),
    ],
    ids=[
        *("too few fields", "too many fields", "label no number", "label 2", "label -2", "label -1", "no label"),
        *("no whole number", "number too large", "long string"),
    ],
)
def test_a_damaged_row_is_named_by_its_file_and_number(tmp_path, raw, monkeypatch, line, reason):
    monkeypatch.setattr(raw_criteo, "_TEXT_CHUNK", 4_096)  # the row is in a later chunk than the first
    (raw / "day_4").write_bytes(b"".join(LINES) + line + b"".join(LINES))
    with pytest.raises(UsageError, match=rf"day_4 is damaged.*{reason}") as error:
        prepare(raw, tmp_path / "store", quiet)
    assert "Row #65: " in str(error.value)
    assert not (tmp_path / "store/manifest.json").exists()


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("day_3.gz", lambda path: os.truncate(path, path.stat().st_size // 2)),
        ("day_3.gz", lambda path: path.write_bytes(b"not gzip at all")),
        ("day_4", lambda path: path.write_bytes(b"")),
    ],
    ids=["cut", "not gzip", "empty"],
)
def test_a_damaged_day_is_named(tmp_path, raw, file, damage):
    damage(raw / file)
    with pytest.raises(UsageError, match=f"{file} is damaged"):
        prepare(raw, tmp_path / "store", quiet)
    assert not (tmp_path / "store/manifest.json").exists()


def test_a_missing_day_is_named(tmp_path, raw):
    (raw / "day_8").unlink()
    with pytest.raises(UsageError, match=r"neither day_8.gz nor day_8"):
        prepare(raw, tmp_path / "store", quiet)


def test_it_has_to_be_downloaded_by_hand(tmp_path):
    with pytest.raises(UsageError, match="--source"):
        fetch(tmp_path, None)


COLUMNS = [
    "label",
    *(f"integer_feature_{n}" for n in range(1, 14)),
    *(f"categorical_feature_{n}" for n in range(1, 27)),
]


def as_parquet(raw: Path, folder: Path) -> Path:
    """The days as they are published now: folders of parts, types of a public script, nulls for empty fields."""
    for day in find_days(raw, None):
        content = day.path.read_bytes()
        lines = (gzip.decompress(content) if day.path.suffix else content).decode().splitlines()
        fields = [
            [field or None for field in column] for column in zip(*(line.split("\t") for line in lines), strict=True)
        ]
        columns = [[None if field is None else int(field) for field in column] for column in fields[:14]] + fields[14:]
        kinds = [pa.int32()] * 14 + [pa.string()] * 26
        arrays = [pa.array(column, kind) for column, kind in zip(columns, kinds, strict=True)]
        table = pa.table(arrays, names=COLUMNS).select(list(reversed(COLUMNS)))  # by name, wherever they stand
        number = int(day.name.removeprefix("day_"))
        of_day = folder / f"day={datetime.date(2015, 2, 15) + datetime.timedelta(number)}"
        of_day.mkdir(parents=True)
        half = len(table) // 2
        for part, rows in enumerate((table[:half], table[half:])):
            pq.write_table(rows, of_day / f"part-{part:05}-99c339d5.c000.snappy.parquet", compression="snappy")
    return folder


def test_parts_of_parquet_give_the_store_of_the_text(tmp_path, raw):
    prepare(raw, tmp_path / "text", quiet)
    prepare(as_parquet(raw, tmp_path / "days"), tmp_path / "parquet", quiet)
    assert read_manifest(tmp_path / "parquet").parts == read_manifest(tmp_path / "text").parts


def remove(name: str):
    return lambda folder: shutil.rmtree(folder / name)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (remove("day=2015-02-20"), "has no folder day=2015-02-20"),
        (
            lambda folder: (folder / "day=2015-02-20").rename(folder / "day=2014-02-20"),
            "day=2014-02-20 is none of the ",
        ),
        (
            lambda folder: (folder / "day=2015-02-20").rename(folder / "day=2015-03-11"),
            "day=2015-03-11 is none of the ",
        ),
        (
            lambda folder: next((folder / "day=2015-02-20").iterdir()).unlink(),
            "day=2015-02-20 has 20 rows and not the 40",
        ),
        (
            lambda folder: next((folder / "day=2015-02-20").iterdir()).write_bytes(b"PAR1"),
            "parquet is damaged or not a day",
        ),
    ],
    ids=["missing", "another year", "another day", "half a day", "no parquet"],
)
def test_wrong_days_are_said_before_any_is_read(tmp_path, raw, monkeypatch, damage, reason):
    monkeypatch.setattr(criteo1tb, "ROWS", tuple(30 + 2 * day for day in range(DAYS)))
    folder = as_parquet(raw, tmp_path / "days")
    damage(folder)
    with pytest.raises(UsageError, match=reason):
        criteo1tb.prepare(folder, tmp_path / "store", quiet)
    assert not (tmp_path / "store").exists()


def test_days_of_another_size_are_refused(tmp_path, raw, monkeypatch):
    """What can not be the day is known by its size, and what could be when it was read."""
    with pytest.raises(UsageError, match=r"day_0 has [\d,]+ bytes, too few for the 195,841,983 rows of that day"):
        criteo1tb.prepare(raw, tmp_path / "store", quiet)
    monkeypatch.setattr(criteo1tb, "ROWS", (31, *(30 + 2 * day for day in range(1, DAYS))))
    with pytest.raises(UsageError, match="day_0 has 30 rows and not the 31 of day_0; is it the whole day"):
        criteo1tb.prepare(raw, tmp_path / "store", quiet)
    assert sum(raw_criteo.ROWS) == 4_195_197_692 + 178_274_637


@given(st.lists(st.one_of(st.none(), st.binary(min_size=8, max_size=8)), min_size=1, max_size=30), st.integers(0, 25))
def test_strings_of_eight_bytes_are_hashed_as_any(strings, category):
    """The short way for them, and the long way, on which one of nine bytes leads them."""
    array = pa.array(strings, pa.binary())
    both = pa.concat_arrays([array, pa.array([b"123456789"], pa.binary())])
    assert np.array_equal(hashed(array, category), hashed(both, category)[:-1])
    assert np.array_equal(hashed(both.slice(1, len(array) - 1), category), hashed(array, category)[1:])


NUMBERS = st.one_of(st.just(""), st.integers(-(10**8) + 1, 10**8 - 1).map(str), st.sampled_from(["-1", "-0", "007"]))
HASHES = st.one_of(st.just(""), st.integers(0, (1 << 32) - 1).map("{:08x}".format))


LINE = st.tuples(
    st.sampled_from("01"), st.lists(NUMBERS, min_size=13, max_size=13), st.lists(HASHES, min_size=26, max_size=26)
)


@given(st.lists(LINE))
def test_lines_are_what_the_general_parser_makes_of_them(lines):
    text = "".join("\t".join((label, *numbers, *hashes)) + "\n" for label, numbers, hashes in lines).encode()
    quick = parse_lines(text)
    if not lines:
        assert quick is None
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_criteo, "parse_lines", lambda text: None)
        (general,) = raw_criteo._parsed(text, 0)
    assert np.array_equal(criteo1tb._rows_of_lines(quick), criteo1tb._rows(general, 0))


@pytest.mark.parametrize(
    "field",
    [
        *((3, number) for number in ("123456789", "-123456789", "-", "--1", "1.5", " 1", "/", ":")),
        *((20, string) for string in ("-1", "0123456", "012345678", "a\tb", "a\nb")),
        (39, "01234567\r"),
    ],
)
def test_what_is_not_as_nearly_all_lines_is_left_to_the_general_parser(field):
    fields = ["0", *["1"] * 13, *["01234567"] * 26]
    assert parse_lines("\t".join(fields).encode() + b"\n") is not None
    fields[field[0]] = field[1]
    assert parse_lines(("\t".join(fields) + "\n").encode()) is None


def test_a_file_without_lines_is_named_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_criteo, "_TEXT_CHUNK", 4_096)
    path = tmp_path / "day_0"
    path.write_bytes(bytes(200_000))
    with pytest.raises(UsageError, match="Row #1 or one after it has more than 65,536 bytes"):
        list(parse(Day("day_0", path, (path,))))


def test_lines_go_on_in_the_next_block(tmp_path, monkeypatch):
    """Wherever a block ends, and where the last line has no end."""
    path = tmp_path / "day_0"
    path.write_bytes(b"".join(LINES).rstrip(b"\n"))
    whole = np.concatenate(list(parse(Day("day_0", path, (path,)))))
    for size in (700, 1_111, 4_096):
        monkeypatch.setattr(raw_criteo, "_TEXT_CHUNK", size)
        assert np.array_equal(np.concatenate(list(parse(Day("day_0", path, (path,))))), whole)
