"""The days of Criteo 1TB as they are given away: lines of text, plain or gzip, or folders of parquet files.

Text: `day_0` .. `day_23`, plain or `.gz`; a line is a label, 13 integers and 26 hexadecimal strings between tabs.
Parquet: `day=2015-02-15` .. `day=2015-03-10`, folders of `part-*.parquet`, whose columns are called `label`,
`integer_feature_1` .. and `categorical_feature_1` ..; the rows are those of the parts in the order of their names.

Source of the rows of each day: MLCommons' preparation of DLRM; they add up to the benchmark's numbers.
"""

import contextlib
import dataclasses
import datetime
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from algoperf.benchmark.facts import UsageError
from workloads.datasets.raw.criteo_lines import Lines, parse_lines

INTEGERS, CATEGORIES = 13, 26
DAYS = 24
# fmt: off
ROWS = (
    195_841_983, 199_563_535, 196_792_019, 181_115_208, 152_115_810, 172_548_507, 204_846_845, 200_801_003,
    193_772_492, 198_424_372, 185_778_055, 153_588_700, 169_003_364, 194_216_520, 194_081_279, 187_154_596,
    177_984_934, 163_382_602, 142_061_091, 156_534_237, 193_627_464, 192_215_183, 189_747_893, 178_274_637,
)
# fmt: on
_DATES = [str(datetime.date(2015, 2, 15) + datetime.timedelta(day)) for day in range(DAYS)]
_FEWEST_BYTES = {".gz": 16, "": 80}  # of a row: with fewer it can not be the whole day
_STORE_BYTES_PER_RAW_BYTE = {".gz": 2.2, "": 0.75, ".parquet": 2.5}
_TEXT_CHUNK = 1 << 22  # bytes of text parsed at a time
_LONGEST_LINE = 1 << 16
_ROWS_READ = 1 << 16  # of parquet at a time
_NAMES = [str(column) for column in range(1 + INTEGERS + CATEGORIES)]
_INTEGER_NAMES, _STRING_NAMES = _NAMES[: 1 + INTEGERS], _NAMES[1 + INTEGERS :]
_PARQUET_NAMES = [
    "label",
    *(f"integer_feature_{number}" for number in range(1, INTEGERS + 1)),
    *(f"categorical_feature_{number}" for number in range(1, CATEGORIES + 1)),
]


@dataclasses.dataclass(frozen=True)
class Day:
    """A day. path: of its file, or of its folder of parts. files: both are."""

    name: str
    path: Path
    files: tuple[Path, ...]

    @property
    def store_bytes(self) -> int:
        """About what it takes in a store."""
        return int(sum(file.stat().st_size * _STORE_BYTES_PER_RAW_BYTE[file.suffix] for file in self.files))

    def read(self) -> Iterator[Lines | pa.RecordBatch]:
        """All rows, some at a time: as `Lines`, or in columns, the label and the integers as int32 and the strings as
        binary, with nothing where one is missing. Raises UsageError, which names the row, counted from 1 in its file,
        where it is not Criteo's format.
        """
        for file in self.files:
            yield from _from_parquet(file) if file.suffix == ".parquet" else _from_text(file)


def find_days(raw: Path, rows: Sequence[int] | None) -> list[Day]:
    """All days of a folder. rows: how many each has, where that is known.

    Raises UsageError where a day is missing, or can not have so many rows, before any is read.
    """
    folders = sorted(path for base in (raw, raw / "data") for path in base.glob("day=*") if path.is_dir())
    days = _parquet_days(folders) if folders else [_text_day(raw, day) for day in range(DAYS)]
    for day, wanted in zip(days, rows or (), strict=rows is not None):
        _check_rows(day, wanted)
    return days


def _text_day(raw: Path, day: int) -> Day:
    for name in (f"day_{day}.gz", f"day_{day}"):
        if (raw / name).is_file():
            return Day(f"day_{day}", raw / name, (raw / name,))
    raise UsageError(f"{raw} has neither day_{day}.gz nor day_{day}; docs/data.md says how the raw files are laid out.")


def _parquet_days(folders: list[Path]) -> list[Day]:
    of_date = {folder.name.removeprefix("day="): folder for folder in folders}
    for date, folder in of_date.items():
        if date not in _DATES:
            raise UsageError(f"{folder} is none of the benchmark's days, day={_DATES[0]} to day={_DATES[-1]}.")
    if missing := [date for date in _DATES if date not in of_date]:
        raise UsageError(f"{folders[0].parent} has no folder day={missing[0]}; is it complete?")
    days = []
    for number, date in enumerate(_DATES):
        parts = tuple(sorted(of_date[date].glob("*.parquet")))
        if not parts:
            raise UsageError(f"there are no .parquet files in {of_date[date]}; is it complete?")
        days.append(Day(f"day_{number}", of_date[date], parts))
    return days


def _check_rows(day: Day, wanted: int) -> None:
    if day.files[0].suffix != ".parquet":
        size = day.path.stat().st_size
        if size < wanted * _FEWEST_BYTES[day.path.suffix]:
            raise UsageError(f"{day.path} has {size:,} bytes, too few for the {wanted:,} rows of that day.")
        return
    found = 0
    for file in day.files:
        with _reading(file):
            found += pq.read_metadata(file).num_rows
    check_count(day, found, wanted)


def check_count(day: Day, found: int, wanted: int) -> None:
    if found != wanted:
        raise UsageError(f"{day.path} has {found:,} rows and not the {wanted:,} of {day.name}; is it the whole day?")


def _from_text(file: Path) -> Iterator[Lines | pa.RecordBatch]:
    rows_before, rest = 0, b""
    with _reading(file), pa.input_stream(file) as stream:  # decompresses by the file's suffix
        while block := stream.read(_TEXT_CHUNK):
            whole, line_feed, rest = (rest + block).rpartition(b"\n")
            if len(rest) > _LONGEST_LINE:
                raise ValueError(f"Row #{rows_before + 1} or one after it has more than {_LONGEST_LINE:,} bytes")
            for lines in _parsed(whole + line_feed, rows_before) if line_feed else ():
                yield lines
                rows_before += num_rows(lines)
        if rest:
            yield from _parsed(rest + b"\n", rows_before)
        elif not rows_before:
            raise ValueError("it is empty")


def _parsed(text: bytes, rows_before: int) -> Iterator[Lines | pa.RecordBatch]:
    """Whole lines. Raises ValueError, which names the row, counted from 1 in the file."""
    if (lines := parse_lines(text)) is not None:
        yield lines
        return
    try:
        yield from pyarrow.csv.open_csv(
            pa.BufferReader(text),
            pyarrow.csv.ReadOptions(column_names=_NAMES, block_size=2 * _TEXT_CHUNK, use_threads=False),
            pyarrow.csv.ParseOptions(delimiter="\t", quote_char=False),
            pyarrow.csv.ConvertOptions(
                column_types=dict.fromkeys(_INTEGER_NAMES, pa.int32()) | dict.fromkeys(_STRING_NAMES, pa.binary()),
                null_values=["", "-1"],
                strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        of_file = re.sub(r"Row #(\d+)", lambda row: f"Row #{rows_before + int(row[1])}", str(error).splitlines()[0])
        raise ValueError(of_file) from error


def num_rows(rows: Lines | pa.RecordBatch) -> int:
    return len(rows.integers) if isinstance(rows, Lines) else rows.num_rows


def _from_parquet(file: Path) -> Iterator[pa.RecordBatch]:
    with _reading(file), pq.ParquetFile(file) as parquet:
        if missing := set(_PARQUET_NAMES) - set(parquet.schema_arrow.names):
            raise ValueError(f"it has no column {min(missing)}")
        schema = pa.schema(
            [(name, pa.int32()) for name in _INTEGER_NAMES] + [(name, pa.binary()) for name in _STRING_NAMES]
        )
        for batch in parquet.iter_batches(_ROWS_READ, columns=_PARQUET_NAMES, use_threads=False):
            yield batch.select(_PARQUET_NAMES).rename_columns(_NAMES).cast(schema)


@contextlib.contextmanager
def _reading(file: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise UsageError(f"{file} is damaged or not a day file of Criteo ({str(error).splitlines()[0]}).") from error
